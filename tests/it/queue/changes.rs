//! What changes while requests wait.

use super::{Bench, answer, request};
use crate::support::{PlayedOrigin, RawClient};

/// One request at the server, so many behind it.
fn waiting(
    bench: &Bench,
    origin: &PlayedOrigin,
    count: usize,
) -> (RawClient, RawClient, Vec<RawClient>) {
    let first = bench.asking("/0");
    let (held, _) = request(origin);
    let behind = (1..=count)
        .map(|n| bench.queueing(&format!("/{n}")))
        .collect();
    (first, held, behind)
}

#[test]
fn a_limit_that_is_raised_lets_them_in_at_once_and_in_order() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(2, &[origin.addr()], "server_maxconn = 1");
    let (_first, held, mut behind) = waiting(&bench, &origin, 4);
    bench.obeys("set maxconn server web/s1 3");
    assert_eq!(bench.cell("s1", "slim"), 3);
    let mut at_server: Vec<_> = (0..2).map(|_| request(&origin)).collect();
    at_server.sort_by(|a, b| a.1.cmp(&b.1));
    let paths: Vec<&str> = at_server.iter().map(|(_, path)| &**path).collect();
    assert_eq!(paths, ["/1", "/2"]);
    bench.until_queued(2);
    let shown = bench.ask("show overrides");
    assert!(shown.contains("maxconn"), "{shown}");
    // 0 is no limit.
    bench.obeys("set maxconn server web/s1 0");
    at_server.extend((0..2).map(|_| request(&origin)));
    for (connection, _) in at_server {
        answer(connection);
    }
    answer(held);
    for client in &mut behind {
        assert_eq!(client.read_response().0.status(), 200);
    }
    bench.obeys("clear override web/s1");
    assert_eq!(bench.cell("s1", "slim"), 1);
    bench.comes_to_rest();
}

#[test]
fn a_reload_that_raises_or_takes_away_the_limit_lets_them_in() {
    for keys in ["server_maxconn = 3", ""] {
        let origin = PlayedOrigin::listen();
        let bench = Bench::start(2, &[origin.addr()], "server_maxconn = 1");
        let (_first, held, mut behind) = waiting(&bench, &origin, 2);
        bench.reload(2, keys);
        for _ in 0..2 {
            answer(request(&origin).0);
        }
        for client in &mut behind {
            assert_eq!(client.read_response().0.status(), 200);
        }
        answer(held);
        bench.comes_to_rest();
    }
}

#[test]
fn a_lower_limit_waits_until_enough_have_gone() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(1, &[origin.addr()], "server_maxconn = 3");
    let _clients: Vec<RawClient> = (0..3).map(|n| bench.asking(&format!("/{n}"))).collect();
    let mut held: Vec<RawClient> = (0..3).map(|_| request(&origin).0).collect();
    let mut waits = bench.queueing("/3");
    bench.obeys("set maxconn server web/s1 1");
    for left in [2, 1] {
        answer(held.pop().unwrap());
        crate::support::wait_until(crate::support::PATIENCE, "one less", || {
            bench.lb.server("web", "s1").places == left
        });
        assert_eq!(bench.lb.queued("web"), 1);
    }
    answer(held.pop().unwrap());
    answer(request(&origin).0);
    assert_eq!(waits.read_response().0.status(), 200);
    bench.comes_to_rest();
}

#[test]
fn who_waits_goes_to_a_server_that_comes() {
    let (origin, other) = (PlayedOrigin::listen(), PlayedOrigin::listen());
    let bench = Bench::start(2, &[origin.addr()], "server_maxconn = 1");
    let (_first, held, mut behind) = waiting(&bench, &origin, 1);
    let added = bench.ask(&format!("add server web/n1 {} maxconn 1 up", other.addr()));
    assert!(added.contains("registered"), "{added}");
    assert_eq!(bench.cell("n1", "slim"), 1);
    answer(request(&other).0);
    assert_eq!(behind[0].read_response().0.status(), 200);
    answer(held);
    bench.comes_to_rest();
}

#[test]
fn nobody_waits_for_servers_that_take_no_work() {
    let (origin, other) = (PlayedOrigin::listen(), PlayedOrigin::listen());
    for state in ["drain", "maint"] {
        let servers = [origin.addr(), other.addr()];
        let bench = Bench::start(2, &servers, "server_maxconn = 1");
        bench.obeys("set server web/s2 state maint");
        let (mut first, held, mut behind) = waiting(&bench, &origin, 2);
        // One of two: the other one has room.
        bench.obeys("set server web/s2 state ready");
        let (at_other, path) = request(&other);
        assert_eq!(path, "/1");
        bench.obeys(&format!("set server web/s1 state {state}"));
        bench.until_queued(1);
        bench.obeys(&format!("set server web/s2 state {state}"));
        assert_eq!(behind[1].read_response().0.status(), 503);
        // What they have they may finish.
        answer(held);
        answer(at_other);
        assert_eq!(first.read_response().0.status(), 200);
        assert_eq!(behind[0].read_response().0.status(), 200);
        bench.comes_to_rest();
    }
}

#[test]
fn a_weight_of_zero_takes_nobody_out_of_the_queue() {
    let (origin, other) = (PlayedOrigin::listen(), PlayedOrigin::listen());
    let bench = Bench::start(1, &[origin.addr(), other.addr()], "server_maxconn = 1");
    let _clients = [bench.asking("/a"), bench.asking("/b")];
    let (held, at_other) = (request(&origin).0, request(&other).0);
    let mut waits = bench.queueing("/c");
    bench.obeys("set weight web/s1 0");
    answer(held);
    crate::support::wait_until(crate::support::PATIENCE, "its place is free", || {
        bench.lb.server("web", "s1").places == 0
    });
    assert_eq!(bench.lb.queued("web"), 1);
    answer(at_other);
    answer(request(&other).0);
    assert_eq!(waits.read_response().0.status(), 200);
    assert!(origin.poll_accept().is_none());
    bench.comes_to_rest();
}

#[test]
fn a_backend_that_leaves_leaves_nobody_waiting() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(2, &[origin.addr()], "server_maxconn = 1");
    let (mut first, held, mut behind) = waiting(&bench, &origin, 3);
    let other = "[global]\nworkers = 2\nadmin = \"\"\n[[listen]]\nname = \"other\"\nbind = \"127.0.0.1:0\"\nserver = \"127.0.0.1:9\"\n";
    bench.lb.apply(other).unwrap();
    for client in &mut behind {
        assert_eq!(client.read_response().0.status(), 503);
    }
    answer(held);
    assert_eq!(first.read_response().0.status(), 200);
}
