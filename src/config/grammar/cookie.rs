//! Texts of cookies (RFC 6265 4.1.1).

use super::http::{host_match, request_path, token};
use crate::config::HostMatch;
use crate::config::address::Fault;
use crate::config::units::quoted;

/// The name of a cookie of ours.
pub(crate) fn cookie_name(text: &str) -> Result<(), Fault> {
    token(text)?;
    match text {
        _ if text.len() > NAME_MAX => Err(Fault::new(format!(
            "the name of a cookie has at most {NAME_MAX} characters"
        ))),
        _ if text.starts_with('$') => Err(Fault::new(
            "names that begin with `$` are attributes to old servers (RFC 2965)",
        )),
        _ => Ok(()),
    }
}

/// What a cookie names a server by. `|` is where HAProxy's dates begin.
pub(crate) fn cookie_value(text: &str) -> Result<(), Fault> {
    let is_octet = |b: u8| b.is_ascii_graphic() && !b"\",;\\|".contains(&b);
    match text {
        "" => Err(Fault::new("a server has some value, or none is written")),
        _ if text.len() > VALUE_MAX => Err(Fault::new(format!(
            "a value has at most {VALUE_MAX} characters"
        ))),
        _ if text.bytes().all(is_octet) => Ok(()),
        _ => Err(Fault::new(format!("{} cannot be a value", quoted(text)))
            .help("no blanks, and none of \" , ; \\ | (RFC 6265 4.1.1)")),
    }
}

/// The domain of a cookie: a leading dot is of no use (RFC 6265 5.2.3), but known.
pub(crate) fn cookie_domain(text: &str) -> Result<String, Fault> {
    match host_match(text.strip_prefix('.').unwrap_or(text))? {
        HostMatch::Exact(name) if !name.starts_with('[') => Ok(name),
        _ => Err(Fault::new(format!("{} is not a domain", quoted(text)))
            .help("write \"example.com\": hosts below it are meant, too")),
    }
}

/// The path of a cookie.
pub(crate) fn cookie_path(text: &str) -> Result<(), Fault> {
    request_path(text)?;
    match text.contains([';', ',']) {
        true => Err(Fault::new("the path of a cookie ends at `;` and `,`")),
        false => Ok(()),
    }
}

/// What values are derived with.
pub(crate) fn cookie_key(text: &str) -> Result<(), Fault> {
    match text.len() {
        0..=1024 => Ok(()),
        _ => Err(Fault::new("a key has at most 1024 bytes")),
    }
}

/// Longer ones are a part of each request for nothing.
const NAME_MAX: usize = 64;
/// As of the name.
const VALUE_MAX: usize = 64;
