//! One wait: what it waits for, how long it takes, how it ends.

use std::time::{Duration, Instant};

use super::{Bench, answer, request, said};
use crate::support::{PATIENCE, PlayedOrigin, RawClient, dawdle, wait_until};

/// Long enough for a timer to tell, short enough for a test.
const HOLD: Duration = Duration::from_millis(150);

#[test]
fn the_second_request_waits_for_the_place_of_the_first() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(1, &[origin.addr()], "server_maxconn = 1");
    let mut first = bench.asking("/1");
    let (held, path) = request(&origin);
    assert_eq!(path, "/1");
    let mut second = bench.queueing("/2");
    assert!(origin.poll_accept().is_none(), "nothing reaches the server");
    for (column, of_server, of_backend) in [("qcur", 0, 1), ("qmax", 0, 1), ("scur", 1, 1)] {
        let cells = [bench.cell("s1", column), bench.cell("BACKEND", column)];
        assert_eq!(cells, [of_server, of_backend], "{column}");
    }
    assert_eq!(bench.cell("s1", "slim"), 1);
    let explained = bench.ask("explain GET http://test/");
    for words in ["1 of 1 places taken", "1 wait for a place"] {
        assert!(explained.contains(words), "{explained}");
    }
    dawdle(HOLD);
    answer(held);
    assert_eq!(first.read_response().0.status(), 200);
    let (held, path) = request(&origin);
    assert_eq!(path, "/2");
    answer(held);
    assert_eq!(second.read_response().0.status(), 200);

    let lines = bench.log(2);
    assert_eq!(said(&lines[0]).2, "0/0");
    let (timers, end, queue) = said(&lines[1]);
    assert_eq!((&*end, &*queue), ("----", "0/1"));
    let (waited, whole) = (timers[1], timers[4]);
    assert!(waited >= HOLD.as_millis() as i64, "{timers:?}");
    assert!(timers[2] < waited && whole >= waited, "{timers:?}");
    bench.comes_to_rest();
    assert_eq!(bench.cell("BACKEND", "qcur"), 0);
    assert_eq!(bench.cell("BACKEND", "qmax"), 1);
    // One of two waited: half of it is the average.
    let average = bench.cell("s1", "qtime");
    assert!(average >= HOLD.as_millis() as u64 / 2, "{average}");
    assert!(bench.cell("s1", "qtime_max") >= HOLD.as_millis() as u64);
    // What came out of the queue is no choice of the algorithm's, as in HAProxy.
    assert_eq!(bench.cell("s1", "lbtot"), 1);
    assert_eq!(bench.cell("s1", "stot"), 2);
}

#[test]
fn a_kept_connection_is_used_by_who_waited() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(1, &[origin.addr()], "server_maxconn = 1");
    let mut first = bench.asking("/1");
    let (mut kept, _) = request(&origin);
    let mut second = bench.queueing("/2");
    kept.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(first.read_response().0.status(), 200);
    assert!(kept.read_head().first_line().starts_with("GET /2 "));
    kept.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(second.read_response().0.status(), 200);
    assert!(origin.poll_accept().is_none());
}

#[test]
fn a_body_waits_with_its_head() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(1, &[origin.addr()], "server_maxconn = 1");
    let mut first = bench.asking("/1");
    let (held, _) = request(&origin);
    let mut second = bench.lb.client();
    second.send("POST /2 HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello");
    bench.until_queued(1);
    second.send("world");
    answer(held);
    first.read_response();
    let mut connection = origin.accept();
    assert!(connection.read_head().first_line().starts_with("POST /2 "));
    assert_eq!(connection.read_bytes(10), b"helloworld");
    answer(connection);
    assert_eq!(second.read_response().0.status(), 200);
}

#[test]
fn a_wait_that_is_too_long_is_told_as_such() {
    let origin = PlayedOrigin::listen();
    let keys = "server_maxconn = 1\ntimeouts = { queue = \"100ms\" }\nretry_after = \"7s\"";
    let bench = Bench::start(1, &[origin.addr()], keys);
    let mut first = bench.asking("/1");
    let (held, _) = request(&origin);
    let (head, _) = bench.asking("/2").read_response();
    assert_eq!((head.status(), head.field("retry-after")), (503, Some("7")));
    let reason = head.field("x-rlb-reason").unwrap();
    assert!(reason.contains("in time"), "{reason}");
    answer(held);
    assert_eq!(first.read_response().0.status(), 200);
    let (timers, end, queue) = said(&bench.log(2)[0]);
    assert_eq!((&*end, &*queue), ("sQ--", "0/1"));
    assert!(timers[1] >= 100 && timers[2..4] == [-1, -1], "{timers:?}");
    assert_eq!(bench.cell("BACKEND", "econ"), 1);
    bench.comes_to_rest();
}

#[test]
fn no_more_wait_than_may() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(1, &[origin.addr()], "server_maxconn = 1\nmaxqueue = 2");
    let mut clients = vec![bench.asking("/1")];
    let (held, _) = request(&origin);
    clients.extend(["/2", "/3"].map(|path| bench.queueing(path)));
    let (head, _) = bench.asking("/4").read_response();
    assert_eq!(head.status(), 503);
    assert_eq!(said(&bench.log(1)[0]).1, "SQ--");
    answer(held);
    for _ in 1..3 {
        answer(request(&origin).0);
    }
    for client in &mut clients {
        assert_eq!(client.read_response().0.status(), 200);
    }
    bench.comes_to_rest();
}

