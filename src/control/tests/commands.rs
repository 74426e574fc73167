//! What may be asked at run time, verified by its effect on real workers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::harness::{Bench, Client, Origin, run, text, until};
use crate::config::{Server, ServerAddress};
use crate::control::{AddedState, First, Refusal, Stop, WeightChange};
use crate::generation;
use crate::state::{Admin, Operational};

/// `www` on a free port, `web` with these servers, and these lines in the backend.
fn lb(servers: &[(&str, &Origin)], more: &str) -> First {
    let servers = servers
        .iter()
        .map(|(name, origin)| format!("{{ name = \"{name}\", address = \"{}\" }}", origin.address));
    let servers: Vec<_> = servers.collect();
    text(&format!(
        "[global]\nadmin = \"\"\n[[frontend]]\nname = \"www\"\nbind = \"127.0.0.1:0\"\n\
         default_backend = \"web\"\n[[backend]]\nname = \"web\"\nserver = [{}]\n{more}",
        servers.join(", ")
    ))
}

/// How often each of two origins answers.
fn shares(names: &[String]) -> (usize, usize) {
    let mut shares = BTreeMap::new();
    for name in names {
        *shares.entry(&**name).or_insert(0) += 1;
    }
    let share = |name| shares.get(name).copied().unwrap_or(0);
    assert_eq!(share("a") + share("b"), names.len(), "{shares:?}");
    (share("a"), share("b"))
}

fn spec(name: &str, origin: &Origin) -> Server {
    Server::new(name, ServerAddress::Ip(origin.address))
}

fn objects(bench: &Bench) -> Vec<String> {
    let rows = bench.control.overrides().into_iter();
    rows.map(|row| format!("{} {} {}", row.object, row.what, row.running))
        .collect()
}

#[test]
fn weight_is_in_force_when_it_is_answered() {
    run(async {
        let (a, b) = (Origin::new("a").await, Origin::new("b").await);
        let bench = Bench::start(lb(&[("s1", &a), ("s2", &b)], "")).await;
        assert_eq!(shares(&bench.answers(8).await), (4, 4));
        let control = &bench.control;
        let three = WeightChange::Absolute(3);
        control.set_weight("web", "s1", three).await.unwrap();
        assert_eq!(shares(&bench.answers(8).await), (6, 2));
        let percent = WeightChange::Percent(700);
        control.set_weight("web", "s2", percent).await.unwrap();
        assert_eq!(shares(&bench.answers(20).await), (6, 14));
        assert_eq!(objects(&bench), ["web/s1 weight 3", "web/s2 weight 7"]);
        for server in ["s1", "s2"] {
            let written = WeightChange::Percent(100);
            control.set_weight("web", server, written).await.unwrap();
        }
        assert!(objects(&bench).is_empty(), "as written is no override");
        let huge = WeightChange::Percent(u32::MAX);
        control.set_weight("web", "s1", huge).await.unwrap();
        assert_eq!(objects(&bench), ["web/s1 weight 256"]);
        let causes: Vec<_> = control.history().into_iter().map(|row| row.cause).collect();
        assert_eq!(causes[..2], ["start", "set weight web/s1 3"]);
        let summary = &control.history()[1].summary;
        assert_eq!(summary, "web/s1: weight 1 -> 3");
        bench.stop().await;
    });
}

#[test]
fn unknown_names_are_refused() {
    run(async {
        let a = Origin::new("a").await;
        let bench = Bench::start(lb(&[("s1", &a)], "")).await;
        let control = &bench.control;
        let drain = Admin::Drain;
        let refused = control.set_state("wob", "s1", drain).await;
        assert_eq!(refused, Err(Refusal::NoSuchBackend));
        let refused = control.set_state("web", "s9", drain).await;
        assert_eq!(refused, Err(Refusal::NoSuchServer));
        let refused = control.set_frontend_enabled("wob", false).await;
        assert_eq!(refused, Err(Refusal::NoSuchFrontend));
        let refused = control.clear_override("web", "s9").await;
        assert_eq!(refused, Err(Refusal::NoSuchServer));
        let refused = control.set_checks_enabled("web", "s1", true).await;
        assert_eq!(refused, Err(Refusal::NoCheck));
        let added = |name| control.add_server("web", spec(name, &a), AddedState::Up);
        assert_eq!(added("s1").await, Err(Refusal::AlreadyExists));
        assert!(matches!(added("FRONTEND").await, Err(Refusal::BadName(_))));
        assert!(matches!(added("a,b").await, Err(Refusal::BadName(_))));
        assert_eq!(control.history().len(), 1, "nothing was changed");
        assert_eq!(control.inputs.borrow().overrides.len(), 0);
        bench.stop().await;
    });
}

