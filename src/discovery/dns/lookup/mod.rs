//! One look at a name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use hickory_resolver::{TokioResolver, system_conf};
use tokio::time::timeout;

use crate::config::{Dns, DnsRecord, DnsSource, DnsTransport};
use crate::discovery::{Failure, FailureKind, Found, LeftOut, Member};

/// The servers that a name stands for now, and how long that may be believed. A
/// name that does not exist stands for none.
///
/// # Errors
/// Nobody answered, or with a failure; also when only one of several targets could
/// not be looked up: what is missing would seem to be gone.
pub(super) async fn look(source: &DnsSource, dns: &Dns) -> Result<(Found, Duration), Failure> {
    let look = Look::new(&source.name, dns)?;
    let whole = async {
        match source.record {
            DnsRecord::A(port) => look.addresses(RecordType::A, port).await,
            DnsRecord::Aaaa(port) => look.addresses(RecordType::AAAA, port).await,
            DnsRecord::Srv => look.services().await,
        }
    };
    in_time(&source.name, whole).await
}

/// The addresses of a host, IPv4 where there is any, else IPv6.
///
/// # Errors
/// As [`look`].
pub(super) async fn look_up(
    name: &str,
    port: u16,
    dns: &Dns,
) -> Result<(Found, Duration), Failure> {
    let look = Look::new(name, dns)?;
    in_time(name, async {
        let (ips, ttl) = look.host(name).await?;
        let members = ips.into_iter().map(|ip| member(SocketAddr::new(ip, port)));
        let found = Found {
            members: members.collect(),
            left_out: Vec::new(),
        };
        // A name that does not exist may do so soon.
        let ttl = if found.members.is_empty() {
            Duration::ZERO
        } else {
            ttl
        };
        Ok((look.bounded(found)?, ttl))
    })
    .await
}

async fn in_time<T>(
    name: &str,
    look: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(LOOK_MAX, look).await.unwrap_or_else(|_| {
        let message = format!("{name}: not looked up within {LOOK_MAX:?}");
        Err(Failure::new(FailureKind::Timeout, message))
    })
}

struct Look<'a> {
    name: &'a str,
    resolver: TokioResolver,
}

/// A target of an SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    priority: u16,
    host: String,
    port: u16,
    weight: u16,
}

impl<'a> Look<'a> {
    fn new(name: &'a str, dns: &Dns) -> Result<Self, Failure> {
        let resolver = resolver(dns)?;
        Ok(Self { name, resolver })
    }

    async fn addresses(&self, kind: RecordType, port: u16) -> Result<(Found, Duration), Failure> {
        let Some(lookup) = self.ask(self.name, kind).await? else {
            return Ok((Found::default(), Duration::ZERO));
        };
        let ips: BTreeSet<IpAddr> = lookup.answers().iter().filter_map(ip).collect();
        let members = ips.into_iter().map(|ip| member(SocketAddr::new(ip, port)));
        let found = Found {
            members: members.collect(),
            left_out: Vec::new(),
        };
        Ok((self.bounded(found)?, ttl(lookup.answers())))
    }

    async fn services(&self) -> Result<(Found, Duration), Failure> {
        let Some(lookup) = self.ask(self.name, RecordType::SRV).await? else {
            return Ok((Found::default(), Duration::ZERO));
        };
        let targets: BTreeSet<Target> = lookup.answers().iter().filter_map(target).collect();
        if targets.len() > MEMBERS_MAX {
            return Err(self.too_many(targets.len()));
        }
        let mut ttl = ttl(lookup.answers());
        let mut known = additional(&lookup);
        let mut found = Found::default();
        let mut seen = BTreeSet::new();
        let mut tiers: Vec<u16> = Vec::new();
        for target in targets {
            if target.host == "." {
                let why = "the service is decidedly not available there (RFC 2782)";
                found.left_out.push(LeftOut::new(self.name, why));
                continue;
            }
            let ips = match known.get(&target.host) {
                Some(ips) => ips.clone(),
                None => {
                    let (ips, lives) = self.host(&target.host).await?;
                    ttl = ttl.min(lives);
                    known.insert(target.host.clone(), ips.clone());
                    ips
                }
            };
            if ips.is_empty() {
                found
                    .left_out
                    .push(LeftOut::new(&*target.host, "it has no address"));
                continue;
            }
            // In the order of the set: the best priority comes first.
            if tiers.last() != Some(&target.priority) {
                tiers.push(target.priority);
            }
            for ip in ips {
                let address = SocketAddr::new(ip, target.port);
                if seen.insert(address) {
                    found.members.push(Member {
                        // A weight of 0 is a very small chance, not none.
                        weight: u32::from(target.weight.max(1)),
                        tier: tiers.len() as u16 - 1,
                        ..member(address)
                    });
                }
            }
        }
        Ok((self.bounded(found)?, ttl))
    }

