//! A blocking query, and the rules for its index (Consul: "Blocking Queries").

use std::time::Duration;

use tokio::time::Instant;

use super::{Agent, Settings};
use crate::discovery::http::{Answer, Ask};
use crate::discovery::{Backoff, Failure, FailureKind};

/// Asks the same question over and over; answered when something changed.
#[derive(Debug)]
pub(super) struct Query {
    settings: Settings,
    agent: Option<Agent>,
    /// Path and query without what changes.
    path: String,
    /// Whether 404 is an answer ("no key there") and not a failure.
    may_be_absent: bool,
    index: Index,
    /// Length of the last answer: 1,000 instances are 1.5 MiB, and the next one is about
    /// as long.
    length: usize,
    backoff: Backoff,
    /// The last try led nowhere: the next one waits.
    is_unhappy: bool,
}

/// Where we are in Consul's history. Pure.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Index(u64);

/// What an answer means for the next question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Something may be new.
    Forward,
    /// Nothing is.
    Same,
    /// It went back, or is none: everything may be different, and who answers so
    /// again and again must not make us spin.
    Back,
}

impl Query {
    /// Asks for `path` (with its own query, if any).
    pub(super) fn new(settings: Settings, path: &str, may_be_absent: bool) -> Self {
        let mut path = path.to_owned();
        let mut parameter = |text: &str| {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(text);
        };
        if settings.stale {
            parameter("stale=");
        }
        if let Some(datacenter) = &settings.datacenter {
            parameter(&format!("dc={datacenter}"));
        }
        Self {
            backoff: settings.backoff(&path),
            agent: None,
            may_be_absent,
            index: Index::default(),
            length: 0,
            is_unhappy: false,
            path,
            settings,
        }
    }

    /// The next answer, each of them whole; `None` = nothing changed within `wait`.
    /// After a try that led nowhere it waits a while before the next.
    ///
    /// # Errors
    /// There was no answer. The next call asks anew.
    pub(super) async fn next(&mut self) -> Result<Option<Answer>, Failure> {
        if std::mem::take(&mut self.is_unhappy) {
            tokio::time::sleep(self.backoff.next()).await;
        }
        let asked = Instant::now();
        match self.ask().await {
            Ok((_, Step::Same)) => {
                // Sooner than that, it did not block.
                self.is_unhappy = asked.elapsed() < UNHAPPY;
                if !self.is_unhappy {
                    self.backoff.reset();
                }
                Ok(None)
            }
            Ok((answer, Step::Forward)) => {
                self.backoff.reset();
                Ok(Some(answer))
            }
            Ok((answer, Step::Back)) => {
                self.is_unhappy = true;
                Ok(Some(answer))
            }
            Err(failure) => {
                // Consul: after any error ask without index. What an error's own
                // X-Consul-Index says (1) is no place in its history.
                self.discard();
                if failure.kind != FailureKind::Denied {
                    self.agent = None;
                }
                Err(failure)
            }
        }
    }

    /// The last answer could not be used: the next one is to be whole again, and
    /// not only there when something changed.
    pub(super) fn discard(&mut self) {
        self.index = Index::default();
        self.is_unhappy = true;
    }

    async fn ask(&mut self) -> Result<(Answer, Step), Failure> {
        let agent = match &mut self.agent {
            Some(agent) => agent,
            none => none.insert(Agent::new(&self.settings).await?),
        };
        let wait = self.settings.wait;
        let ask = match self.index {
            Index(0) => Ask::get(&*self.path, ANSWER_MAX),
            Index(index) => {
                let sign = if self.path.contains('?') { '&' } else { '?' };
                let path = format!(
                    "{}{sign}index={index}&wait={}ms",
                    self.path,
                    wait.as_millis()
                );
                // The agent adds up to a sixteenth.
                Ask {
                    // Who closes the connection may be starting anew: what the
                    // next one knows has another index.
                    may_repeat: false,
                    ..Ask::get(path, wait * 17 / 16 + ANSWER_MAX)
                }
            }
        };
        let answer = agent
            .ask(Ask {
                body_about: self.length + self.length / 16,
                ..ask
            })
            .await?;
        self.length = answer.body.len();
        let is_good = answer.status == http::StatusCode::OK
            || self.may_be_absent && answer.status == http::StatusCode::NOT_FOUND;
        if !is_good {
            return Err(answer.failure(agent.address()));
        }
        let header = answer.headers.get("x-consul-index");
        let index = header.and_then(|value| value.to_str().ok()?.parse().ok());
        let step = self.index.step(index);
        Ok((answer, step))
    }
}

impl Index {
    /// Takes the index of a good answer.
    fn step(&mut self, new: Option<u64>) -> Step {
        let old = self.0;
        match new {
            // No header at all, from whatever stands between us and Consul.
            None => {
                self.0 = 0;
                Step::Back
            }
            Some(new) if new < old => {
                self.0 = 0;
                Step::Back
            }
            Some(new) => {
                // 0 would not block.
                self.0 = new.max(1);
                if self.0 == old {
                    Step::Same
                } else {
                    Step::Forward
                }
            }
        }
    }
}

/// An answer is there within this, beside what it blocks: a cluster without
/// quorum takes 7 s to say so.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// A question that blocks takes longer than this when nothing changed.
const UNHAPPY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_rules() {
        let mut index = Index::default();
        for (new, expected, next) in [
            (Some(0), Step::Forward, 1),
            (Some(0), Step::Back, 0),
            (Some(7), Step::Forward, 7),
            (Some(7), Step::Same, 7),
            (Some(9), Step::Forward, 9),
            // An agent that starts anew.
            (Some(3), Step::Back, 0),
            (Some(3), Step::Forward, 3),
            (None, Step::Back, 0),
        ] {
            assert_eq!((index.step(new), index.0), (expected, next), "{new:?}");
        }
    }
}
