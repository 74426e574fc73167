//! What a source says is there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One whole answer of a provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Found {
    /// In an order that does not change by itself: sorted by id, say.
    pub(crate) members: Vec<Member>,
    /// What was looked at and not taken.
    pub(crate) left_out: Vec<LeftOut>,
}

/// One server, as its source knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// What the source itself calls it, unique within the kind of source, so that
    /// two sources that find the same one name it alike: container id, node and
    /// service id, address. Never only an address where the source knows better:
    /// addresses are used again within seconds.
    pub(crate) id: String,
    /// What people are to see. Control makes it unique and takes out what a name
    /// cannot hold.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its own weight, in any scale: a set with one above 256 is scaled down as a
    /// whole. 0 = no new traffic. Default 1.
    #[serde(default = "one")]
    pub(crate) weight: u32,
    /// 0 = serves; above that it is a backup (the priority of an SRV record,
    /// counted from the best).
    #[serde(default)]
    pub(crate) tier: u16,
    /// What the source thinks of it.
    #[serde(default)]
    pub(crate) standing: Standing,
    /// Consul's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    /// Consul's meta, Docker's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// It announces a site of its own: see [`Site`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) site: Option<Box<Site>>,
}

/// What a source thinks of a member. Joined with our own checks: both must be
/// content with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    /// Nothing is wrong.
    #[default]
    Good,
    /// Something is, but it may serve (Consul's warning): why.
    Warning(String),
    /// It must not serve; not even when nobody else does: why.
    Bad(String),
    /// It is about to end: what runs may finish, nothing new: why.
    Draining(String),
    /// Somebody works on it. Never served.
    Maintenance(String),
}

/// A member that is not one, for those who wonder why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct LeftOut {
    /// As the source names it: `demo-web-4`.
    pub(crate) who: String,
    /// One half sentence with the remedy: `two exposed ports 80, 8080: set rlb.port`.
    pub(crate) why: String,
}

/// A backend and its routes, as a member announces them. Members of one source
/// that name the same backend make it together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Site {
    /// The backend it belongs to: `demo_interlock_com`.
    pub(crate) backend: String,
    /// Hosts routed to it, `demo.example.com` or `*.example.com`, `*` = every one
    /// nothing else takes; empty = it joins a backend that others route to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<String>,
    /// The paths that are routed to it begin with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path_prefix: Option<String>,
    /// Its check; `None` = that of `[defaults]`, else a connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check: Option<SiteCheck>,
    /// Milliseconds between two checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check_interval_ms: Option<u64>,
    /// As in `balance = "..."`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) balance: Option<String>,
    /// Its hosts are served on binds with TLS only.
    #[serde(default)]
    pub(crate) tls_only: bool,
    /// Unix seconds since which it announces this, where the source knows: of two
    /// that want the same host the older one has it.
    #[serde(default)]
    pub(crate) since: u64,
}

/// The check a site asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SiteCheck {
    /// None at all.
    Off,
    /// The connect alone.
    Tcp,
    /// This path, with the method of `[defaults]`.
    Http(String),
}

impl Member {
    /// A good one with nothing special.
    pub(crate) fn new(id: impl Into<String>, name: impl Into<String>, address: SocketAddr) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            address,
            weight: 1,
            tier: 0,
            standing: Standing::Good,
            tags: Vec::new(),
            labels: BTreeMap::new(),
            site: None,
        }
    }
}

impl Standing {
    /// In a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning(_) => "warning",
            Self::Bad(_) => "bad",
            Self::Draining(_) => "draining",
            Self::Maintenance(_) => "maintenance",
        }
    }

    /// Why, in the source's words; empty = no reason.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Good => "",
            Self::Warning(why) | Self::Bad(why) | Self::Draining(why) | Self::Maintenance(why) => {
                why
            }
        }
    }
}

impl LeftOut {
    /// It, and why.
    pub(crate) fn new(who: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            who: who.into(),
            why: why.into(),
        }
    }
}

/// The weight of what has none.
fn one() -> u32 {
    1
}
