//! A client whose server is at its limit waits for that one.

use std::net::SocketAddr;

use super::{Bench, request};
use crate::log::{lines_of, number, stat};
use crate::support::{PATIENCE, PlayedOrigin, RawClient, wait_until};

/// Two servers of one place each.
fn limited(servers: [SocketAddr; 2], keys: &str) -> Bench {
    let keys = format!("cookie = \"SRV\"\nserver_maxconn = 1\n{keys}");
    Bench::start(&servers, &keys)
}

fn cell(bench: &Bench, server: &str, column: &str) -> u64 {
    number(&stat(&bench.socket()), "web", server, column)
}

fn asking(bench: &Bench, cookies: &[&str]) -> RawClient {
    let mut client = bench.lb.client();
    client.send(request(cookies));
    client
}

#[track_caller]
fn until_waiting(bench: &Bench, server: &str, count: u64) {
    let what = format!("{count} in the line of {server}");
    wait_until(PATIENCE, &what, || cell(bench, server, "qcur") == count);
}

/// The next request of a server.
#[track_caller]
fn request_of(origin: &PlayedOrigin) -> RawClient {
    let mut connection = origin.accept();
    connection.read_head();
    connection
}

fn answer(mut connection: RawClient) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
}

/// Queue of each line: `1/0`.
fn queues(bench: &Bench, lines: usize) -> Vec<String> {
    let lines = lines_of(&bench.dir.path().join("log"), lines);
    let queue = |line: &String| {
        let (_, rest) = line.split_once("] ").unwrap();
        rest.split(' ').nth(9).unwrap().to_owned()
    };
    lines.iter().map(queue).collect()
}

#[test]
fn a_client_waits_for_its_own_server_while_others_are_free() {
    let (first, second) = (PlayedOrigin::listen(), PlayedOrigin::listen());
    let bench = limited([first.addr(), second.addr()], "");
    let mut one = asking(&bench, &["SRV=c1"]);
    let held = request_of(&first);
    let mut two = asking(&bench, &["SRV=c1"]);
    until_waiting(&bench, "s1", 1);
    assert_eq!(cell(&bench, "BACKEND", "qcur"), 0);
    // Nobody else is held up by that.
    let mut three = asking(&bench, &[]);
    answer(request_of(&second));
    assert_eq!(three.read_response().0.status(), 200);
    assert!(first.poll_accept().is_none());
    answer(held);
    assert_eq!(one.read_response().0.status(), 200);
    answer(request_of(&first));
    let (head, _) = two.read_response();
    assert_eq!((head.status(), head.field("set-cookie")), (200, None));
    assert_eq!(queues(&bench, 3), ["0/0", "0/0", "1/0"]);
    assert_eq!(bench.letters(3), "--VN");
    assert_eq!(cell(&bench, "s1", "qmax"), 1);
    until_waiting(&bench, "s1", 0);
}

#[test]
fn a_place_is_found_by_either_line() {
    let (first, second) = (PlayedOrigin::listen(), PlayedOrigin::listen());
    let bench = limited([first.addr(), second.addr()], "");
    let mut busy = [asking(&bench, &["SRV=c1"]), asking(&bench, &["SRV=c2"])];
    let held = [request_of(&first), request_of(&second)];
    let mut own = asking(&bench, &["SRV=c1"]);
    until_waiting(&bench, "s1", 1);
    let mut any = asking(&bench, &[]);
    until_waiting(&bench, "BACKEND", 1);
    // Of the second server nobody waits but who waits for any.
    let [one, two] = held;
    answer(two);
    answer(request_of(&second));
    assert_eq!(any.read_response().0.status(), 200);
    answer(one);
    answer(request_of(&first));
    assert_eq!(own.read_response().0.status(), 200);
    for client in &mut busy {
        assert_eq!(client.read_response().0.status(), 200);
    }
}

#[test]
fn who_waits_for_a_server_that_goes_is_given_another() {
    let (first, second) = (PlayedOrigin::listen(), PlayedOrigin::listen());
    for (command, keeps) in [("drain", true), ("maint", false)] {
        let bench = limited([first.addr(), second.addr()], "");
        let mut one = asking(&bench, &["SRV=c1"]);
        let held = request_of(&first);
        let mut two = asking(&bench, &["SRV=c1"]);
        until_waiting(&bench, "s1", 1);
        bench.obeys(&format!("set server web/s1 state {command}"));
        if keeps {
            assert_eq!(cell(&bench, "s1", "qcur"), 1);
            answer(held);
            answer(request_of(&first));
        } else {
            answer(request_of(&second));
            answer(held);
        }
        assert_eq!(one.read_response().0.status(), 200);
        let (head, _) = two.read_response();
        let set = head.field("set-cookie").is_some();
        assert_eq!((head.status(), set), (200, !keeps), "{command}");
    }
}

#[test]
fn patience_and_length_of_a_line_are_those_of_the_backend() {
    let (first, second) = (PlayedOrigin::listen(), PlayedOrigin::listen());
    let keys = "maxqueue = 1\ntimeouts = { queue = \"150ms\" }";
    let bench = limited([first.addr(), second.addr()], keys);
    let _one = asking(&bench, &["SRV=c1"]);
    let _held = request_of(&first);
    let mut two = asking(&bench, &["SRV=c1"]);
    until_waiting(&bench, "s1", 1);
    let mut three = asking(&bench, &["SRV=c1"]);
    assert_eq!(three.read_response().0.status(), 503);
    assert_eq!(bench.letters(1), "SQVN");
    assert_eq!(two.read_response().0.status(), 503);
    assert_eq!(bench.letters(2), "sQVN");
    assert_eq!(queues(&bench, 2)[1], "1/0");
}
