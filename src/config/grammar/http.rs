//! Texts of HTTP: tokens, hosts, paths, status codes.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use crate::config::HostMatch;
use crate::config::address::Fault;
use crate::config::units::quoted;

/// A token of HTTP (RFC 9110 5.6.2): method or field name.
pub(crate) fn token(text: &str) -> Result<(), Fault> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err(
            Fault::new(format!("{} is not a token of HTTP", quoted(text)))
                .help("only letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 5.6.2)"),
        );
    }
    Ok(())
}

/// A token, or nothing for off.
pub(crate) fn token_or_none(text: &str) -> Result<(), Fault> {
    if text.is_empty() { Ok(()) } else { token(text) }
}

/// A request method; case counts (RFC 9110 9.1).
pub(crate) fn method(text: &str) -> Result<(), Fault> {
    token(text)?;
    let upper = text.to_ascii_uppercase();
    if upper != text && KNOWN_METHODS.contains(&upper.as_str()) {
        return Err(
            Fault::new("the case of a method counts").help(format!("did you mean \"{upper}\"?"))
        );
    }
    Ok(())
}

/// The method of a check: CONNECT would ask for a tunnel.
pub(crate) fn check_method(text: &str) -> Result<(), Fault> {
    match text {
        "CONNECT" => Err(Fault::new(
            "CONNECT asks for a tunnel, which a check cannot judge",
        )),
        _ => method(text),
    }
}

/// What may stand in a request line as origin-form (RFC 9112 3.2.1).
pub(crate) fn request_path(text: &str) -> Result<(), Fault> {
    if !text.starts_with('/') {
        return Err(Fault::new("a path begins with \"/\"")
            .help(format!("did you mean \"/{}\"?", text.escape_debug())));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(Fault::new("a path has no spaces, no `#` and only ASCII")
            .help("encode other characters as %XX"));
    }
    Ok(())
}

/// The start of a path as routes compare it, without query.
pub(crate) fn path_prefix(text: &str) -> Result<(), Fault> {
    request_path(text)?;
    if text.contains('?') {
        return Err(Fault::new("routes do not look at the query"));
    }
    Ok(())
}

/// The Host field of a check; empty = the server's address.
pub(crate) fn check_host(text: &str) -> Result<(), Fault> {
    if !text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"/?#@,".contains(&b))
    {
        return Err(Fault::new(format!("{} is not a host", quoted(text)))
            .help("write \"example.com\" or \"example.com:8080\""));
    }
    Ok(())
}

/// `demo.example.com`, `*.example.com`, or an IP address as in a URL.
pub(crate) fn host_match(text: &str) -> Result<HostMatch, Fault> {
    let (wild, name) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let lower = name.to_ascii_lowercase();
    let bracketed = lower
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(ip) = bracketed {
        return match ip.parse::<std::net::Ipv6Addr>() {
            Ok(_) if !wild => Ok(HostMatch::Exact(lower)),
            _ => Err(Fault::new(format!("{} is not a host", quoted(text)))),
        };
    }
    if let Some((host, port)) = lower.split_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(
            Fault::new("a route looks at the host without its port").help(format!(
                "did you mean \"{}{host}\"?",
                if wild { "*." } else { "" }
            )),
        );
    }
    if lower.contains("//") || lower.contains('/') {
        return Err(Fault::new("a host, not a URL").help("the path has its own key, `path_prefix`"));
    }
    if lower.contains('*') {
        return Err(
            Fault::new("a `*` stands only in front, before a dot").help("write \"*.example.com\"")
        );
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if lower.len() > 253 || !lower.split('.').all(is_label) {
        return Err(Fault::new(format!("{} is not a host name", quoted(text)))
            .help("international names are written as they travel: \"xn--...\""));
    }
    Ok(if wild {
        HostMatch::Suffix(format!(".{lower}"))
    } else {
        HostMatch::Exact(lower)
    })
}

/// A name as SNI may carry it: [`host_match`] without addresses (RFC 6066 3).
pub(crate) fn sni_match(text: &str) -> Result<HostMatch, Fault> {
    let found = host_match(text)?;
    match &found {
        HostMatch::Exact(name) if name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok() => {
            Err(Fault::new("clients never send an address as SNI")
                .help("connections without a name go to default_backend"))
        }
        _ => Ok(found),
    }
}

/// A field value (RFC 9110 5.5), visible ASCII and inner blanks.
pub(crate) fn field_value(text: &str) -> Result<(), Fault> {
    let inner = |b: u8| b.is_ascii_graphic() || b == b' ' || b == b'\t';
    if !text.bytes().all(inner) || text.trim_matches([' ', '\t']) != text {
        return Err(Fault::new(
            "a field's value has only visible ASCII, and blanks only inside",
        ));
    }
    Ok(())
}

/// The name of a field a check may send: what frames the message is ours.
pub(crate) fn check_field(text: &str) -> Result<(), Fault> {
    token(text)?;
    match text.to_ascii_lowercase().as_str() {
        "host" => Err(Fault::new("the Host field has its own key").help("write host = \"...\"")),
        "connection" | "content-length" | "transfer-encoding" | "upgrade" | "te" | "expect" => {
            Err(Fault::new(format!("{text} is set by the check itself")))
        }
        _ => Ok(()),
    }
}

/// The name of a gRPC service, or none.
pub(crate) fn grpc_service(text: &str) -> Result<(), Fault> {
    let is_name = text.len() <= 127 && text.bytes().all(|b| b.is_ascii_graphic());
    match is_name {
        true => Ok(()),
        false => Err(
            Fault::new(format!("{} is not the name of a service", quoted(text)))
                .help("as the server calls it: \"shop.v1.Cart\""),
        ),
    }
}

/// `200` or `200-399`; 200 to 599, the codes that end an exchange.
pub(crate) fn status_range(text: &str) -> Result<RangeInclusive<u16>, Fault> {
    let code = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|code| text.len() == 3 && (200..=599).contains(code))
    };
    let range = match text.split_once('-') {
        Some((first, last)) => code(first).zip(code(last)),
        None => code(text).map(|code| (code, code)),
    };
    match range {
        Some((first, last)) if first <= last => Ok(first..=last),
        Some(_) => Err(Fault::new("the range ends before it begins")),
        None => {
            let class = text.strip_suffix("xx").filter(|class| class.len() == 1);
            Err(Fault::new(format!(
                "{} is no status code from 200 to 599",
                quoted(text)
            ))
            .help(match class {
                Some(class) => format!("did you mean \"{class}00-{class}99\"?"),
                None => "write 200, \"200-399\" or a list of them".to_owned(),
            }))
        }
    }
}

const KNOWN_METHODS: &[&str] = &[
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];
