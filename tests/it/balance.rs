//! Who gets how much, over real connections.

use std::collections::BTreeMap;

use crate::support::{
    Answer, Lb, Origin, PATIENCE, RawClient, echoed, free_addr, load, wait_until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn config(workers: usize, servers: &[String], more: &str) -> String {
    let servers = servers.join(", ");
    format!(
        "[global]\nworkers = {workers}\nadmin = \"\"\n[[listen]]\nname = \"web\"\n\
         bind = \"127.0.0.1:0\"\nserver = [{servers}]\n{more}\n"
    )
}

fn server(n: usize, addr: impl std::fmt::Display, more: &str) -> String {
    format!("{{ name = \"s{n}\", address = \"{addr}\"{more} }}")
}

/// Requests that came from clients, not from checks.
fn asked(origin: &Origin) -> usize {
    let requests = origin.requests();
    let got = requests.iter().filter(|r| r.head.0.starts_with("GET "));
    got.count()
}

#[test]
fn weights_are_kept_to_the_request_on_two_and_on_four_workers() {
    for workers in [2, 4] {
        let mut origins: Vec<Origin> = (0..3).map(|_| Origin::echoing_target()).collect();
        let servers: Vec<String> = (1..)
            .zip(&origins)
            .zip([5, 1, 1])
            .map(|((n, origin), weight)| server(n, origin.addr(), &format!(", weight = {weight}")))
            .collect();
        let check = "check = { interval = \"50ms\", timeout = \"5s\", fall = 1 }";
        let lb = Lb::start_whole(&config(workers, &servers, check));
        assert_eq!(
            load(lb.addr_of("web"), 64, 7000),
            BTreeMap::from([(200, 7000)])
        );
        let shares: Vec<usize> = origins.iter().map(asked).collect();
        assert_eq!(shares, [5000, 1000, 1000], "{workers} workers");

        drop(origins.remove(0));
        wait_until(PATIENCE, "the heavy one is out", || {
            lb.server("web", "s1").status == "DOWN"
        });
        assert_eq!(
            load(lb.addr_of("web"), 64, 7000),
            BTreeMap::from([(200, 7000)])
        );
        // One cycle may be cut short by the schedule without the heavy one.
        let shares = [asked(&origins[0]), asked(&origins[1])];
        assert!(
            shares[0].abs_diff(shares[1]) <= 2,
            "{shares:?}, {workers} workers"
        );
    }
}

#[test]
fn backups_serve_while_nobody_else_does() {
    let (active, backup, second) = (
        Origin::echoing_target(),
        Origin::echoing_target(),
        Origin::echoing_target(),
    );
    let addr = active.addr();
    let servers = [
        server(1, addr, ""),
        server(2, backup.addr(), ", backup = true"),
        server(3, second.addr(), ", backup = true"),
    ];
    let check = "check = { interval = \"20ms\", timeout = \"5s\", fall = 1, rise = 1 }";
    let lb = Lb::start_whole(&config(2, &servers, check));
    load(lb.addr_of("web"), 4, 20);
    assert_eq!([asked(&active), asked(&backup)], [20, 0]);
    drop(active);
    wait_until(PATIENCE, "it is out", || {
        lb.server("web", "s1").status == "DOWN"
    });
    assert_eq!(load(lb.addr_of("web"), 4, 20), BTreeMap::from([(200, 20)]));
    assert_eq!(
        [asked(&backup), asked(&second)],
        [20, 0],
        "the first one alone"
    );
    let back = Origin::answering_at(addr, |request| {
        Answer::Keep(echoed(request.head.first_line()))
    });
    // The schedule is built anew a moment after the state has changed.
    wait_until(PATIENCE, "it serves again", || {
        load(lb.addr_of("web"), 1, 1);
        asked(&back) > 0
    });
    let before = asked(&backup);
    load(lb.addr_of("web"), 4, 20);
    assert_eq!(asked(&backup), before);
}

#[test]
fn weight_zero_gets_nothing() {
    let (none, all) = (Origin::echoing_target(), Origin::echoing_target());
    let servers = [
        server(1, none.addr(), ", weight = 0"),
        server(2, all.addr(), ", weight = 1"),
    ];
    let lb = Lb::start_whole(&config(2, &servers, ""));
    load(lb.addr_of("web"), 4, 100);
    assert_eq!([asked(&none), asked(&all)], [0, 100]);
    lb.apply(&config(2, &servers[..1], "")).unwrap();
    assert_eq!(load(lb.addr_of("web"), 4, 4), BTreeMap::from([(503, 4)]));
}

#[test]
fn nobody_usable_is_a_503_that_says_when_to_come_again() {
    let servers = [server(1, free_addr(), ""), server(2, free_addr(), "")];
    let check = "check = { interval = \"20ms\", timeout = \"5s\", fall = 1 }\nretry_after = \"7s\"";
    let lb = Lb::start_whole(&config(2, &servers, check));
    wait_until(PATIENCE, "both are out", || {
        ["s1", "s2"]
            .iter()
            .all(|name| lb.server("web", name).status == "DOWN")
    });
    let mut client = RawClient::connect(lb.addr_of("web"));
    for _ in 0..2 {
        let (head, _) = client.send(GET).read_response();
        assert_eq!(head.status(), 503);
        assert_eq!(head.fields("Retry-After"), ["7"]);
        assert_eq!(head.fields("X-Rlb-Reason"), ["no server available"]);
    }
    assert_eq!(lb.server("web", "s1").connects, 0);
}

#[test]
fn every_try_refused_is_a_503_too() {
    let lb = Lb::start_whole(&config(2, &[server(1, free_addr(), "")], "retries = 2"));
    assert_eq!(load(lb.addr_of("web"), 1, 3), BTreeMap::from([(503, 3)]));
    let server = lb.server("web", "s1");
    assert_eq!(
        (server.retries, server.redispatches, server.connect_errors),
        (6, 0, 3)
    );
}
