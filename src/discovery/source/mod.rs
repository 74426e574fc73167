//! The rules every source follows. Time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::{Failure, FailureKind, Found, LeftOut, Member, SourceId, Standing};

/// How patient a source is. See `[discovery]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Changes within this time of each other go out together. Default 100 ms.
    pub(crate) coalesce: Duration,
    /// But none waits longer. Default 1 s.
    pub(crate) max_delay: Duration,
    /// A set that became empty is believed after this; `None` = at once, where the
    /// source is local and authoritative (Docker). Default 30 s.
    pub(crate) empty_hold: Option<Duration>,
    /// A warning when nothing good was heard for this long. Default 5 min.
    pub(crate) stale_warn: Duration,
}

/// One source of servers: the last good set, and how fresh it is.
#[derive(Debug)]
pub(crate) struct Source {
    id: SourceId,
    rules: Rules,
    /// What went out last; `None` = nothing was ever heard.
    applied: Option<Arc<[Member]>>,
    /// The same, for those who look.
    shown: Arc<[MemberRow]>,
    /// What goes out next.
    waiting: Option<Waiting>,
    /// Followers of what went out wait until here.
    window: Option<Instant>,
    left_out: Arc<[LeftOut]>,
    /// Of the last good answer.
    heard: Option<Instant>,
    /// How old the set was when we got it from disk or a predecessor, and when that was.
    restored: Option<(Duration, Instant)>,
    failing: Option<Failing>,
    is_stale_told: bool,
    changes: u64,
    errors: BTreeMap<FailureKind, u64>,
    created: Instant,
}

#[derive(Debug)]
struct Waiting {
    members: Vec<Member>,
    /// The oldest change in it.
    since: Instant,
    /// When it goes out.
    at: Instant,
    /// An empty set that is not believed yet.
    is_held: bool,
}

#[derive(Debug)]
struct Failing {
    failure: Failure,
    since: Instant,
}

/// How a source is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Condition {
    /// Nothing was heard yet, nothing failed yet.
    Waiting,
    /// The last answer was good.
    Up,
    /// The last try failed: the last good set stays.
    Lost,
}

/// A source, for those who look. Cheap to take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SourceRow {
    /// Its name: `consul:web`.
    pub(crate) source: String,
    /// How it is.
    pub(crate) state: Condition,
    /// Seconds since the last good answer, this process's or its predecessor's;
    /// `None` = there was none.
    pub(crate) age: Option<f64>,
    /// The set is one from before the start.
    pub(crate) snapshot_in_use: bool,
    /// An empty answer is being held.
    pub(crate) empty_held: bool,
    /// Why it is lost.
    pub(crate) error: Option<String>,
    /// Seconds it has been lost.
    pub(crate) lost_for: Option<f64>,
    /// Sets that went out.
    pub(crate) changes_total: u64,
    /// Failures by kind.
    pub(crate) errors_total: BTreeMap<&'static str, u64>,
    /// What is in force.
    pub(crate) members: Arc<[MemberRow]>,
    /// What was looked at and not taken.
    pub(crate) left_out: Arc<[LeftOut]>,
}

/// A member, for those who look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MemberRow {
    /// What its source calls it.
    pub(crate) id: String,
    /// What people see.
    pub(crate) name: String,
    /// Where.
    pub(crate) address: String,
    /// What the source thinks of it, in a word.
    pub(crate) standing: &'static str,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) why: String,
}

impl Source {
    /// Nothing is known of it yet.
    pub(crate) fn new(id: SourceId, rules: Rules, now: Instant) -> Self {
        Self {
            id,
            rules,
            applied: None,
            shown: Arc::default(),
            waiting: None,
            window: None,
            left_out: Arc::default(),
            heard: None,
            restored: None,
            failing: None,
            is_stale_told: false,
            changes: 0,
            errors: BTreeMap::new(),
            created: now,
        }
    }

    /// Starts with what another process heard `age` ago, which is in force already.
    pub(crate) fn restore(&mut self, members: Arc<[Member]>, age: Duration, now: Instant) {
        tracing::warn!(
            source = %self.id,
            members = members.len(),
            age_s = age.as_secs(),
            "starts with the last good set"
        );
        self.shown = members.iter().map(MemberRow::of).collect();
        self.applied = Some(members);
        self.restored = Some((age, now));
    }

