//! The shares of groups, where they do not stand in the configuration: the last
//! good answer of each place they come from. What cannot be read changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{self, Config, GroupBy, GroupWeights, KvPattern};
use crate::generation::Shares;

/// The last good shares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Weights {
    sets: BTreeMap<WeightsId, Arc<Shares>>,
}

/// Names a place shares come from: its kind, a colon, what it is called there,
/// and what is cut off the names that it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct WeightsId(String);

impl WeightsId {
    /// A file, as this backend reads it.
    pub(crate) fn file(path: &Path, by: Option<&GroupBy>) -> Self {
        Self(format!("file:{}{}", path.display(), cut(by)))
    }

    /// Where these groups' shares come from; `None` = the configuration.
    pub(crate) fn of(groups: &config::Groups) -> Option<Self> {
        let by = groups.by.as_ref();
        Some(match &groups.weights {
            GroupWeights::Static(_) => return None,
            GroupWeights::File(path) => Self::file(path, by),
            GroupWeights::ConsulKv(KvPattern { prefix, suffix }) => {
                Self(format!("consul_kv:{prefix}{{group}}{suffix}"))
            }
            GroupWeights::ConsulKvJson(key) => Self(format!("consul_kv_json:{key}{}", cut(by))),
        })
    }
}

/// What is cut off the names is part of the identity.
fn cut(by: Option<&GroupBy>) -> String {
    match by {
        Some(GroupBy::Tag(word) | GroupBy::Meta(word) | GroupBy::Label(word)) => {
            format!(" by {word}")
        }
        None => String::new(),
    }
}

impl fmt::Display for WeightsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Weights {
    /// Takes good shares; false = they are the ones that are known.
    pub(crate) fn set(&mut self, id: WeightsId, shares: Shares) -> bool {
        if self.sets.get(&id).is_some_and(|known| **known == shares) {
            return false;
        }
        self.sets.insert(id, Arc::new(shares));
        true
    }

    /// Whether this place ever gave good shares.
    pub(crate) fn has(&self, id: &WeightsId) -> bool {
        self.sets.contains_key(id)
    }

    /// The shares of these groups; none where none were ever seen.
    pub(crate) fn of(&self, groups: &config::Groups) -> Arc<Shares> {
        if let GroupWeights::Static(shares) = &groups.weights {
            return Arc::clone(shares);
        }
        let known = WeightsId::of(groups).and_then(|id| self.sets.get(&id));
        known.map(Arc::clone).unwrap_or_default()
    }

    /// Forgets the places that this configuration does not name.
    pub(crate) fn keep_named_in(&mut self, config: &Config) {
        let groups = config.backends.iter().filter_map(|b| b.groups.as_ref());
        let named: Vec<_> = groups.filter_map(WeightsId::of).collect();
        self.sets.retain(|id, _| named.contains(id));
    }
}
