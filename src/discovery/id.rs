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
            config::Source::Announced => Self("announced:*".to_owned()),
            config::Source::Docker(docker) => Self(docker_name(docker)),
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

    /// The one address that a name stands for.
    pub(crate) fn name(name: &str, port: u16) -> Self {
        Self(format!("dns:{name}?type=name&port={port}"))
    }

    /// A server file.
    pub(crate) fn file(path: &Path) -> Self {
        Self(format!("file:{}", path.display()))
    }

    /// What makes sites of its own, of a kind (`consul`, `docker`): `consul:*`.
    pub(crate) fn sites(kind: &str) -> Self {
        Self(format!("{kind}:*"))
    }

    /// Whether it makes sites.
    pub(crate) fn is_sites(&self) -> bool {
        self.0.ends_with(":*")
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

/// `docker:demo/web?port=80`.
fn docker_name(source: &config::DockerSource) -> String {
    let mut name = "docker:".to_owned();
    if let Some(project) = &source.project {
        name.push_str(project);
        name.push('/');
    }
    name.push_str(&source.service);
    let port = source.port.map(|port| format!("port={port}"));
    let network = source
        .network
        .as_ref()
        .map(|name| format!("network={name}"));
    let tags = source.tags.iter().map(|tag| format!("tag={tag}"));
    for (index, filter) in port.into_iter().chain(network).chain(tags).enumerate() {
        name.push(if index == 0 { '?' } else { '&' });
        name.push_str(&filter);
    }
    name
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