#[test]
fn drain_takes_no_new_request_and_ready_takes_them_again() {
    run(async {
        let (a, b) = (Origin::new("a").await, Origin::new("b").await);
        let bench = Bench::start(lb(&[("s1", &a), ("s2", &b)], "")).await;
        let control = &bench.control;
        bench.answers(4).await;
        for state in [Admin::Drain, Admin::Maint] {
            for _ in 0..20 {
                control.set_state("web", "s1", state).await.unwrap();
                let seen = a.seen.get();
                assert_eq!(shares(&bench.answers(4).await), (0, 4));
                assert_eq!(a.seen.get(), seen);
                control.set_state("web", "s1", Admin::Ready).await.unwrap();
                assert_eq!(shares(&bench.answers(4).await), (2, 2));
            }
        }
        control.set_state("web", "s1", Admin::Drain).await.unwrap();
        let rows = control.draining();
        assert_eq!((rows.len(), rows[0].left, rows[0].cut_in), (1, 0, None));
        until("idle connections are closed", async || a.open.get() == 0).await;
        bench.stop().await;
    });
}

#[test]
fn deleted_server_finishes_what_it_has_and_its_idle_connections_close() {
    run(async {
        let (a, b) = (Origin::slow("a").await, Origin::new("b").await);
        let bench = Bench::start(lb(&[("s1", &a)], "")).await;
        let control = &bench.control;
        let mut idle = Client::connect(bench.address()).await;
        let mut busy = Client::connect(bench.address()).await;
        a.release();
        assert_eq!(idle.ask().await, "a");
        busy.send().await;
        until("the request is there", async || a.seen.get() == 2).await;
        let added = control.add_server("web", spec("s2", &b), AddedState::Up);
        added.await.unwrap();
        let wait = Some(Duration::from_secs(30));
        control.del_server("web", "s1", wait).await.unwrap();
        let rows = control.draining();
        assert_eq!((&*rows[0].server, rows[0].left), ("s1", 1));
        let left = rows[0].cut_in.unwrap();
        assert!(left > Duration::from_secs(25) && left <= Duration::from_secs(30));
        until("the idle connection is closed", async || a.open.get() == 1).await;
        assert_eq!(idle.ask().await, "b", "the client's connection lives on");
        a.release();
        assert_eq!(busy.receive().await, "a");
        until("it has drained", async || control.draining().is_empty()).await;
        until("its connection is closed", async || a.open.get() == 0).await;
        assert_eq!(
            control.del_server("web", "s1", None).await,
            Err(Refusal::NoSuchServer)
        );
        // Written, so it is known still, and comes back when cleared.
        assert_eq!(bench.servers(), ["s2"]);
        control.clear_override("web", "s1").await.unwrap();
        assert_eq!(bench.servers(), ["s1", "s2"]);
        assert_eq!(control.clear_overrides().await, Ok(1));
        assert_eq!(bench.servers(), ["s1"]);
        bench.stop().await;
    });
}

#[test]
fn drain_time_of_the_command_is_kept() {
    run(async {
        let a = Origin::slow("a").await;
        let bench = Bench::start(lb(&[("s1", &a)], "drain_timeout = \"1h\"\n")).await;
        let mut busy = Client::connect(bench.address()).await;
        busy.send().await;
        until("the request is there", async || a.seen.get() == 1).await;
        let wait = Some(Duration::from_millis(200));
        bench.control.del_server("web", "s1", wait).await.unwrap();
        assert_ne!(busy.receive().await, "a", "cut");
        until("it is gone", async || bench.control.draining().is_empty()).await;
        bench.stop().await;
    });
}

#[test]
fn server_that_comes_back_in_time_goes_on_as_it_was() {
    run(async {
        let a = Origin::slow("a").await;
        let bench = Bench::start(lb(&[("s1", &a)], "")).await;
        let control = &bench.control;
        let mut busy = Client::connect(bench.address()).await;
        busy.send().await;
        until("the request is there", async || a.seen.get() == 1).await;
        let id = |bench: &Bench| bench.control.generation().backends[0].servers[0].id();
        let before = id(&bench);
        control.del_server("web", "s1", None).await.unwrap();
        control.clear_override("web", "s1").await.unwrap();
        assert_eq!(id(&bench), before);
        assert!(control.draining().is_empty());
        control.del_server("web", "s1", None).await.unwrap();
        let mut spec = spec("s1", &a);
        spec.weight = 7;
        let added = control.add_server("web", spec, AddedState::Maint);
        added.await.unwrap();
        assert_eq!(id(&bench), before);
        let generation = control.generation();
        let state = &generation.backends[0].servers[0].state;
        assert_eq!((state.admin(), state.is_retired()), (Admin::Maint, false));
        a.release();
        assert_eq!(busy.receive().await, "a");
        bench.stop().await;
    });
}