    /// The addresses of a target, IPv4 before IPv6; none if the name does not exist.
    async fn host(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), Failure> {
        for kind in [RecordType::A, RecordType::AAAA] {
            if let Some(lookup) = self.ask(host, kind).await? {
                let ips: BTreeSet<IpAddr> = lookup.answers().iter().filter_map(ip).collect();
                if !ips.is_empty() {
                    return Ok((ips.into_iter().collect(), ttl(lookup.answers())));
                }
            }
        }
        Ok((Vec::new(), Duration::MAX))
    }

    /// `None` = there is no such name, or no such record of it.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Option<Lookup>, Failure> {
        match self.resolver.lookup(name, kind).await {
            Ok(lookup) => Ok(Some(lookup)),
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if matches!(
                    none.response_code,
                    ResponseCode::NXDomain | ResponseCode::NoError
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(Failure::new(
                kind_of(&error),
                format!("{kind} of {name}: {error}"),
            )),
        }
    }

    fn bounded(&self, found: Found) -> Result<Found, Failure> {
        match found.members.len() {
            0..=MEMBERS_MAX => Ok(found),
            more => Err(self.too_many(more)),
        }
    }

    fn too_many(&self, count: usize) -> Failure {
        let message = format!("{}: {count} servers, more than {MEMBERS_MAX}", self.name);
        Failure::new(FailureKind::TooLarge, message)
    }
}

/// Anew for each look: resolv.conf may be another one by now.
fn resolver(dns: &Dns) -> Result<TokioResolver, Failure> {
    let local = |error: &dyn std::fmt::Display| {
        Failure::new(FailureKind::Local, format!("/etc/resolv.conf: {error}"))
    };
    let (config, mut options) = match dns.servers.is_empty() {
        true => system_conf::read_system_conf().map_err(|error| local(&error))?,
        false => {
            let servers = dns.servers.iter().map(|address| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = address.port();
                    connection
                });
                NameServerConfig::new(address.ip(), true, connections.to_vec())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            let mut options = ResolverOpts::default();
            options.use_hosts_file = ResolveHosts::Never;
            (config, options)
        }
    };
    let config = match dns.transport {
        DnsTransport::Udp => config,
        DnsTransport::Tcp => over_tcp(&config),
    };
    options.timeout = QUERY_MAX;
    // One more try.
    options.attempts = 1;
    options.cache_size = 0;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().map_err(|error| local(&error))
}

fn over_tcp(config: &ResolverConfig) -> ResolverConfig {
    let servers = config.name_servers().iter().map(|server| {
        let mut server = server.clone();
        let is_tcp = |c: &ConnectionConfig| matches!(c.protocol, ProtocolConfig::Tcp);
        server.connections.retain(is_tcp);
        server
    });
    let search = config.search().to_vec();
    ResolverConfig::from_parts(config.domain().cloned(), search, servers.collect())
}

fn member(address: SocketAddr) -> Member {
    let name = format!("{}:{}", address.ip(), address.port());
    Member::new(address.to_string(), name, address)
}

fn ip(record: &Record) -> Option<IpAddr> {
    record.data.ip_addr()
}

fn target(record: &Record) -> Option<Target> {
    match &record.data {
        RData::SRV(srv) => Some(Target {
            priority: srv.priority,
            host: srv.target.to_lowercase().to_ascii(),
            port: srv.port,
            weight: srv.weight,
        }),
        _ => None,
    }
}

/// Addresses that came with the answer, IPv4 alone where there is any.
fn additional(lookup: &Lookup) -> BTreeMap<String, Vec<IpAddr>> {
    let mut known: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for record in lookup.additionals() {
        if let Some(ip) = ip(record) {
            let host = record.name.to_lowercase().to_ascii();
            known.entry(host).or_default().push(ip);
        }
    }
    for ips in known.values_mut() {
        if ips.iter().any(IpAddr::is_ipv4) {
            ips.retain(IpAddr::is_ipv4);
        }
        ips.sort();
    }
    known
}

/// The shortest time to live.
fn ttl(records: &[Record]) -> Duration {
    let least = records.iter().map(|record| record.ttl).min();
    Duration::from_secs(u64::from(least.unwrap_or(0)))
}

fn kind_of(error: &NetError) -> FailureKind {
    match error {
        NetError::Timeout => FailureKind::Timeout,
        NetError::Io(_) | NetError::NoConnections => FailureKind::Connect,
        NetError::Dns(_) => FailureKind::ServerError,
        _ => FailureKind::Malformed,
    }
}

/// One query, once.
const QUERY_MAX: Duration = Duration::from_secs(2);
/// A name with all its targets.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// A message of 64 KiB holds some 4,000 addresses.
const MEMBERS_MAX: usize = 4096;

#[cfg(test)]
mod tests;
