//! Addresses, networks and names, from the text the operator wrote.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::grammar::dns_name;
use super::units::quoted;
use super::{ApiAddress, BindAddress, LogTarget, Network, ServerAddress};

/// What is wrong with a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// `:80`, `*:80`, `0.0.0.0:80`, `[::]:80`, `unix:/path`, `unix:@name`, `fd@N`.
/// Port 0 is any free one.
pub(crate) fn bind(text: &str) -> Result<BindAddress, Fault> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(match unix(path)? {
            UnixAddress::Path(path) => BindAddress::Unix(path),
            UnixAddress::Abstract(name) => BindAddress::Abstract(name),
        });
    }
    if let Some(number) = text.strip_prefix("fd@") {
        return match number.parse::<u16>() {
            Ok(number) if number > 2 => Ok(BindAddress::Fd(i32::from(number))),
            _ => Err(
                Fault::new("fd@ wants the number of an inherited, listening descriptor")
                    .help("numbers begin at 3: 0, 1 and 2 are stdin, stdout and stderr"),
            ),
        };
    }
    let any = text.strip_prefix(':').or_else(|| text.strip_prefix("*:"));
    if let Some(port_text) = any.filter(|port| !port.contains(':')) {
        return Ok(BindAddress::Any(port(port_text, 0)?));
    }
    let (ip, port_text) = split_port(text, ":80", "every address")?;
    let port = port(port_text, 0)?;
    match ip {
        Host::Ip(ip) => Ok(BindAddress::Ip(SocketAddr::new(ip, port))),
        Host::Name(name) => Err(Fault::new(format!(
            "{} is a name: a bind wants an IP address",
            quoted(name)
        ))
        .help(format!(
            "write \":{port}\" for every address of this machine"
        ))),
    }
}

/// `ip:port`, `[v6]:port`, `name:port`, `unix:/path` or `unix:@name`.
pub(crate) fn server(text: &str) -> Result<ServerAddress, Fault> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(match unix(path)? {
            UnixAddress::Path(path) => ServerAddress::Unix(path),
            UnixAddress::Abstract(name) => ServerAddress::Abstract(name),
        });
    }
    for scheme in ["http://", "https://", "tcp://"] {
        if let Some(rest) = text.strip_prefix(scheme) {
            let rest = rest.split('/').next().unwrap_or_default();
            return Err(Fault::new("a server is an address, not a URL")
                .help(format!("did you mean \"{}\"?", rest.escape_debug())));
        }
    }
    let (host, port_text) = split_port(text, "10.0.0.11:80", "that address")?;
    let port = port(port_text, 1)?;
    match host {
        Host::Ip(ip) if ip.is_unspecified() => Err(Fault::new(format!(
            "{ip} means every address: a server is one address"
        ))
        .help(format!("did you mean \"127.0.0.1:{port}\"?"))),
        Host::Ip(ip) => Ok(ServerAddress::Ip(SocketAddr::new(ip, port))),
        Host::Name(name) if is_host_name(name) && dns_name(name).is_ok() => {
            Ok(ServerAddress::Name(name.to_owned(), port))
        }
        Host::Name(name) => Err(Fault::new(format!("{} is not an IP address", quoted(name)))
            .help("write \"10.0.0.11:80\", \"[2001:db8::1]:80\" or \"unix:/path\"")),
    }
}

/// `http://host:port`, `https://host:port`, `host:port` or `unix:///path` of an
/// HTTP API; without a port 80, or 443. Empty = none.
pub(crate) fn api_or_none(text: &str) -> Result<Option<ApiAddress>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        // unix:///run/x and unix:/run/x are the same.
        let path = path.strip_prefix("//").unwrap_or(path);
        return match unix(path)? {
            UnixAddress::Path(path) => Ok(Some(ApiAddress::Unix(path))),
            UnixAddress::Abstract(_) => Err(Fault::new("an API has no abstract socket")),
        };
    }
    let (https, rest) = if let Some(rest) = text.strip_prefix("https://") {
        (true, rest)
    } else {
        let rest = text.strip_prefix("http://");
        (
            false,
            rest.or_else(|| text.strip_prefix("tcp://")).unwrap_or(text),
        )
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let default_port = if https { 443 } else { 80 };
    let (host, port) = match rest.parse::<IpAddr>() {
        Ok(ip) => (ip.to_string(), default_port),
        Err(_) if !rest.contains(':') => (rest.to_owned(), default_port),
        Err(_) => {
            let (host, port_text) = split_port(rest, "127.0.0.1:8500", "this machine")?;
            let host = match host {
                Host::Ip(ip) => ip.to_string(),
                Host::Name(name) => name.to_owned(),
            };
            (host, port(port_text, 1)?)
        }
    };
    if host.parse::<IpAddr>().is_err() && !is_host_name(&host) {
        return Err(Fault::new(format!(
            "{} is not the address of an HTTP API",
            quoted(text)
        ))
        .help("write \"http://127.0.0.1:8500\", \"consul:8500\" or \"unix:///path\""));
    }
    Ok(Some(match https {
        true => ApiAddress::Https(host, port),
        false => ApiAddress::Http(host, port),
    }))
}

