//! The shares of groups that stand in Consul's store.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::change::Cause;
use super::merge::Looked;
use super::weights::WeightsId;
use super::{Control, Outcome};
use crate::config::shares::{parse, parse_one};
use crate::config::{self, Config, GroupWeights};
use crate::discovery::{Kv, KvWatch};
use crate::generation::Shares;

/// What is watched in the store, by the place that shares come from.
#[derive(Debug, Default)]
pub(super) struct Keys {
    watched: RefCell<BTreeMap<WeightsId, Watched>>,
    /// What is wrong, as it was said last.
    told: RefCell<BTreeMap<WeightsId, String>>,
    /// One of them changed.
    news: Rc<Notify>,
}

#[derive(Debug)]
struct Watched {
    /// How it is asked.
    discovery: config::Discovery,
    latest: Rc<RefCell<Kv>>,
    task: JoinHandle<()>,
}

impl Control {
    /// Watches what the configuration in force names in the store, and nothing else.
    pub(super) fn watch_keys(&self) {
        let inputs = self.inputs.borrow();
        let discovery = &inputs.config.discovery;
        let mut before = self.keys.watched.take();
        let mut watched = BTreeMap::new();
        let groups = inputs.config.backends.iter();
        for groups in groups.filter_map(|backend| backend.groups.as_ref()) {
            let prefix = match &groups.weights {
                GroupWeights::ConsulKv(pattern) => &pattern.prefix,
                GroupWeights::ConsulKvJson(key) => key,
                _ => continue,
            };
            let Some(id) = WeightsId::of(groups).filter(|id| !watched.contains_key(id)) else {
                continue;
            };
            let same = before.remove(&id);
            let same = same.filter(|known| known.discovery == *discovery);
            let watch = same.unwrap_or_else(|| {
                let has_some = !inputs.weights.of(groups).is_empty();
                self.keys.watch(discovery, prefix, has_some)
            });
            watched.insert(id, watch);
        }
        self.keys
            .told
            .borrow_mut()
            .retain(|id, _| watched.contains_key(id));
        self.keys.watched.replace(watched);
    }

    /// Follows the store until the task is dropped.
    pub(super) async fn follow_keys(self: Rc<Self>) -> Outcome {
        loop {
            self.take_keys().await;
            self.keys.news.notified().await;
        }
    }

    async fn take_keys(&self) {
        let turn = self.turn.lock().await;
        let mut inputs = self.inputs.borrow().clone();
        let weights = self.keys.read(&inputs.config);
        let names: Vec<_> = weights.iter().map(|(id, _)| id.to_string()).collect();
        let looked = Looked {
            weights,
            ..Looked::default()
        };
        if !inputs.take(looked) {
            return;
        }
        let cause = Cause::Source(names.join(", "));
        match self.bring(&turn, inputs, &cause, None).await {
            Ok(brought) => {
                for line in brought.changed {
                    tracing::info!("{line}");
                }
                for warning in brought.warnings {
                    tracing::warn!("{warning}");
                }
            }
            Err(error) => tracing::error!(%error, "the weights were not taken"),
        }
    }
}

impl Keys {
    fn watch(&self, discovery: &config::Discovery, prefix: &str, has_some: bool) -> Watched {
        let latest = Rc::default();
        let follower = Follower {
            watch: KvWatch::start(discovery, prefix),
            prefix: prefix.to_owned(),
            hold: discovery.empty_hold,
            has_some,
            latest: Rc::clone(&latest),
            news: Rc::clone(&self.news),
        };
        Watched {
            discovery: discovery.clone(),
            latest,
            task: tokio::task::spawn_local(follower.follow()),
        }
    }

    /// The good shares among what is known; what is wrong is said once.
    fn read(&self, config: &Config) -> Vec<(WeightsId, Shares)> {
        let watched = self.watched.borrow();
        let mut good = Vec::new();
        for groups in config.backends.iter().filter_map(|b| b.groups.as_ref()) {
            let Some(id) = WeightsId::of(groups) else {
                continue;
            };
            let Some(watched) = watched.get(&id) else {
                continue;
            };
            let kv = watched.latest.borrow();
            let shares = kv.values.as_ref().map(|values| shares(values, groups));
            let wrong = match (&kv.error, &shares) {
                (Some(failure), _) => Some(failure.to_string()),
                (None, Some(Err(why))) => Some(why.clone()),
                (None, _) => None,
            };
            self.tell(&id, wrong);
            if let Some(Ok(shares)) = shares {
                good.push((id, shares));
            }
        }
        good
    }

