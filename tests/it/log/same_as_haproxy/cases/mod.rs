//! What may happen, and what both say of it.

mod acts;
mod http;
mod places;
mod sessions;
mod sticky;

use std::time::Duration;

use super::sides::Side;

/// One thing that may happen, and what both say of it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) act: fn(&Side),
    /// `way end status retries "line"` of each log line.
    pub(super) lines: &'static [&'static str],
    /// What each of them takes at least, by a clock of the program's own: what a client does
    /// may reach it late.
    pub(super) least: Duration,
    /// Where rlb says it otherwise, with the reason.
    pub(super) rlb: Option<(&'static [&'static str], &'static str)>,
}

impl Case {
    const fn takes(mut self, least: Duration) -> Self {
        self.least = least;
        self
    }

    const fn but_rlb(mut self, lines: &'static [&'static str], why: &'static str) -> Self {
        self.rlb = Some((lines, why));
        self
    }
}

/// Each row of the map of termination states, and some that stand beside it.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    let of_subjects = [http::CASES, sessions::CASES, places::CASES, sticky::CASES];
    of_subjects.into_iter().flatten()
}

const fn case(name: &'static str, act: fn(&Side), lines: &'static [&'static str]) -> Case {
    Case {
        name,
        act,
        lines,
        least: Duration::ZERO,
        rlb: None,
    }
}
