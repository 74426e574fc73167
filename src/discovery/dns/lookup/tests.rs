use super::*;
use crate::discovery::dns::fake::{Fake, Reply, run};

fn source(name: &str, record: DnsRecord) -> DnsSource {
    DnsSource {
        name: name.to_owned(),
        record,
    }
}

/// `address weight tier` of each member.
fn members(found: &Found) -> Vec<String> {
    let members = found.members.iter();
    members
        .map(|m| format!("{} {} {}", m.address, m.weight, m.tier))
        .collect()
}

#[test]
fn addresses_are_members_and_the_shortest_life_counts() {
    run(async {
        let fake = Fake::start(|name, kind, _| match (name, kind) {
            ("web.test", "A") => {
                Reply::new()
                    .a("web.test", 7, [10, 0, 0, 2])
                    .a("web.test", 5, [10, 0, 0, 1])
            }
            ("web.test", "AAAA") => Reply::new().aaaa("web.test", 600, "fd00::1"),
            ("alias.test", "A") => {
                Reply::new()
                    .cname("alias.test", 1, "web.test")
                    .a("web.test", 600, [10, 0, 0, 9])
            }
            _ => Reply::nx(),
        })
        .await;
        let look =
            async |name: &str, record| look(&source(name, record), &fake.dns()).await.unwrap();
        let (found, ttl) = look("web.test", DnsRecord::A(80)).await;
        assert_eq!(members(&found), ["10.0.0.1:80 1 0", "10.0.0.2:80 1 0"]);
        assert_eq!(found.members[0].id, "10.0.0.1:80");
        assert_eq!(ttl, Duration::from_secs(5));
        let (found, _) = look("web.test", DnsRecord::Aaaa(81)).await;
        assert_eq!(members(&found), ["[fd00::1]:81 1 0"]);
        assert_eq!(found.members[0].name, "fd00::1:81");
        let (found, _) = look("alias.test", DnsRecord::A(80)).await;
        assert_eq!(members(&found), ["10.0.0.9:80 1 0"]);
    });
}

#[test]
fn services_have_weights_and_tiers_and_say_who_is_left_out() {
    run(async {
        let fake = Fake::start(|name, kind, _| match (name, kind) {
            ("_http._tcp.web.test", "SRV") => Reply::new()
                .srv("_http._tcp.web.test", 9, (20, 5, 8002), "b.test")
                .srv("_http._tcp.web.test", 9, (10, 0, 8001), "a.test")
                .srv("_http._tcp.web.test", 9, (10, 60_000, 8003), "c.test")
                .srv("_http._tcp.web.test", 9, (10, 1, 8004), "gone.test")
                // Comes along, so that nobody asks for it.
                .additional_a("A.test", 9, [10, 0, 0, 1]),
            ("b.test", "A") => Reply::new().a("b.test", 3, [10, 0, 0, 2]),
            ("c.test", "AAAA") => Reply::new().aaaa("c.test", 9, "fd00::3"),
            ("none.test", "SRV") => Reply::new().srv("none.test", 9, (0, 0, 0), "."),
            ("a.test", _) => Reply::code(2),
            _ => Reply::nx(),
        })
        .await;
        let look = async |name: &str| {
            look(&source(name, DnsRecord::Srv), &fake.dns())
                .await
                .unwrap()
        };
        let (found, ttl) = look("_http._tcp.web.test").await;
        let expected = [
            "10.0.0.1:8001 1 0",
            "[fd00::3]:8003 60000 0",
            "10.0.0.2:8002 5 1",
        ];
        assert_eq!(members(&found), expected);
        assert_eq!(
            found.left_out,
            [LeftOut::new("gone.test.", "it has no address")]
        );
        assert_eq!(ttl, Duration::from_secs(3));
        let (found, _) = look("none.test").await;
        assert_eq!((found.members.len(), found.left_out.len()), (0, 1));
    });
}

