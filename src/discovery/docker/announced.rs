//! What a container says of itself, whatever words it uses.

use std::fmt;
use std::time::Duration;

use crate::config::HostMatch;
use crate::discovery::{Site, SiteCheck};

/// One service of a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Announced {
    /// What a `source` may name it by; `None` = the compose service.
    pub(crate) service: Option<String>,
    /// The backend it belongs to; `None` = made from the first host, or the service.
    pub(crate) backend: Option<String>,
    /// Hosts that lead there.
    pub(crate) hosts: Vec<Host>,
    /// With each of the hosts.
    pub(crate) path_prefix: Option<String>,
    /// Where it listens inside; `None` = the one exposed port.
    pub(crate) port: Option<u16>,
    /// Which of its networks.
    pub(crate) network: Option<String>,
    /// `Some(true)` = the published port, whatever the file says.
    pub(crate) published: Option<bool>,
    pub(crate) weight: Option<u16>,
    pub(crate) backup: bool,
    pub(crate) check: Option<AnnouncedCheck>,
    pub(crate) check_interval: Option<Duration>,
    /// As in `balance = "..."`.
    pub(crate) balance: Option<String>,
    /// Routes only where clients come over TLS.
    pub(crate) tls_only: bool,
    /// Registrator's tags.
    pub(crate) tags: Vec<String>,
}

/// Which requests a route takes by their host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// `*`: all that no other route takes.
    Any,
    /// One host, or all below a domain.
    Of(HostMatch),
}

/// The check of a backend that makes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AnnouncedCheck {
    /// None at all.
    Off,
    /// The connect alone.
    Tcp,
    /// This path answers with 200 to 399.
    Http(String),
}

/// What reading a container's words came to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Its services; none = it says nothing in these words.
    pub(crate) announced: Vec<Announced>,
    /// Settings of a container that announces nothing, for a source that names it.
    pub(crate) settings: Option<Announced>,
    /// Why it is not used, whatever else it says.
    pub(crate) refused: Option<String>,
    /// What was not understood or is not done, a sentence each.
    pub(crate) warnings: Vec<String>,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Of(HostMatch::Exact(name)) => f.write_str(name),
            Self::Of(HostMatch::Suffix(suffix)) => write!(f, "*{suffix}"),
        }
    }
}

impl Announced {
    /// What `service` announces by this, `since` then (Unix seconds; 0 = nobody knows).
    pub(crate) fn site(&self, service: &str, since: u64) -> Site {
        let interval = |interval: Duration| u64::try_from(interval.as_millis());
        Site {
            backend: self.backend_name(service),
            hosts: self.hosts.iter().map(ToString::to_string).collect(),
            path_prefix: self.path_prefix.clone(),
            check: self.check.as_ref().map(|check| match check {
                AnnouncedCheck::Off => SiteCheck::Off,
                AnnouncedCheck::Tcp => SiteCheck::Tcp,
                AnnouncedCheck::Http(path) => SiteCheck::Http(path.clone()),
            }),
            check_interval_ms: self.check_interval.map(|i| interval(i).unwrap_or(u64::MAX)),
            balance: self.balance.clone(),
            tls_only: self.tls_only,
            since,
        }
    }

    /// The name of its backend, as Interlock made it of the host.
    pub(crate) fn backend_name(&self, service: &str) -> String {
        if let Some(name) = &self.backend {
            return name.clone();
        }
        let first = self.hosts.iter().find_map(|host| match host {
            Host::Of(HostMatch::Exact(name)) => Some(name.clone()),
            Host::Of(HostMatch::Suffix(suffix)) => Some(format!("any{suffix}")),
            Host::Any => None,
        });
        let mut name = first.map_or_else(
            || service.to_owned(),
            |host| host.replace('.', "_").trim_matches(['[', ']']).to_owned(),
        );
        if let Some(path) = &self.path_prefix {
            // Two services below one host are two backends.
            name.push_str(&path.trim_end_matches('/').replace('/', "_"));
        }
        clean(&name)
    }
}

/// In the letters of our names.
pub(crate) fn clean(name: &str) -> String {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    let clean = name.chars().map(|c| if letter(c) { c } else { '_' });
    clean.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_backend_is_named_by_its_first_host() {
        let of = |host: &str| Host::Of(config::host_match(host).unwrap());
        let named = |hosts: Vec<Host>, path: Option<&str>| {
            let announced = Announced {
                hosts,
                path_prefix: path.map(str::to_owned),
                ..Announced::default()
            };
            announced.backend_name("web")
        };
        assert_eq!(
            named(vec![of("demo.interlock.com")], None),
            "demo_interlock_com"
        );
        assert_eq!(named(vec![of("*.example.com")], None), "any_example_com");
        assert_eq!(named(vec![Host::Any], None), "web");
        assert_eq!(named(vec![of("a.b")], Some("/api/")), "a_b_api");
        assert_eq!(named(vec![of("[::1]")], None), "::1");
    }
}