    /// Other patience from now on.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// A good answer.
    pub(crate) fn found(&mut self, found: Found, now: Instant) {
        self.still(now);
        self.offer(found, now);
    }

    /// A good answer of some while others are lost: no sign of life of the whole.
    pub(crate) fn found_partly(&mut self, found: Found, now: Instant) {
        self.offer(found, now);
    }

    fn offer(&mut self, found: Found, now: Instant) {
        self.left_out = found.left_out.into();
        let mut members = found.members;
        scale(&mut members);
        let known = self.applied.as_deref();
        if known == Some(&members[..]) {
            self.waiting = None;
            return;
        }
        let hold = match self.rules.empty_hold {
            Some(hold) if members.is_empty() && known.is_some_and(|known| !known.is_empty()) => {
                hold
            }
            _ => Duration::ZERO,
        };
        let is_held = !hold.is_zero();
        let before = self.waiting.take();
        if is_held {
            let since = match before {
                Some(before) if before.is_held => before.since,
                _ => {
                    let hold_s = hold.as_secs();
                    tracing::warn!(
                        event = "source_empty",
                        source = %self.id,
                        hold_s,
                        "Source {} is empty all of a sudden: the last good set stays for \
                         {hold_s} s; if it is not meant, look at the permissions (Consul: \
                         node:read too).",
                        self.id,
                    );
                    now
                }
            };
            let at = since + hold;
            self.waiting = Some(Waiting {
                members,
                since,
                at,
                is_held,
            });
            return;
        }
        let follows = before.filter(|before| !before.is_held);
        let is_burst = follows.is_some() || self.window.is_some_and(|until| now < until);
        let since = follows.as_ref().map_or(now, |before| before.since);
        let is_urgent = begins_to_drain(known.unwrap_or_default(), &members);
        let at = match is_burst {
            // A server that is about to end waits for nobody.
            _ if is_urgent => now,
            // It is on its way already.
            true if follows.as_ref().is_some_and(|before| before.at <= now) => now,
            true => (now + self.rules.coalesce).min(since + self.rules.max_delay),
            false => now,
        };
        self.waiting = Some(Waiting {
            members,
            since,
            at,
            is_held,
        });
    }

    /// A sign of life: what was found last still holds.
    pub(crate) fn still(&mut self, now: Instant) {
        if let Some(failing) = self.failing.take() {
            let lost_s = (now - failing.since).as_secs();
            tracing::warn!(
                event = "source_back",
                source = %self.id,
                lost_s,
                "Source {} is back, it was lost for {lost_s} s.",
                self.id,
            );
        }
        self.heard = Some(now);
        self.restored = None;
        self.is_stale_told = false;
    }

    /// It could not be asked.
    pub(crate) fn failed(&mut self, failure: Failure, now: Instant) {
        *self.errors.entry(failure.kind).or_default() += 1;
        match &mut self.failing {
            Some(failing) if failing.failure == failure => {}
            Some(failing) => {
                // Another reason is worth a line, the same one each 30 s is not.
                if failing.failure.kind != failure.kind {
                    tracing::warn!(
                        event = "source_lost",
                        source = %self.id,
                        reason = %failure,
                        "Source {} is still lost, reason: {failure}.",
                        self.id,
                    );
                }
                failing.failure = failure;
            }
            None => {
                let members = self.applied.as_ref().map_or(0, |applied| applied.len());
                tracing::error!(
                    event = "source_lost",
                    source = %self.id,
                    reason = %failure,
                    members,
                    "Source {} is lost, the last good set stays ({members} servers), \
                     reason: {failure}.",
                    self.id,
                );
                self.failing = Some(Failing {
                    failure,
                    since: now,
                });
            }
        }
    }

    /// When [`Self::take`] has something to do next.
    pub(crate) fn due(&self) -> Option<Instant> {
        let stale = (!self.is_stale_told)
            .then(|| self.heard.unwrap_or(self.created) + self.rules.stale_warn);
        let waiting = self.waiting.as_ref().map(|waiting| waiting.at);
        stale.into_iter().chain(waiting).min()
    }