/// `ip` or `ip:port` of a DNS server.
pub(crate) fn dns_server(text: &str) -> Result<SocketAddr, Fault> {
    let with_port = || text.parse::<SocketAddr>().ok().filter(|a| a.port() > 0);
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    alone.ok().or_else(with_port).ok_or_else(|| {
        Fault::new(format!("{} is not an IP address", quoted(text)))
            .help("write \"10.0.0.53\", \"10.0.0.53:8600\" or \"[2001:db8::53]:53\"")
    })
}

/// `ip:port` of an admin socket.
pub(crate) fn admin_tcp(text: &str) -> Result<SocketAddr, Fault> {
    let (host, port_text) = split_port(text, "127.0.0.1:9999", "this machine alone")?;
    let port = port(port_text, 0)?;
    match host {
        Host::Ip(ip) => Ok(SocketAddr::new(ip, port)),
        Host::Name(name) => Err(Fault::new(format!("{} is not an IP address", quoted(name)))
            .help(format!("write \"127.0.0.1:{port}\""))),
    }
}

/// `ip:port` that others connect to.
pub(crate) fn reachable(text: &str) -> Result<SocketAddr, Fault> {
    match server(text)? {
        ServerAddress::Ip(address) => Ok(address),
        _ => Err(Fault::new("others cannot reach a Unix socket")
            .help("write the address clients connect to, such as \"10.0.0.20:80\"")),
    }
}

/// Path of an admin socket; empty = none.
pub(crate) fn admin_path(text: &str) -> Result<Option<PathBuf>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let help = if let Some(path) = text.strip_prefix("unix:") {
        format!("did you mean {}?", quoted(path))
    } else if text.parse::<SocketAddr>().is_ok() {
        format!("for TCP write {{ bind = {} }}", quoted(text))
    } else {
        String::new()
    };
    match unix(text) {
        Ok(UnixAddress::Path(path)) => Ok(Some(path)),
        Ok(UnixAddress::Abstract(_)) => Err(Fault::new(
            "an abstract socket has no permissions: every local user could use it",
        )),
        Err(fault) if help.is_empty() => Err(fault),
        Err(fault) => Err(fault.help(help)),
    }
}

/// `stdout`, `stderr`, `file:/path`, `syslog:/path` or `syslog:udp:host:port`.
pub(crate) fn log_target(text: &str) -> Result<LogTarget, Fault> {
    let absolute = |path: &str| path.starts_with('/') && !path.contains('\0');
    match text.split_once(':') {
        None if text == "stdout" => Ok(LogTarget::Stdout),
        None if text == "stderr" => Ok(LogTarget::Stderr),
        Some(("file", path)) if absolute(path) => Ok(LogTarget::File(path.into())),
        Some(("syslog", path)) if absolute(path) => Ok(LogTarget::SyslogUnix(path.into())),
        Some(("syslog", udp)) if is_host_and_port(udp.strip_prefix("udp:")) => {
            Ok(LogTarget::SyslogUdp(udp["udp:".len()..].to_owned()))
        }
        _ => Err(Fault::new(format!("{} is no place for a log", quoted(text))).help(
            "write \"stdout\", \"stderr\", \"file:/var/log/rlb.log\", \"syslog:/dev/log\" or \"syslog:udp:10.0.0.9:514\"",
        )),
    }
}

fn is_host_and_port(text: Option<&str>) -> bool {
    let Some((host, port)) = text.and_then(|text| text.rsplit_once(':')) else {
        return false;
    };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_host = match bare {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => {
            let known = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
            !host.is_empty() && host.bytes().all(known)
        }
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `10.0.0.0/8`, `2001:db8::/32`, or one address.
pub(crate) fn network(text: &str) -> Result<Network, Fault> {
    let fault = || {
        Fault::new(format!("{} is not a network", quoted(text)))
            .help("write \"10.0.0.0/8\", \"2001:db8::/32\" or one address")
    };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let written: IpAddr = address.parse().map_err(|_| fault())?;
    let bits = if written.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse::<u8>().map_err(|_| fault())?,
        None => bits,
    };
    if prefix > bits {
        return Err(Fault::new(format!(
            "/{prefix} is longer than the {bits} bits of {written}"
        )));
    }
    // IPv4-mapped peers are seen as IPv4, and so are networks of them.
    let (address, prefix) = match written.to_canonical() {
        address @ IpAddr::V4(_) if written.is_ipv6() && prefix >= 96 => (address, prefix - 96),
        _ => (written, prefix),
    };
    let masked = mask(address, prefix);
    if masked != address {
        return Err(
            Fault::new(format!("{address}/{prefix} has bits behind its prefix"))
                .help(format!("did you mean \"{masked}/{prefix}\"?")),
        );
    }
    Ok(Network { address, prefix })
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(prefix.min(32)))
                .unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(prefix.min(128)))
                .unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

