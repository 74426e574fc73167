//! A line of the log, as it is compared.

use std::time::Duration;

/// A line of the log.
#[derive(Clone)]
pub(super) struct Line {
    /// `way end status retries "line"`, and which stages were reached.
    pub(super) said: String,
    /// `backend/server`.
    pub(super) way: String,
    /// TR, Tw, Tc, Tr, Ta; Tw, Tc, Tt of a session.
    pub(super) timers: Vec<i64>,
    /// From before its client came until the line was there.
    pub(super) wall: Duration,
}

impl Line {
    pub(super) fn read(datagram: &str, wall: Duration) -> Self {
        let (head, message) = datagram.trim_end().split_once("]: ").unwrap();
        assert!(
            head.starts_with("<134>") && head.contains(" haproxy["),
            "{datagram}"
        );
        let (_, rest) = message.split_once("] ").unwrap();
        let words: Vec<&str> = rest.split(' ').collect();
        let timers: Vec<i64> = words[2].split('/').map(|t| t.parse().unwrap()).collect();
        let retries = |conns: &str| conns.rsplit('/').next().unwrap().to_owned();
        let way = words[1];
        let mut said = if timers.len() == 5 {
            let line = rest.split('"').nth(1).unwrap();
            let line = line.trim_end_matches(" HTTP/1.1");
            let (status, end) = (words[3], words[7]);
            format!("{way} {end} {status} {} {line}", retries(words[8]))
        } else {
            format!("{way} {} {}", words[4], retries(words[5]))
        };
        let queue = words[if timers.len() == 5 { 9 } else { 6 }];
        if queue != "0/0" {
            said += &format!(" queue {queue}");
        }
        Self {
            said,
            way: way.to_owned(),
            timers,
            wall,
        }
    }

    /// Which stages it reached, a letter for each.
    pub(super) fn reached(&self) -> String {
        let reached = self.timers.iter().map(|timer| *timer >= 0);
        reached.map(|is| if is { '+' } else { '-' }).collect()
    }

    /// Whether its stages can be true: each came to an end within what its client saw, and
    /// the whole took what the server or a timeout made it take.
    pub(super) fn can_be_true(&self, least: Duration) -> bool {
        // Timers begin and end with a whole millisecond.
        let most = self.wall.as_millis() as i64 + 1;
        let total = *self.timers.last().unwrap();
        let stages: i64 = self.timers.iter().rev().skip(1).map(|t| t.max(&0)).sum();
        stages <= total + 4 && total <= most && total + 1 >= least.as_millis() as i64
    }
}
