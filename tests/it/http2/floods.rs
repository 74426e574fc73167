//! Clients that ask for work and nothing else are sent away, at the number that is set.

use std::time::{Duration, Instant};

use super::raw::*;
use super::{Raw, h2c};
use crate::support::{Answer, Lb, Origin};

const ENHANCE_YOUR_CALM: u32 = 11;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn lb(origin: &Origin, settings: &str) -> Lb {
    h2c(origin.addr(), &format!("[listen.http2]\n{settings}"))
}

/// Sends what `one` makes until the connection ends; how many were sent at least
/// before, and that it ended as it should.
#[track_caller]
fn sent_away_after(settings: &str, limit: usize, mut one: impl FnMut(&mut Raw, u32)) {
    let origin = Origin::answering(|_| Answer::Silence);
    let lb = lb(&origin, settings);
    let mut raw = Raw::connect(lb.addr());
    for n in 0..limit as u32 {
        one(&mut raw, n);
    }
    assert!(raw.is_alive(), "at the limit");
    for n in 0..2 {
        one(&mut raw, limit as u32 + n);
    }
    let goodbye = raw.read_kind(GOAWAY);
    assert_eq!(goodbye.payload[4..8], ENHANCE_YOUR_CALM.to_be_bytes());
    raw.read_end();
    // It is the client that is at fault, and nobody else is served worse.
    assert!(Raw::connect(lb.addr()).is_alive());
}

#[test]
fn rapid_resets() {
    sent_away_after("resets = 10", 10, |raw, n| {
        raw.get(2 * n + 1);
        raw.send(RST_STREAM, 0, 2 * n + 1, &CANCEL);
    });
}

#[test]
fn resets_that_the_proxy_is_made_to_send() {
    sent_away_after("faults = 10", 10, |raw, n| {
        raw.get(2 * n + 1);
        // A window past the most there is: RST_STREAM by us.
        raw.send(WINDOW_UPDATE, 0, 2 * n + 1, &0x7fff_ffff_u32.to_be_bytes());
    });
}

#[test]
fn pings() {
    // One more is sent to see that it lives.
    sent_away_after("pings = 11", 10, |raw, _| {
        raw.send(PING, 0, 0, b"flooding");
    });
}

#[test]
fn settings() {
    // The hello and its answer count.
    sent_away_after("settings = 12", 10, |raw, _| {
        raw.send(SETTINGS, 0, 0, &[]);
    });
}

#[test]
fn frames_that_move_nothing() {
    for frame in [
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
        frame(0x42, 0, 0, b"?"),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
    ] {
        sent_away_after("idle_frames = 10", 10, |raw, _| {
            raw.0.try_send(&frame);
        });
    }
    let mut begun = false;
    sent_away_after("idle_frames = 10", 10, |raw, _| {
        if !std::mem::replace(&mut begun, true) {
            raw.send(HEADERS, END_HEADERS, 1, &head("POST", &[]));
        }
        raw.send(DATA, 0, 1, &[]);
    });
    let mut begun = false;
    sent_away_after("idle_frames = 10", 10, |raw, _| {
        if !std::mem::replace(&mut begun, true) {
            raw.send(HEADERS, END_HEADERS, 1, &head("POST", &[]));
        }
        raw.send(DATA, PADDED, 1, &[3, 0, 0, 0]);
    });
}

#[test]
fn continuations() {
    let origin = Origin::ok("hello");
    let lb = lb(&origin, "continuations = 3");
    let head = head("GET", &[]);
    let send = |raw: &mut Raw, count: usize| {
        raw.send(HEADERS, END_STREAM, 1, &head[..1]);
        for n in 1..=count {
            let (flags, piece) = match n {
                _ if n == count => (END_HEADERS, &head[n..]),
                _ => (0, &head[n..=n]),
            };
            raw.send(CONTINUATION, flags, 1, piece);
        }
    };
    let mut raw = Raw::connect(lb.addr());
    send(&mut raw, 3);
    assert_eq!(raw.body(1), b"hello");
    let mut raw = Raw::connect(lb.addr());
    send(&mut raw, 4);
    assert_eq!(raw.verdict(), Verdict::GoAway(ENHANCE_YOUR_CALM));
}

#[test]
fn a_head_has_to_end_in_time_and_so_has_the_hello() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "timeouts = { http_request = \"1s\" }");
    let late = |raw: &mut Raw, since: Instant| {
        raw.read_end();
        let took = since.elapsed();
        assert!(took >= Duration::from_millis(950), "{took:?}");
        assert!(took < Duration::from_secs(9), "{took:?}");
    };
    let since = Instant::now();
    let mut raw = Raw::connect(lb.addr());
    raw.send(HEADERS, END_STREAM, 1, &head("GET", &[]));
    late(&mut raw, since);
    // Half a frame.
    let since = Instant::now();
    let mut raw = Raw::connect(lb.addr());
    let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET", &[]));
    raw.0.send(&whole[..20]);
    late(&mut raw, since);
    // Half a preface, then none of the frames behind it, then no word on ours.
    for bytes in [
        &PREFACE[..18],
        PREFACE,
        &[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat(),
    ] {
        let since = Instant::now();
        let mut raw = Raw(lb.client());
        raw.0.send(bytes);
        late(&mut raw, since);
    }
}

#[test]
fn an_idle_client_is_told_goodbye() {
    let origin = Origin::ok("hello");
    let lb = h2c(origin.addr(), "timeouts = { keep_alive = \"300ms\" }");
    let mut raw = Raw::connect(lb.addr());
    raw.get(1);
    assert_eq!(raw.body(1), b"hello");
    assert_eq!(raw.verdict(), Verdict::GoAway(0));
    raw.read_end();
}

#[test]
fn pings_are_earned_with_data() {
    let origin = Origin::ok("hello");
    let lb = lb(&origin, "pings = 1");
    let mut raw = Raw::connect(lb.addr());
    for n in 0..20 {
        raw.get(2 * n + 1);
        assert_eq!(raw.body(2 * n + 1), b"hello");
        assert!(raw.is_alive());
    }
}
