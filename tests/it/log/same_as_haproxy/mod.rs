//! The same scripted traffic through HAProxy and through rlb: log lines and counters
//! are held against each other, and what differs is named with its reason.
//!
//! Times of two programs on one busy machine say nothing about each other. Each is held
//! against what must be true of that very request at that very program: it took no less
//! than the server or a timeout made it take, and no more than its client saw.

mod cases;
mod checks;
mod counters;
mod line;
mod page;
mod sides;
mod sticky;

use std::time::{Duration, Instant};

use super::{ask, number, stat};
use crate::support::{PATIENCE, wait_until};
use cases::Case;
use counters::compare;
use line::Line;
use sides::{Side, haproxy, rlb};

/// Client and server timeouts of both: what a test, an origin or a client does in between
/// takes less, on a busy machine too.
const WAIT: Duration = Duration::from_secs(1);
/// The time for one connect, of both.
const CONNECT: Duration = Duration::from_millis(400);
/// The time a place at a busy server is waited for, of both.
const PLACE: Duration = Duration::from_millis(100);
/// Long enough that what was sent is there, and no timeout is near.
const MOMENT: Duration = Duration::from_millis(120);

/// Runs every case; what the log said of each.
fn run(side: &Side) -> Vec<Vec<Line>> {
    let run = |case: &Case| {
        let start = Instant::now();
        (case.act)(side);
        let mut lines = Vec::new();
        while let Some(line) = side.syslog.next(if lines.len() < case.lines.len() {
            PATIENCE
        } else {
            Duration::from_millis(60)
        }) {
            // HAProxy says here, too, what becomes of its servers: at other levels.
            if !line.starts_with("<134>") {
                continue;
            }
            lines.push(Line::read(&line, start.elapsed()));
        }
        lines
    };
    cases::all().map(run).collect()
}

#[test]
fn every_termination_state_is_haproxys_and_so_are_the_counters() {
    let Some(haproxy) = haproxy() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let rlb = rlb(dir.path());
    for side in [&haproxy, &rlb] {
        // What looked whether it is ready is no part of this.
        while side.syslog.next(Duration::from_millis(100)).is_some() {}
        wait_until(PATIENCE, "the end of the looks", || {
            number(&stat(&side.socket), "www", "FRONTEND", "scur") == 0
        });
        ask(&side.socket, "clear counters all");
    }
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| run(&haproxy));
        let ours = run(&rlb);
        (theirs.join().unwrap(), ours)
    });
    let said = |lines: &[Line]| -> Vec<String> { lines.iter().map(|l| l.said.clone()).collect() };
    let mut wrong = Vec::new();
    for ((case, theirs), ours) in cases::all().zip(&theirs).zip(&ours) {
        let expected = case.rlb.map_or(case.lines, |(lines, _)| lines);
        if said(theirs) != case.lines || said(ours) != expected {
            let (theirs, ours) = (said(theirs), said(ours));
            wrong.push(format!("{}: HAProxy {theirs:?}, rlb {ours:?}", case.name));
        }
        for line in theirs.iter().chain(ours) {
            if !line.can_be_true(case.least) {
                let (timers, wall) = (&line.timers, line.wall);
                wrong.push(format!("{}: {timers:?} of {wall:?}", case.name));
            }
        }
        for (theirs, ours) in theirs.iter().zip(ours) {
            if theirs.reached() != ours.reached() {
                let (theirs, ours) = (&theirs.timers, &ours.timers);
                wrong.push(format!("{}: HAProxy {theirs:?}, rlb {ours:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for side in [&haproxy, &rlb] {
        for state in ["drain", "ready", "maint", "ready"] {
            ask(&side.socket, &format!("set server ok/s1 state {state}"));
        }
    }
    compare([(&haproxy, theirs.concat()), (&rlb, ours.concat())]);
}