#[test]
fn name_that_is_gone_is_an_answer_and_a_failing_server_is_none() {
    run(async {
        let fake = Fake::start(|name, kind, _| match (name, kind) {
            ("nodata.test", _) => Reply::new(),
            ("servfail.test", _) => Reply::code(2),
            ("refused.test", _) => Reply::code(5),
            ("wrong.test", _) => Reply::new().wrong_id().a("wrong.test", 1, [10, 0, 0, 1]),
            ("silent.test", _) => Reply::silence(),
            ("loop.test", _) => Reply::raw_name_loop(),
            ("half.test", "SRV") => Reply::new()
                .srv("half.test", 9, (1, 1, 80), "servfail.test")
                .srv("half.test", 9, (1, 1, 81), "nodata.test"),
            _ => Reply::nx(),
        })
        .await;
        for name in ["nowhere.test", "nodata.test"] {
            for record in [DnsRecord::A(80), DnsRecord::Srv] {
                let (found, _) = look(&source(name, record), &fake.dns()).await.unwrap();
                assert_eq!(found, Found::default(), "{name}");
            }
        }
        let failing = [
            (
                "servfail.test",
                DnsRecord::A(80),
                Some(FailureKind::ServerError),
            ),
            (
                "refused.test",
                DnsRecord::A(80),
                Some(FailureKind::ServerError),
            ),
            ("silent.test", DnsRecord::A(80), Some(FailureKind::Timeout)),
            ("wrong.test", DnsRecord::A(80), Some(FailureKind::Timeout)),
            ("loop.test", DnsRecord::A(80), None),
            ("half.test", DnsRecord::Srv, None),
        ];
        // Side by side: some take as long as a silent server may.
        let looks = failing.map(|(name, record, kind)| {
            let dns = fake.dns();
            let look = async move { look(&source(name, record), &dns).await };
            (name, kind, tokio::task::spawn_local(look))
        });
        for (name, kind, look) in looks {
            let failure = look.await.unwrap().expect_err(name);
            assert!(kind.is_none_or(|kind| kind == failure.kind), "{failure:?}");
            let named = if name == "half.test" {
                "servfail.test"
            } else {
                name
            };
            assert!(failure.message.contains(named), "{failure}");
        }
        let nobody = Dns {
            servers: vec![Fake::nobody()],
            ..Dns::default()
        };
        let failed = look(&source("web.test", DnsRecord::A(80)), &nobody).await;
        assert!(failed.is_err(), "{failed:?}");
    });
}

#[test]
fn answers_that_are_cut_short_and_those_of_consul_come_over_tcp() {
    run(async {
        let fake = Fake::start(|name, _, over_tcp| {
            let count = if over_tcp { 300 } else { 30 };
            let all = (0..count).fold(Reply::new(), |reply, n: u16| {
                reply.a(name, 1, [10, 1, (n >> 8) as u8, n as u8])
            });
            // Consul leaves out what does not fit, and does not say so.
            match name == "cut.test" && !over_tcp {
                true => all.cut(),
                false => all,
            }
        })
        .await;
        let tcp = Dns {
            transport: DnsTransport::Tcp,
            ..fake.dns()
        };
        let count = async |name, dns: &Dns| {
            let (found, _) = look(&source(name, DnsRecord::A(80)), dns).await.unwrap();
            found.members.len()
        };
        assert_eq!(count("cut.test", &fake.dns()).await, 300);
        assert_eq!(count("consul.test", &fake.dns()).await, 30);
        assert_eq!(count("consul.test", &tcp).await, 300);
    });
}

#[test]
fn more_servers_than_fit_anywhere_are_a_failure() {
    run(async {
        let fake = Fake::start(|name, kind, _| match kind {
            // Two targets of 2,500 addresses each, from their own answers.
            "SRV" => Reply::new().srv(name, 1, (1, 1, 80), "one.test").srv(
                name,
                1,
                (1, 1, 80),
                "two.test",
            ),
            _ => (0..2_500).fold(Reply::new(), |reply, n: u16| {
                let net = u8::from(name == "two.test");
                reply.a(name, 1, [10, net, (n >> 8) as u8, n as u8])
            }),
        })
        .await;
        let tcp = Dns {
            transport: DnsTransport::Tcp,
            ..fake.dns()
        };
        let failed = look(&source("web.test", DnsRecord::Srv), &tcp).await;
        assert_eq!(failed.unwrap_err().kind, FailureKind::TooLarge);
    });
}