#[test]
fn new_address_closes_what_was_pooled_to_the_old_one() {
    run(async {
        let (a, b) = (Origin::new("a").await, Origin::new("b").await);
        let bench = Bench::start(lb(&[("s1", &a)], "")).await;
        let control = &bench.control;
        let mut client = Client::connect(bench.address()).await;
        assert_eq!(client.ask().await, "a");
        assert_eq!(a.open.get(), 1);
        let ip = b.address.ip();
        let change = control.set_address("web", "s1", ip, Some(b.address.port()));
        let change = change.await.unwrap();
        assert_eq!((change.old, change.new), (a.address, b.address));
        until("the pool is closed", async || a.open.get() == 0).await;
        assert_eq!(client.ask().await, "b");
        assert_eq!(objects(&bench), [format!("web/s1 address {}", b.address)]);
        let same = control.set_address("web", "s1", ip, None).await.unwrap();
        assert_eq!(same.old, same.new);
        let back = control.set_address("web", "s1", ip, Some(a.address.port()));
        back.await.unwrap();
        assert!(objects(&bench).is_empty());
        assert_eq!(client.ask().await, "a");
        let zero = control.set_address("web", "s1", ip, Some(0)).await;
        assert!(matches!(zero, Err(Refusal::Other(_))));
        bench.stop().await;
    });
}

#[test]
fn added_server_starts_as_asked() {
    run(async {
        let (a, b) = (Origin::new("a").await, Origin::new("b").await);
        let bench = Bench::start(lb(&[("s1", &a)], "check = true\n")).await;
        let control = &bench.control;
        let added = control.add_server("web", spec("s2", &b), AddedState::Maint);
        added.await.unwrap();
        let server = |name: &str| {
            let generation = control.generation();
            std::sync::Arc::clone(generation.backends[0].server(name).unwrap())
        };
        assert!(!server("s2").check_enabled);
        assert_eq!(server("s2").state.admin(), Admin::Maint);
        assert_eq!(shares(&bench.answers(4).await), (4, 0));
        control.set_checks_enabled("web", "s2", true).await.unwrap();
        control.set_state("web", "s2", Admin::Ready).await.unwrap();
        assert!(server("s2").check_enabled);
        let passed = async |name| {
            until("its first check passed", async || {
                !server(name).state.is_unproven()
            })
            .await;
            until("it has its share", async || {
                bench.answers(4).await.contains(&"b".to_owned())
            })
            .await;
        };
        passed("s2").await;
        assert_eq!(shares(&bench.answers(4).await), (2, 2));
        let added = control.add_server("web", spec("s3", &b), AddedState::Up);
        added.await.unwrap();
        passed("s3").await;
        until("its slots are there", async || {
            shares(&bench.answers(6).await) == (2, 4)
        })
        .await;
        assert_eq!(shares(&bench.answers(6).await), (2, 4));
        bench.stop().await;
    });
}

#[test]
fn forced_health_holds_where_no_check_says_otherwise() {
    run(async {
        let (a, b) = (Origin::new("a").await, Origin::new("b").await);
        let bench = Bench::start(lb(&[("s1", &a), ("s2", &b)], "")).await;
        let control = &bench.control;
        for health in [Operational::Down, Operational::Stopping] {
            control.set_health("web", "s1", health).await.unwrap();
            assert_eq!(shares(&bench.answers(4).await), (0, 4));
            // Any other change leaves it so.
            let weight = WeightChange::Absolute(2);
            control.set_weight("web", "s2", weight).await.unwrap();
            assert_eq!(shares(&bench.answers(4).await), (0, 4));
            control.clear_override("web", "s2").await.unwrap();
            control.clear_override("web", "s1").await.unwrap();
            assert_eq!(shares(&bench.answers(4).await), (2, 2));
        }
        bench.stop().await;
    });
}

#[test]
fn check_that_is_disabled_leaves_the_state_as_it_is() {
    run(async {
        let a = Origin::new("a").await;
        let check = "check = { interval = \"20ms\", rise = 1, fall = 1 }\n";
        let bench = Bench::start(lb(&[("s1", &a)], check)).await;
        let control = &bench.control;
        let status = || generation::status(&control.generation().backends[0].servers[0]);
        until("it is healthy", async || status() == "UP").await;
        control
            .set_checks_enabled("web", "s1", false)
            .await
            .unwrap();
        assert_eq!(status(), "no check");
        control
            .set_health("web", "s1", Operational::Down)
            .await
            .unwrap();
        assert_eq!(status(), "DOWN");
        let rows = objects(&bench);
        assert_eq!(rows, ["web/s1 check off", "web/s1 health down"]);
        control.set_checks_enabled("web", "s1", true).await.unwrap();
        assert!(objects(&bench).is_empty());
        until("the checks go on", async || status() == "UP").await;
        bench.stop().await;
    });
}

