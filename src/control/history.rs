//! The generations that were published last, with their causes.

use std::collections::VecDeque;
use std::fmt;
use std::time::SystemTime;

use super::Control;
use super::change::Cause;

/// One generation that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GenerationRow {
    /// Its number.
    pub(crate) id: u64,
    /// When.
    pub(crate) when: SystemTime,
    /// Why, in words.
    pub(crate) cause: String,
    /// What changed, in words.
    pub(crate) summary: String,
}

/// The last generations, oldest first, and how many there were.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<GenerationRow>, u64);

const ROWS_MAX: usize = 100;

impl History {
    fn push(&mut self, row: GenerationRow) {
        self.1 += 1;
        // A server that comes and goes must not drive out what people did.
        let health = Cause::Health.to_string();
        if self.0.back().is_some_and(|last| last.cause == health) && row.cause == health {
            self.0.pop_back();
        }
        if self.0.len() == ROWS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(row);
    }
}

impl Control {
    /// The last 100 generations, oldest first. Of changes of health in a row the last one.
    pub(crate) fn history(&self) -> Vec<GenerationRow> {
        self.history.borrow().0.iter().cloned().collect()
    }

    /// How many generations there were, the forgotten ones too.
    pub(super) fn changes(&self) -> u64 {
        self.history.borrow().1
    }

    /// When the generation in force was published.
    pub(super) fn last_change(&self) -> Option<SystemTime> {
        self.history.borrow().0.back().map(|row| row.when)
    }

    /// Notes the generation in force.
    pub(super) fn record(&self, cause: &Cause, changed: &[String]) {
        self.watch_backends(|_| true);
        let row = GenerationRow {
            id: self.generation().id.get(),
            when: SystemTime::now(),
            cause: cause.to_string(),
            summary: changed.join("; "),
        };
        if *cause != Cause::Start {
            let summary = &*row.summary;
            tracing::info!(
                event = "generation",
                generation = row.id,
                cause = row.cause,
                summary,
                "generation {}, {}: {summary}",
                row.id,
                row.cause,
            );
        }
        self.history.borrow_mut().push(row);
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::File(names) => write!(f, "file {names}"),
            Self::Reload(words) | Self::Command(words) => f.write_str(words),
            Self::Health => f.write_str("health"),
            Self::Source(name) => write!(f, "source {name}"),
            Self::Engine => f.write_str("engine"),
            Self::Time => f.write_str("time"),
            Self::Drained => f.write_str("drained"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, cause: &str) -> GenerationRow {
        GenerationRow {
            id,
            when: SystemTime::UNIX_EPOCH,
            cause: cause.to_owned(),
            summary: String::new(),
        }
    }

    #[test]
    fn hundred_rows_stay_and_health_takes_one_of_them() {
        let mut history = History::default();
        for id in 0..300 {
            history.push(row(id, "set weight web/s1 1"));
            history.push(row(1000 + id, "health"));
            history.push(row(2000 + id, "health"));
        }
        let ids: Vec<_> = history.0.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), ROWS_MAX);
        assert_eq!(ids[98..], [299, 2299]);
        assert_eq!(history.1, 900, "all are counted");
    }
}
