//! Counters and times of both, cell by cell.

use super::super::stat;
use super::Line;
use super::sides::Side;

/// Columns of HAProxy's first 62 that are not compared, and why.
const NOT_COMPARED: &[(&str, &str)] = &[
    (
        "bin",
        "of HTTP: rlb counts bytes of the wire, HAProxy those of its own form of a message",
    ),
    (
        "bout",
        "of HTTP: the same, and heads are written anew with other fields",
    ),
    (
        "slim",
        "of a backend fullconn, which rlb does not have; of a frontend another maxconn",
    ),
    (
        "smax",
        "a client that left is still there for one of them when the next comes",
    ),
    ("rate", "of this very second"),
    ("req_rate", "of this very second"),
    ("rate_max", "how many fell into one second"),
    ("req_rate_max", "how many fell into one second"),
    (
        "lastsess",
        "seconds ago, of two runs that were not at the same time",
    ),
    (
        "lastchg",
        "seconds ago, of two processes that did not start at the same time",
    ),
    (
        "downtime",
        "seconds, of two processes that did not start at the same time",
    ),
];

/// Cells that differ, and why.
const ACCEPTED: &[(&str, &str, &str)] = &[
    (
        "badchunk",
        "srv_abrt",
        "a bad chunk: HAProxy's letters say that the server ended it, its counter does not",
    ),
    (
        "b-tdeaf",
        "cli_abrt",
        "to HAProxy a session that is reset while we connect broke off (CD), one that ends did not (CC)",
    ),
    ("silent", "cli_abrt", "who resets behind a whole request"),
    (
        "ok",
        "lbtot",
        "a request with a bad chunk had its turn before the chunk was seen",
    ),
];

/// The columns of times, and where each stands in a request's timers.
const TIMES: [(&str, usize); 4] = [("qtime", 1), ("ctime", 2), ("rtime", 3), ("ttime", 4)];

/// Both, each with all lines of its log.
pub(super) fn compare(both: [(&Side, Vec<Line>); 2]) {
    let [theirs, ours] = both.each_ref().map(|(side, _)| stat(&side.socket));
    let mut wrong = Vec::new();
    for row in &theirs {
        let name = (&row[0].1, &row[1].1);
        let Some(own) = ours.iter().find(|own| (&own[0].1, &own[1].1) == name) else {
            wrong.push(format!("{name:?} is missing"));
            continue;
        };
        for (index, ((column, theirs), (own_column, ours))) in row.iter().zip(own).enumerate() {
            if index >= 62 && column != "cookie" {
                continue;
            }
            assert_eq!(column, own_column);
            let is_same = match TIMES.iter().find(|(time, _)| time == column) {
                None => theirs == ours || is_accepted(name, column),
                Some((_, index)) => {
                    let (theirs, ours) = (theirs.parse(), ours.parse());
                    theirs.is_ok() == ours.is_ok()
                        && theirs.is_ok_and(|time| is_average(time, *index, name, &both[0].1))
                        && ours.is_ok_and(|time| is_average(time, *index, name, &both[1].1))
                }
            };
            // A frontend has no times.
            if !is_same && (theirs, ours) != (&String::new(), &String::new()) {
                let name = format!("{}/{} {column}", name.0, name.1);
                wrong.push(format!("{name}: {theirs:?}, rlb {ours:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is_accepted((proxy, _): (&String, &String), column: &str) -> bool {
    let bytes_of_tcp = ["bin", "bout"].contains(&column) && ["tok", "b-tok"].contains(&&**proxy);
    let skipped = NOT_COMPARED.iter().any(|(c, _)| *c == column) && !bytes_of_tcp;
    skipped || ACCEPTED.iter().any(|(p, c, _)| (*p, *c) == (proxy, column))
}

/// Whether this can be the average of what the same program's log says of those requests
/// that a server answered (of sessions: that reached one), which are those that count.
fn is_average(time: i64, index: usize, name: (&String, &String), log: &[Line]) -> bool {
    let (mut least, mut most) = (i64::MAX, 0);
    for line in log {
        let (backend, server) = line.way.split_once('/').unwrap();
        let is_http = line.timers.len() == 5;
        let counts = match is_http {
            true => line.timers[3] >= 0,
            false => line.timers[1] >= 0,
        };
        if backend != name.0 || !(name.1 == "BACKEND" || name.1 == server) || !counts {
            continue;
        }
        let value = match (is_http, index) {
            (true, _) => line.timers[index],
            // Tw, Tc, Tt: a session has no answer to wait for.
            (false, 3) => 0,
            (false, 4) => line.timers[2],
            (false, _) => line.timers[index - 1],
        };
        least = least.min(value);
        // HAProxy's whole begins with the connection, and its log's with the first byte.
        most = most.max(if index == 4 {
            line.wall.as_millis() as i64
        } else {
            value
        });
    }
    // Without any it is none; averages are rounded up.
    match least {
        i64::MAX => time == 0,
        least => least <= time + 1 && time <= most + 1,
    }
}
