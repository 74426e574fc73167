//! GOAWAY: what runs finishes, what is new goes elsewhere.

use rlb::{Exit, StopKind};

use super::raw::*;
use super::{Raw, h2_to_h2, h2c};
use crate::support::{Origin, PATIENCE, PlayedOrigin, answers, wait_until};

#[test]
fn a_stop_lets_streams_finish_and_says_goaway() {
    let origin = PlayedOrigin::listen();
    let lb = h2c(origin.addr(), "");
    let addr = lb.addr();
    let mut raw = Raw::connect(addr);
    raw.get(1);
    let mut server = origin.accept();
    server.read_head();
    lb.stop(StopKind::Drain);
    wait_until(PATIENCE, "new clients are refused", || !answers(addr));
    // Not the last word: a request may be on its way.
    let first = raw.read_kind(GOAWAY);
    assert_eq!(first.payload[..8], [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    raw.get(3);
    let ping = raw.read_kind(PING);
    let mut another = origin.accept();
    another.read_head();
    raw.send(PING, ACK, 0, &ping.payload);
    let last = raw.read_kind(GOAWAY);
    assert_eq!(last.payload[..8], [0, 0, 0, 3, 0, 0, 0, 0]);
    for (server, stream) in [(&mut server, 1), (&mut another, 3)] {
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(raw.body(stream), b"ok");
    }
    raw.read_end();
    assert_eq!(lb.wait(), Exit::Stopped);
}

#[test]
fn an_idle_connection_does_not_hold_up_a_stop() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "");
    let mut raw = Raw::connect(lb.addr());
    raw.get(1);
    assert_eq!(raw.body(1), b"hello");
    lb.stop(StopKind::Drain);
    // A client that does not answer the PING behind it is waited for, but not long.
    assert_eq!(raw.verdict(), Verdict::GoAway(0));
    raw.read_end();
    assert_eq!(lb.wait(), Exit::Stopped);
}

#[test]
fn a_connection_has_as_many_requests_as_it_may() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "keep_alive_requests = 3");
    let mut raw = Raw::connect(lb.addr());
    for stream in [1, 3, 5] {
        raw.get(stream);
    }
    let mut seen = Vec::new();
    while let Some(frame) = raw.try_read() {
        if frame.kind == PING && frame.flags & ACK == 0 {
            raw.send(PING, ACK, 0, &frame.payload);
        }
        seen.push(frame);
    }
    let bodies = seen.iter().filter(|frame| frame.kind == DATA);
    assert!(bodies.map(|frame| &frame.payload).eq([b"hello"; 3]));
    assert!(seen.iter().any(|frame| frame.kind == GOAWAY));
}

#[test]
fn a_frontend_that_leaves_says_goaway() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "");
    let mut raw = Raw::connect(lb.addr());
    raw.get(1);
    assert_eq!(raw.body(1), b"hello");
    let other = format!(
        "[[listen]]\nname = \"other\"\nbind = \"127.0.0.1:0\"\nserver = \"{}\"\n",
        origin.addr()
    );
    lb.apply(&format!("[global]\nworkers = 1\nadmin = \"\"\n{other}"))
        .unwrap();
    assert_eq!(raw.verdict(), Verdict::GoAway(0));
}

#[test]
fn a_server_that_goes_away_is_connected_to_again() {
    // It takes two requests on a connection, and no third.
    let origin = Origin::ok("hello");
    let fickle = h2c(origin.addr(), "keep_alive_requests = 2");
    let lb = h2_to_h2(fickle.addr(), "");
    let mut client = super::client::Client::connect(lb.addr());
    for _ in 0..20 {
        let answer = client.get("/");
        assert_eq!(
            (answer.head.status().as_u16(), &answer.body[..]),
            (200, &b"hello"[..])
        );
    }
}