/// The name a server gets when none was written: its address, within the
/// characters of a name.
pub(crate) fn server_name(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Ip(address) => format!("{}:{}", address.ip(), address.port()),
        ServerAddress::Unix(path) => clean_name(&format!("unix:{}", path.display())),
        ServerAddress::Abstract(name) => clean_name(&format!("unix:@{name}")),
        ServerAddress::Name(name, port) => clean_name(&format!("{name}:{port}")),
    }
}

fn clean_name(text: &str) -> String {
    text.chars()
        .map(|c| if is_name_char(c) { c } else { '_' })
        .take(NAME_MAX)
        .collect()
}

/// The name of a frontend or backend.
pub(crate) fn name(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::new("a name cannot be empty"));
    }
    if text.chars().count() > NAME_MAX {
        return Err(Fault::new(format!(
            "a name has at most {NAME_MAX} characters"
        )));
    }
    if !text.chars().all(is_name_char) {
        return Err(
            Fault::new("a name has only the characters A-Z a-z 0-9 _ . : -")
                .help(format!("did you mean \"{}\"?", clean_name(text))),
        );
    }
    Ok(())
}

/// The name of a server; two words are taken by the rows of HAProxy's CSV.
pub(crate) fn server_name_written(text: &str) -> Result<(), Fault> {
    match text {
        "FRONTEND" | "BACKEND" => Err(Fault::new(format!(
            "a server cannot be called {text}: the statistics name their own rows so"
        ))),
        _ => name(text),
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-')
}

enum UnixAddress {
    Path(PathBuf),
    Abstract(String),
}

fn unix(text: &str) -> Result<UnixAddress, Fault> {
    if text.contains('\0') {
        return Err(Fault::new("a socket's path cannot hold a zero byte"));
    }
    if text.len() > UNIX_PATH_MAX {
        return Err(Fault::new(format!(
            "a Unix socket's path has at most {UNIX_PATH_MAX} bytes, this one {}",
            text.len()
        )));
    }
    match text.strip_prefix('@') {
        Some("") => Err(Fault::new("an abstract socket wants a name behind the @")),
        Some(name) => Ok(UnixAddress::Abstract(name.to_owned())),
        None if text.len() > 1 && text.starts_with('/') => Ok(UnixAddress::Path(text.into())),
        None => Err(Fault::new(format!("{} is not a whole path", quoted(text)))
            .help("a Unix socket's path begins with \"/\"")),
    }
}

enum Host<'a> {
    Ip(IpAddr),
    Name(&'a str),
}

/// Cuts `host:port`; `example` and `means` make the suggestion when the port
/// is missing.
fn split_port<'a>(text: &'a str, example: &str, means: &str) -> Result<(Host<'a>, &'a str), Fault> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest
            .split_once(']')
            .ok_or_else(|| Fault::new("missing `]`"))?;
        let ip: Ipv6Addr = ip
            .parse()
            .map_err(|_| Fault::new(format!("{} is not an IPv6 address", quoted(ip))))?;
        let port = port
            .strip_prefix(':')
            .ok_or_else(|| Fault::new("missing port").help(format!("write \"[{ip}]:80\"")))?;
        return Ok((Host::Ip(ip.into()), port));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        let whole = SocketAddr::new(ip, 80);
        return Err(Fault::new("missing port").help(format!("write \"{whole}\"")));
    }
    match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => {
            Err(Fault::new("an IPv6 address with a port stands in brackets")
                .help("write \"[2001:db8::1]:80\""))
        }
        Some((host, port)) => match host.parse::<Ipv4Addr>() {
            Ok(ip) => Ok((Host::Ip(ip.into()), port)),
            Err(_) => Ok((Host::Name(host), port)),
        },
        None if text.parse::<u16>().is_ok() => Err(Fault::new("missing address")
            .help(format!("write \":{text}\" or \"127.0.0.1:{text}\""))),
        None => Err(Fault::new("missing port").help(format!(
            "write the address and the port, for example \"{example}\" for {means}"
        ))),
    }
}

fn port(text: &str, least: u16) -> Result<u16, Fault> {
    match text.parse::<u16>() {
        // `parse` takes a leading `+`.
        Ok(port) if port >= least && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(Fault::new(format!(
            "{} is not a port: they are {least} to 65535",
            quoted(text)
        ))),
    }
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Names are shown in tables and sent in every CSV row.
const NAME_MAX: usize = 128;

/// `sun_path` has 108 bytes, one for the zero or the abstract mark.
const UNIX_PATH_MAX: usize = 107;

#[cfg(test)]
mod tests;
