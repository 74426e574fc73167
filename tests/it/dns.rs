//! Servers that DNS knows, from a real DNS server to the traffic.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::support::real::{self, Knot};
use crate::support::{Lb, Origin, PATIENCE, Rlb, free_addr, load, wait_until};

fn start(knot: &Knot, source: &str, dns: &str, bind: SocketAddr) -> Rlb {
    let config = format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\n\
         source = {{ {source} }}\n[discovery.dns]\nservers = \"{}\"\n{dns}\n",
        knot.addr()
    );
    Rlb::with(config).ready_on(bind).start()
}

/// The record of an instance that listens there.
fn srv(origin: &Origin, priority_and_weight: &str) -> String {
    let port = origin.addr().port();
    format!("_http._tcp SRV {priority_and_weight} {port} local")
}

fn asked(origin: &Origin) -> usize {
    let requests = origin.requests();
    let got = requests.iter().filter(|r| r.head.0.starts_with("GET "));
    got.count()
}

#[test]
fn services_of_a_real_server_come_and_go_and_outlive_it() {
    let [one, two, spare] = [(); 3].map(|()| Origin::echoing_target());
    let records = [srv(&one, "10 3"), srv(&spare, "20 1")].join("\n");
    let Some(knot) = real::knot(&format!("local A 127.0.0.1\n{records}")) else {
        return;
    };
    let bind = free_addr();
    let source = "dns = \"_http._tcp.rlb.test\"";
    let rlb = start(&knot, source, "hold_nx = \"1s\"\nttl.max = \"1s\"", bind);
    let is_ok = || load(bind, 1, 1).contains_key(&200);
    wait_until(PATIENCE, "the first instance serves", is_ok);

    let of_four = || {
        let before = (asked(&one), asked(&two));
        assert_eq!(load(bind, 2, 40), BTreeMap::from([(200, 40)]));
        (asked(&one) - before.0, asked(&two) - before.1)
    };
    knot.change(&[&format!(
        "set {}",
        srv(&two, "10 1").replace("SRV", "1 SRV")
    )]);
    wait_until(PATIENCE, "a record that came has its weight's part", || {
        of_four() == (30, 10)
    });
    knot.change(&[&format!("unset {}", srv(&one, "10 3"))]);
    wait_until(PATIENCE, "a record that went gets nothing", || {
        of_four() == (0, 40)
    });
    assert_eq!(asked(&spare), 0, "a worse priority is a backup");

    // A server that is silent makes nothing go.
    knot.freeze();
    let is_lost = || rlb.stderr().contains("is lost, the last good set stays");
    wait_until(PATIENCE, "its silence is told", is_lost);
    assert_eq!(of_four(), (0, 40));
    knot.thaw();
    wait_until(PATIENCE, "it is back", || rlb.stderr().contains("is back"));

    // The name is gone: held for a second, then believed.
    let gone = ["unset _http._tcp SRV"];
    knot.change(&gone);
    let is_held = || rlb.stderr().contains("is empty all of a sudden");
    wait_until(PATIENCE, "it is held", is_held);
    wait_until(PATIENCE, "then nobody is there", || {
        load(bind, 1, 1).contains_key(&503)
    });
    knot.change(&[&format!(
        "set {}",
        srv(&spare, "0 0").replace("SRV", "1 SRV")
    )]);
    wait_until(PATIENCE, "whoever comes serves", is_ok);
    assert!(asked(&spare) > 0);
}

#[test]
fn server_with_a_name_waits_in_maintenance_until_it_is_known() {
    let Some(knot) = real::knot("other A 127.0.0.1") else {
        return;
    };
    let (named, other) = (Origin::echoing_target(), Origin::echoing_target());
    let config = format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\n\
         server = [{{ name = \"s1\", address = \"late.rlb.test:{}\" }}, \"other.rlb.test:{}\"]\n\
         [discovery.dns]\nservers = \"{}\"\nhold_nx = \"0s\"\nttl.max = \"1s\"\n",
        named.addr().port(),
        other.addr().port(),
        knot.addr()
    );
    // The start goes on without them.
    let lb = Lb::start_whole(&config);
    let addr = lb.addr();
    wait_until(PATIENCE, "what is known serves", || {
        load(addr, 1, 1).contains_key(&200)
    });
    let status = || lb.server("web", "s1").status;
    assert_eq!(status(), "MAINT (resolution)");
    assert_eq!(load(addr, 2, 10), BTreeMap::from([(200, 10)]));
    assert_eq!(asked(&named), 0);
    knot.change(&["set late 1 A 127.0.0.1"]);
    wait_until(PATIENCE, "it is known", || status() == "no check");
    // The schedule is in force a moment after the status has changed.
    wait_until(PATIENCE, "it has its half", || {
        let before = asked(&named);
        assert_eq!(load(addr, 2, 10), BTreeMap::from([(200, 10)]));
        asked(&named) - before == 5
    });
    knot.change(&["unset late A"]);
    wait_until(PATIENCE, "it is gone again", || {
        status() == "MAINT (resolution)"
    });
    let before = asked(&named);
    assert_eq!(load(addr, 2, 10), BTreeMap::from([(200, 10)]));
    assert_eq!(asked(&named), before);
}

#[test]
fn three_hundred_addresses_of_a_real_server_arrive_over_tcp() {
    let records: Vec<String> = (1..=300_u16)
        .map(|n| format!("many A 127.9.{}.{}", n >> 8, n & 255))
        .collect();
    let Some(knot) = real::knot(&records.join("\n")) else {
        return;
    };
    for transport in ["udp", "tcp"] {
        let bind = free_addr();
        let more = format!("transport = \"{transport}\"");
        let rlb = start(&knot, "dns = \"many.rlb.test\", port = 9", &more, bind);
        wait_until(PATIENCE, "all are members", || {
            rlb.stderr().matches("address=127.9.").count() == 300
        });
    }
}
