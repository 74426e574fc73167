//! What a source is called.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{self, DnsRecord};

/// Names a source: its kind, a colon, what it is called there, and what filters
/// it: `file:/etc/rlb/nodes.toml`, `consul:web`, `consul:web?tag=php`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SourceId(String);

impl SourceId {
    /// A source as the configuration names it.
    pub(crate) fn of(source: &config::Source) -> Self {
        match source {
            config::Source::File(path) => Self::file(path),
            config::Source::Consul(consul) => {
                let mut name = format!("consul:{}", consul.service);
                for (index, tag) in consul.tags.iter().enumerate() {
                    name.push(if index == 0 { '?' } else { '&' });
                    name.push_str("tag=");
                    name.push_str(tag);
                }
                Self(name)
            }
            config::Source::Dns(dns) => Self(match dns.record {
                DnsRecord::A(port) => format!("dns:{}?type=a&port={port}", dns.name),
                DnsRecord::Aaaa(port) => format!("dns:{}?type=aaaa&port={port}", dns.name),
                DnsRecord::Srv => format!("dns:{}?type=srv", dns.name),
            }),
        }
    }

    /// A server file.
    pub(crate) fn file(path: &Path) -> Self {
        Self(format!("file:{}", path.display()))
    }

    /// What makes sites of its own, of a kind (`consul`, `docker`): `consul:*`.
    pub(crate) fn sites(kind: &str) -> Self {
        Self(format!("{kind}:*"))
    }

    /// `file`, `consul`, ...
    pub(crate) fn kind(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// As it is printed.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