#[test]
fn paused_frontend_listens_again_and_a_shut_one_is_gone() {
    run(async {
        let a = Origin::new("a").await;
        let bench = Bench::start(lb(&[("s1", &a)], "")).await;
        let control = &bench.control;
        let mut client = Client::connect(bench.address()).await;
        assert_eq!(client.ask().await, "a");
        control.set_frontend_enabled("www", false).await.unwrap();
        assert_eq!(
            control.set_frontend_enabled("www", false).await,
            Err(Refusal::AlreadySo)
        );
        assert!(control.addresses().is_empty());
        assert_eq!(client.ask().await, "a", "what came in goes on");
        control.set_frontend_enabled("www", true).await.unwrap();
        assert_eq!(shares(&bench.answers(2).await), (2, 0));
        control.set_frontend_maxconn("www", 1).await.unwrap();
        let limit = |bench: &Bench| bench.control.generation().frontends[0].config.maxconn;
        assert_eq!(limit(&bench), Some(1));
        control.set_frontend_maxconn("www", 0).await.unwrap();
        assert_eq!(limit(&bench), None);
        control.shutdown_frontend("www").await.unwrap();
        assert!(control.generation().frontends.is_empty());
        let refused = control.set_frontend_enabled("www", true).await;
        assert_eq!(refused, Err(Refusal::ShutDown));
        control.clear_frontend_override("www").await.unwrap();
        assert_eq!(shares(&bench.answers(2).await), (2, 0));
        bench.stop().await;
    });
}

#[test]
fn sessions_are_listed_and_ended() {
    run(async {
        let a = Origin::slow("a").await;
        let bench = Bench::start(lb(&[("s1", &a)], "")).await;
        let control = &bench.control;
        let mut busy = Client::connect(bench.address()).await;
        busy.send().await;
        until("the request is there", async || a.seen.get() == 1).await;
        let rows = control.list_sessions().await;
        assert_eq!(rows.len(), 1);
        assert_eq!(control.shutdown_sessions_server("web", "s1").await, Ok(1));
        assert_ne!(busy.receive().await, "a");
        let mut busy = Client::connect(bench.address()).await;
        busy.send().await;
        until("the request is there", async || a.seen.get() == 2).await;
        let row = control.list_sessions().await.pop().unwrap();
        let ended = control.shutdown_session(row.worker, row.info.index).await;
        assert_eq!(ended, Ok(()));
        assert_ne!(busy.receive().await, "a");
        let index = row.info.index + 99;
        let refused = control.shutdown_session(row.worker, index).await;
        assert_eq!(refused, Err(Refusal::NoSuchSession));
        bench.stop().await;
    });
}

#[test]
fn connection_in_use_while_the_address_changed_is_not_pooled() {
    run(async {
        let (a, b) = (Origin::slow("a").await, Origin::new("b").await);
        let bench = Bench::start(lb(&[("s1", &a)], "")).await;
        let control = &bench.control;
        let mut busy = Client::connect(bench.address()).await;
        busy.send().await;
        until("the request is there", async || a.seen.get() == 1).await;
        let (ip, port) = (b.address.ip(), b.address.port());
        let moved = control.set_address("web", "s1", ip, Some(port));
        moved.await.unwrap();
        a.release();
        assert_eq!(busy.receive().await, "a", "it finishes where it began");
        until("the old connection is closed", async || a.open.get() == 0).await;
        let generation = control.generation();
        let state = &generation.backends[0].servers[0].state;
        let idle = || state.counters.sum(|counters| counters.idle.get());
        until("and not counted", async || idle() == 0).await;
        assert_eq!(busy.ask().await, "b");
        bench.stop().await;
    });
}

#[test]
fn process_that_ends_obeys_still_but_opens_nothing() {
    run(async {
        let a = Origin::slow("a").await;
        let bench = Bench::start(lb(&[("s1", &a)], "")).await;
        let control = &bench.control;
        let mut busy = Client::connect(bench.address()).await;
        busy.send().await;
        until("the request is there", async || a.seen.get() == 1).await;
        control.request_stop(Stop::Drain);
        until("nobody listens", async || control.addresses().is_empty()).await;
        let five = WeightChange::Absolute(5);
        control.set_weight("web", "s1", five).await.unwrap();
        assert_eq!(control.generation().backends[0].servers[0].weight, 5);
        assert!(control.addresses().is_empty());
        a.release();
        assert_eq!(busy.receive().await, "a");
        bench.stop().await;
    });
}