#[test]
fn who_leaves_is_left_out() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(2, &[origin.addr()], "server_maxconn = 1");
    let mut first = bench.asking("/1");
    let (held, _) = request(&origin);
    let second = bench.queueing("/2");
    let mut third = bench.queueing("/3");
    // One with a body that is still to come.
    let mut fourth = bench.lb.client();
    fourth.send("POST /4 HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello");
    bench.until_queued(3);
    second.reset();
    fourth.reset();
    bench.until_queued(1);
    answer(held);
    let (held, path) = request(&origin);
    assert_eq!(path, "/3");
    answer(held);
    for client in [&mut first, &mut third] {
        assert_eq!(client.read_response().0.status(), 200);
    }
    let lines = bench.log(4);
    let left: Vec<_> = lines.iter().filter(|line| said(line).1 == "CQ--").collect();
    assert_eq!(left.len(), 2, "{lines:?}");
    for line in left {
        let (timers, ..) = said(line);
        assert!(timers[1] >= 0 && timers[2] == -1, "{line}");
        assert!(line.contains(" web/<NOSRV> "), "{line}");
    }
    bench.comes_to_rest();
    assert_eq!(bench.cell("BACKEND", "cli_abrt"), 2);
}

#[test]
fn an_upgraded_connection_keeps_its_place() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(1, &[origin.addr()], "server_maxconn = 1");
    let mut tunnel = bench.lb.client();
    tunnel.send(
        "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let (mut held, _) = request(&origin);
    held.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(tunnel.read_head().status(), 101);
    let mut second = bench.queueing("/2");
    tunnel.send("ping");
    assert_eq!(held.read_bytes(4), b"ping");
    assert_eq!(bench.lb.server("web", "s1").places, 1);
    drop(tunnel);
    drop(held);
    let (held, path) = request(&origin);
    assert_eq!(path, "/2");
    answer(held);
    assert_eq!(second.read_response().0.status(), 200);
    bench.comes_to_rest();
}

#[test]
fn sessions_wait_too() {
    let origin = PlayedOrigin::listen();
    let keys = "mode = \"tcp\"\nserver_maxconn = 1\ntimeouts = { queue = \"20s\" }";
    let tcp = |keys: &str| {
        let bench = format!(
            "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nserver = \"{}\"\n{keys}\n",
            origin.addr()
        );
        crate::support::Lb::start(&bench)
    };
    let lb = tcp(keys);
    let mut first = lb.client();
    first.send("one");
    let mut held = origin.accept();
    assert_eq!(held.read_bytes(3), b"one");
    let mut second = lb.client();
    second.send("two");
    wait_until(PATIENCE, "a session in the queue", || lb.queued("web") == 1);
    let third = lb.client();
    wait_until(PATIENCE, "two in the queue", || lb.queued("web") == 2);
    third.reset();
    wait_until(PATIENCE, "one has left", || lb.queued("web") == 1);
    drop((first, held));
    let mut held = origin.accept();
    assert_eq!(held.read_bytes(3), b"two");
    held.send("2");
    assert_eq!(second.read_bytes(1), b"2");
    drop((second, held));

    let lb = tcp("mode = \"tcp\"\nserver_maxconn = 1\ntimeouts = { queue = \"50ms\" }");
    let _first = lb.client();
    let _held = origin.accept();
    let begun = Instant::now();
    let (nothing, end) = lb.client().read_end();
    assert_eq!((&*nothing, end), (&b""[..], crate::support::End::Reset));
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_server_that_refuses_gives_its_place_back() {
    let dead = crate::support::free_addr();
    let bench = Bench::start(1, &[dead], "server_maxconn = 1\nretries = 1");
    for _ in 0..5 {
        assert_eq!(bench.asking("/").read_response().0.status(), 503);
    }
    bench.comes_to_rest();

    // The other one has a place, in the end.
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(1, &[origin.addr(), dead], "server_maxconn = 1\nretries = 3");
    let mut clients: Vec<RawClient> = (0..4).map(|n| bench.asking(&format!("/{n}"))).collect();
    let mut served = 0;
    wait_until(PATIENCE, "all were answered", || {
        if let Some(mut connection) = origin.poll_accept() {
            connection.read_head();
            answer(connection);
        }
        clients.retain_mut(|client| {
            let quiet = client.is_quiet();
            if !quiet {
                served += usize::from(client.read_response().0.status() == 200);
            }
            quiet
        });
        clients.is_empty()
    });
    assert!(served > 0);
    bench.comes_to_rest();
}

#[test]
fn a_process_that_stops_serves_who_waits() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(1, &[origin.addr()], "server_maxconn = 1");
    let mut first = bench.asking("/1");
    let (held, _) = request(&origin);
    let mut second = bench.queueing("/2");
    bench.lb.stop(rlb::StopKind::Drain);
    answer(held);
    assert_eq!(first.read_response().0.status(), 200);
    answer(request(&origin).0);
    let (head, _) = second.read_response();
    assert_eq!(
        (head.status(), head.field("connection")),
        (200, Some("close"))
    );
}

#[test]
fn a_process_that_is_cut_cuts_who_waits() {
    let origin = PlayedOrigin::listen();
    let bench = Bench::start(1, &[origin.addr()], "server_maxconn = 1");
    let _first = bench.asking("/1");
    let _held = request(&origin);
    let mut second = bench.queueing("/2");
    bench.lb.stop(rlb::StopKind::Now);
    second.read_until_close();
    let lines = bench.log(2);
    assert!(lines.iter().any(|line| said(line).1 == "KQ--"), "{lines:?}");
}
