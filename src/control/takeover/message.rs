//! What is handed over: one line of JSON, versioned.
//!
//! A field that is added later has a default, so that a newer process reads what
//! an older one wrote. A change of meaning is a new version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counters::SharedCounters;
use crate::control::overrides::Overrides;
use crate::control::sources::{SourceId, Sources};
use crate::control::weights::Weights;
use crate::state::Operational;
use crate::tls::TicketKeys;

/// Of the message; what we write, and the newest we read.
pub(super) const VERSION: u32 = 1;

/// What every version has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Version of the rest.
    pub(super) handover: u32,
    /// Why there is none: a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
}

/// Knowledge of a running process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct HandOver {
    pub(super) handover: u32,
    /// In the order of the descriptors that follow.
    pub(super) binds: Vec<SharedBind>,
    /// What was set at run time.
    #[serde(default)]
    pub(super) overrides: Overrides,
    /// The last good answers.
    #[serde(default)]
    pub(super) sources: Sources,
    /// The last good shares of groups.
    #[serde(default)]
    pub(super) weights: Weights,
    /// When each of them was heard last, Unix seconds.
    #[serde(default)]
    pub(super) heard: BTreeMap<SourceId, u64>,
    /// What the checks found.
    #[serde(default)]
    pub(super) servers: Vec<SharedServer>,
    /// What opens the tickets of its clients.
    #[serde(default)]
    pub(super) tickets: TicketKeys,
    /// What was counted so far.
    #[serde(default)]
    pub(super) counters: SharedCounters,
}

/// An open bind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SharedBind {
    /// Whose it is.
    pub(super) frontend: String,
    /// As written.
    pub(super) address: String,
    /// SO_BINDTODEVICE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) interface: Option<String>,
    /// Descriptors.
    pub(super) sockets: usize,
}

/// A server that is checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SharedServer {
    pub(super) backend: String,
    /// Identity in the backend.
    pub(super) key: String,
    /// Another address is another server to the checks.
    pub(super) address: String,
    pub(super) operational: Operational,
    /// HAProxy's `health`.
    pub(super) health: u32,
}

impl Head {
    /// Whether we can read what it heads.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(why) = &self.refused {
            return Err(format!("the running process refuses: {why}"));
        }
        if self.handover == 0 || self.handover > VERSION {
            return Err(format!(
                "the running process writes hand-over version {}, and this binary reads 1 to {VERSION}; take over with a newer one, or stop it and start this one",
                self.handover
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_process_reads_the_oldest_message() {
        let oldest =
            r#"{"handover":1,"binds":[{"frontend":"web","address":"127.0.0.1:80","sockets":2}]}"#;
        let read: HandOver = serde_json::from_str(oldest).unwrap();
        assert_eq!(read.binds[0].sockets, 2);
        assert_eq!(read.overrides, Overrides::default());
        assert_eq!(read.counters, SharedCounters::default());
    }

    #[test]
    fn what_is_added_later_is_passed_over() {
        let newer = r#"{"handover":1,"binds":[],"weather":"fine"}"#;
        assert!(serde_json::from_str::<HandOver>(newer).is_ok());
    }

    #[test]
    fn unknown_versions_and_refusals_are_sentences() {
        let head = |text| serde_json::from_str::<Head>(text).unwrap().check();
        assert!(head(r#"{"handover":1}"#).is_ok());
        let unknown = head(r#"{"handover":2,"else":[]}"#).unwrap_err();
        assert!(unknown.contains("version 2") && unknown.contains("reads 1 to 1"));
        let refused = head(r#"{"handover":1,"refused":"not now"}"#).unwrap_err();
        assert!(refused.contains("not now"));
    }
}
