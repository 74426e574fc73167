//! The smaller texts, and what a system calls its things: accounts, interfaces, files.

use std::net::IpAddr;

mod cookie;
mod discovery;
mod http;
pub(crate) mod tls;

pub(crate) use self::cookie::{cookie_domain, cookie_key, cookie_name, cookie_path, cookie_value};
pub(crate) use self::discovery::{
    consul_name, consul_name_or_none, consul_tag, dns_name, docker_name, docker_name_or_none,
    group, group_by, kv_key, kv_pattern,
};
pub(crate) use self::http::{
    check_field, check_host, check_method, field_value, grpc_service, host_match, method,
    path_prefix, request_path, sni_match, status_range, token, token_or_none,
};
pub(crate) use self::tls::{alpn_protocol, cipher_suite, tls_host, tls_name};

use super::address::Fault;
use super::units::quoted;

/// Permissions of a socket, `0600` or `660`.
pub(crate) fn octal_mode(text: &str) -> Result<u32, Fault> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(mode),
        _ => Err(Fault::new(format!("{} is not a file mode", quoted(text)))
            .help("three octal digits: \"0600\", \"660\"")),
    }
}

/// A user or group, by name or number; empty = none.
pub(crate) fn account(text: &str) -> Result<(), Fault> {
    if text
        .bytes()
        .any(|b| b == b':' || b == b'/' || !b.is_ascii_graphic())
        || text.len() > 64
    {
        return Err(Fault::new(format!(
            "{} is not the name or number of an account",
            quoted(text)
        )));
    }
    Ok(())
}

/// A network interface; Linux allows 15 bytes.
pub(crate) fn interface(text: &str) -> Result<(), Fault> {
    if text.is_empty()
        || text.len() > 15
        || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
    {
        return Err(Fault::new(format!("{} is not an interface", quoted(text)))
            .help("as `ip link` names it: \"eth0\""));
    }
    Ok(())
}

/// A file that is read later; its content is not looked at here.
pub(crate) fn file_path(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new("a file's path cannot be empty"));
    }
    Ok(())
}

/// What names the program in a log line: halog and its kin cut the line at blanks
/// and colons.
pub(crate) fn log_tag(text: &str) -> Result<(), Fault> {
    let is_tag = |b: u8| b.is_ascii_alphanumeric() || b"_./-".contains(&b);
    if text.is_empty() || text.len() > 32 || !text.bytes().all(is_tag) {
        return Err(Fault::new(format!("{} cannot be a tag", quoted(text)))
            .help("write \"rlb\", or \"haproxy\" for programs that look for it"));
    }
    Ok(())
}

/// `50%`.
pub(crate) fn percent(text: &str) -> Result<u8, Fault> {
    let number = text.strip_suffix('%').map(str::trim_end);
    let number = number.filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
    match number.and_then(|number| number.parse().ok()) {
        Some(percent @ 0..=100) => Ok(percent),
        _ => Err(Fault::new(format!("{} is not a share", quoted(text)))
            .help("write \"50%\"; \"0%\" is never")),
    }
}

/// A path that is looked at later, or nothing for none.
pub(crate) fn no_zero(text: &str) -> Result<(), Fault> {
    if text.contains('\0') {
        return Err(Fault::new("a path has no NUL in it"));
    }
    Ok(())
}

/// An IP address, or nothing.
pub(crate) fn ip_or_none(text: &str) -> Result<Option<IpAddr>, Fault> {
    if text.is_empty() {
        Ok(None)
    } else {
        ip(text).map(Some)
    }
}

/// A directory, or nothing for none.
pub(crate) fn directory(text: &str) -> Result<(), Fault> {
    if text.contains('\0') || !(text.is_empty() || text.starts_with('/')) {
        return Err(Fault::new("a directory's path begins with \"/\""));
    }
    Ok(())
}

/// An IP address without port.
pub(crate) fn ip(text: &str) -> Result<IpAddr, Fault> {
    text.parse().map_err(|_| {
        Fault::new(format!("{} is not an IP address", quoted(text)))
            .help("without port; the port has its own key, `check_port`")
    })
}

#[cfg(test)]
mod tests;