    /// The set that is to be in force from now on, if it is another one.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Arc<[Member]>> {
        self.tell_stale(now);
        let waiting = self.waiting.take_if(|waiting| waiting.at <= now)?;
        let members: Arc<[Member]> = waiting.members.into();
        self.tell_difference(&members);
        self.window = Some(now + self.rules.coalesce);
        self.shown = members.iter().map(MemberRow::of).collect();
        self.applied = Some(Arc::clone(&members));
        self.changes += 1;
        Some(members)
    }

    /// Whether it answered, or something to begin with was there.
    pub(crate) fn is_ready(&self) -> bool {
        self.applied.is_some()
    }

    /// Since the last good answer, also one from before the start.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        let own = self.heard.map(|heard| now - heard);
        own.or_else(|| self.restored.map(|(age, at)| age + (now - at)))
    }

    /// For those who look.
    pub(crate) fn row(&self, now: Instant) -> SourceRow {
        let errors = self.errors.iter();
        SourceRow {
            source: self.id.to_string(),
            state: match (&self.failing, self.heard) {
                (Some(_), _) => Condition::Lost,
                (None, Some(_)) => Condition::Up,
                (None, None) => Condition::Waiting,
            },
            age: self.age(now).map(|age| age.as_secs_f64()),
            snapshot_in_use: self.restored.is_some(),
            empty_held: self.waiting.as_ref().is_some_and(|waiting| waiting.is_held),
            error: self
                .failing
                .as_ref()
                .map(|failing| failing.failure.to_string()),
            lost_for: self
                .failing
                .as_ref()
                .map(|failing| (now - failing.since).as_secs_f64()),
            changes_total: self.changes,
            errors_total: errors.map(|(kind, count)| (kind.name(), *count)).collect(),
            members: Arc::clone(&self.shown),
            left_out: Arc::clone(&self.left_out),
        }
    }

    fn tell_stale(&mut self, now: Instant) {
        let since = self.heard.unwrap_or(self.created);
        if !self.is_stale_told && now >= since + self.rules.stale_warn {
            self.is_stale_told = true;
            let age_s = (now - since).as_secs();
            tracing::warn!(
                event = "source_stale",
                source = %self.id,
                age_s,
                "Source {}: nothing good was heard for long ({age_s} s).",
                self.id,
            );
        }
    }

    /// A line for each member that came or went.
    fn tell_difference(&self, members: &[Member]) {
        let before = self.applied.as_deref().unwrap_or_default();
        let known: HashMap<&str, &Member> = before.iter().map(|m| (&*m.id, m)).collect();
        for member in members {
            match known.get(&*member.id) {
                None => {
                    let Member {
                        id, name, address, ..
                    } = member;
                    tracing::info!(source = %self.id, id, name, %address, "member in");
                }
                Some(before) if before.standing != member.standing => {
                    let Member { name, standing, .. } = member;
                    let (word, why) = (standing.word(), standing.why());
                    tracing::info!(source = %self.id, name, standing = word, why, "member changed");
                }
                Some(_) => {}
            }
        }
        let now: HashMap<&str, ()> = members.iter().map(|m| (&*m.id, ())).collect();
        for member in before
            .iter()
            .filter(|member| !now.contains_key(&*member.id))
        {
            let Member {
                id, name, address, ..
            } = member;
            tracing::info!(source = %self.id, id, name, %address, "member out");
        }
    }
}

impl MemberRow {
    fn of(member: &Member) -> Self {
        Self {
            id: member.id.clone(),
            name: member.name.clone(),
            address: member.address.to_string(),
            standing: member.standing.word(),
            why: member.standing.why().to_owned(),
        }
    }
}

/// Whether one that served is told to end.
fn begins_to_drain(known: &[Member], members: &[Member]) -> bool {
    let drains = |member: &Member| matches!(member.standing, Standing::Draining(_));
    let served = |id: &str| known.iter().any(|known| known.id == id && !drains(known));
    members
        .iter()
        .any(|member| drains(member) && served(&member.id))
}

/// Weights of any scale become ours, 0-256. What has some keeps at least 1.
fn scale(members: &mut [Member]) {
    let largest = members
        .iter()
        .map(|member| member.weight)
        .max()
        .unwrap_or(0);
    if largest <= WEIGHT_MAX {
        return;
    }
    for member in members.iter_mut().filter(|member| member.weight > 0) {
        let share = u64::from(member.weight) * u64::from(WEIGHT_MAX);
        let rounded = (share + u64::from(largest) / 2) / u64::from(largest);
        member.weight = (rounded as u32).max(1);
    }
}

/// HAProxy's.
const WEIGHT_MAX: u32 = 256;

#[cfg(test)]
mod tests;