    fn tell(&self, id: &WeightsId, wrong: Option<String>) {
        let mut told = self.told.borrow_mut();
        match wrong {
            None => {
                if told.remove(id).is_some() {
                    tracing::warn!("{id}: the weights are good again");
                }
            }
            Some(wrong) if told.get(id) == Some(&wrong) => {}
            Some(wrong) => {
                tracing::error!("{id}: the last good weights stay: {wrong}");
                told.insert(id.clone(), wrong);
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Hands on what the store says.
struct Follower {
    watch: KvWatch,
    prefix: String,
    /// A store that becomes empty is believed after this.
    hold: Duration,
    /// There were keys the last time.
    has_some: bool,
    latest: Rc<RefCell<Kv>>,
    news: Rc<Notify>,
}

impl Follower {
    /// To a token that lost its permission the store is empty, too: what has
    /// become so is held, as with the members of a source.
    async fn follow(mut self) {
        let mut held: Option<Instant> = None;
        let mut kv = self.watch.changed().await;
        loop {
            let is_empty = kv.values.as_ref().is_some_and(BTreeMap::is_empty);
            if is_empty && self.has_some {
                let until = *held.get_or_insert_with(|| {
                    tracing::warn!(
                        prefix = self.prefix,
                        hold_s = self.hold.as_secs(),
                        "no keys in Consul all of a sudden: the last good weights stay for now; \
                         if it is not meant, look at the permissions (key:read)"
                    );
                    Instant::now() + self.hold
                });
                if let Ok(next) = timeout_at(until, self.watch.changed()).await {
                    kv = next;
                    continue;
                }
            }
            held = None;
            if kv.values.is_some() {
                self.has_some = !is_empty;
            }
            self.latest.replace(kv);
            self.news.notify_one();
            kv = self.watch.changed().await;
        }
    }
}

/// The shares that these values say; any that is none makes all of them doubtful.
fn shares(values: &BTreeMap<String, String>, groups: &config::Groups) -> Result<Shares, String> {
    match &groups.weights {
        GroupWeights::ConsulKv(pattern) => {
            let group = |key: &str| {
                let group = key.strip_prefix(&*pattern.prefix)?;
                let group = group.strip_suffix(&*pattern.suffix)?;
                (!group.is_empty() && !group.contains('/')).then(|| group.into())
            };
            let of_groups = values
                .iter()
                .filter_map(|(key, value)| Some((group(key)?, key, value)));
            let shares = of_groups.map(|(group, key, value)| {
                let share = parse_one(value).map_err(|why| format!("{key}: {why}"))?;
                Ok((group, share))
            });
            shares.collect()
        }
        GroupWeights::ConsulKvJson(key) => match values.get(key) {
            Some(text) => parse(text, groups.by.as_ref()),
            None => Ok(Shares::new()),
        },
        GroupWeights::File(_) | GroupWeights::Static(_) => Ok(Shares::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AllZero, KvPattern};

    fn read(weights: GroupWeights, values: &[(&str, &str)]) -> Result<Vec<(String, u32)>, String> {
        let groups = config::Groups {
            by: Some(config::GroupBy::Tag("version".to_owned())),
            weights,
            missing: 0,
            all_zero: AllZero::Refuse,
        };
        let values = values
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let shares = shares(&values.collect(), &groups)?;
        Ok(shares
            .into_iter()
            .map(|(g, s)| (g.to_string(), s))
            .collect())
    }

    #[test]
    fn key_of_each_group_is_found_by_its_pattern() {
        let pattern = || {
            GroupWeights::ConsulKv(KvPattern {
                prefix: "goat/version=".to_owned(),
                suffix: "/weight".to_owned(),
            })
        };
        let values = [
            ("goat/version=0.0.1/weight", "80"),
            ("goat/version=0.0.2/weight", " 20\n"),
            ("goat/version=0.0.2/note", "new"),
            ("goat/version=a/b/weight", "no group"),
            ("goat/version=/weight", "none"),
        ];
        let expected = vec![("0.0.1".to_owned(), 80), ("0.0.2".to_owned(), 20)];
        assert_eq!(read(pattern(), &values), Ok(expected));
        assert_eq!(read(pattern(), &[]), Ok(Vec::new()));
        let bad = [
            ("goat/version=0.0.1/weight", "80"),
            ("goat/version=0.0.2/weight", ""),
        ];
        let why = read(pattern(), &bad).unwrap_err();
        assert!(
            why.starts_with("goat/version=0.0.2/weight: a weight is a whole number"),
            "{why}"
        );
    }

    #[test]
    fn one_key_holds_an_object() {
        let json = || GroupWeights::ConsulKvJson("goat/weights".to_owned());
        let values = [
            ("goat/weights", r#"{"version=0.0.1":{"weight":80}}"#),
            ("goat/weights-old", ""),
        ];
        assert_eq!(read(json(), &values), Ok(vec![("0.0.1".to_owned(), 80)]));
        assert_eq!(read(json(), &[("goat/weights-old", "")]), Ok(Vec::new()));
        assert!(read(json(), &[("goat/weights", "{")]).is_err());
    }
}
