//! The smaller texts: tokens, hosts, status codes, file modes.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use super::address::Fault;
use super::suggest::nearest;
use super::units::quoted;
use super::{GroupBy, HostMatch, KvPattern};

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

/// The name of a group of servers, as a tag or a key of a store may have it.
pub(crate) fn group(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.len() > 128 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Fault::new(format!("{} is not one", quoted(text)))
            .help("write the version or the colour, such as \"0.0.1\" or \"blue\""));
    }
    Ok(())
}

/// What of a discovered server names its group.
pub(crate) fn group_by(text: &str) -> Result<GroupBy, Fault> {
    let fault = |message: &str| {
        Fault::new(message.to_owned())
            .help("write \"tag:version\" for tags such as version=0.0.1, or \"meta:version\"")
    };
    let (kind, word) = text
        .split_once(':')
        .ok_or_else(|| fault("the kind is missing"))?;
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(fault("the word behind the colon is missing or has blanks"));
    }
    let word = word.to_owned();
    match kind {
        "tag" if word.ends_with('=') => Err(fault("the = of the tag is not part of the word")),
        "tag" => Ok(GroupBy::Tag(word)),
        "meta" => Ok(GroupBy::Meta(word)),
        "label" => Ok(GroupBy::Label(word)),
        _ => Err(fault("the kinds are tag, meta and label")),
    }
}

/// A key of Consul's store.
pub(crate) fn kv_key(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.starts_with('/') || text.ends_with('/') {
        return Err(
            Fault::new("a key of Consul's store neither begins nor ends with \"/\"")
                .help("write it as `consul kv get` takes it, such as \"goat/weights\""),
        );
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new("a key has no control characters"));
    }
    Ok(())
}

/// A key of Consul's store for each group.
pub(crate) fn kv_pattern(text: &str) -> Result<KvPattern, Fault> {
    kv_key(text)?;
    match text.split("{group}").collect::<Vec<_>>()[..] {
        [prefix, suffix] if !prefix.is_empty() => Ok(KvPattern {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        }),
        [_, _] => Err(Fault::new("it would read the whole store")
            .help("put the keys under a path, such as \"goat/version={group}/weight\"")),
        _ => Err(Fault::new("{group} must stand in it once")
            .help("such as \"goat/version={group}/weight\"")),
    }
}

/// A token, or nothing for off.
pub(crate) fn token_or_none(text: &str) -> Result<(), Fault> {
    if text.is_empty() { Ok(()) } else { token(text) }
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

/// The name of a protocol (RFC 7301 3.1), as far as it can be typed.
pub(crate) fn alpn_protocol(text: &str) -> Result<(), Fault> {
    let is_name = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    match is_name {
        true => Ok(()),
        false => Err(
            Fault::new(format!("{} is not the name of a protocol", quoted(text)))
                .help("names as IANA lists them: \"h2\", \"http/1.1\", \"postgresql\""),
        ),
    }
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

/// A service or datacenter of Consul: Consul itself takes nearly anything, but
/// what stands in a URL and a log stays readable.
pub(crate) fn consul_name(text: &str) -> Result<(), Fault> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 128 || !text.bytes().all(known) {
        return Err(
            Fault::new(format!("{} is not a name of Consul", quoted(text)))
                .help("letters, digits and - _ . as in \"web\" or \"goat-api\""),
        );
    }
    Ok(())
}

/// The same, or nothing.
pub(crate) fn consul_name_or_none(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        Ok(())
    } else {
        consul_name(text)
    }
}

/// A name in DNS: labels of letters, digits, - and _ (RFC 1035 2.3.1; services
/// begin with the underscore).
pub(crate) fn dns_name(text: &str) -> Result<(), Fault> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(good);
    if bare.len() > 253 || !bare.split('.').all(is_label) {
        return Err(Fault::new(format!("{} is not one", quoted(text)))
            .help("write \"web.internal\", or \"_http._tcp.web.internal\" of a service"));
    }
    Ok(())
}

/// A tag of Consul.
pub(crate) fn consul_tag(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        return Err(Fault::new(format!("{} is not a tag", quoted(text))));
    }
    Ok(())
}

/// A service, project or network of Docker.
pub(crate) fn docker_name(text: &str) -> Result<(), Fault> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 255 || !text.bytes().all(known) {
        return Err(
            Fault::new(format!("{} is not a name of Docker", quoted(text)))
                .help("letters, digits and - _ . as in \"web\" or \"demo_front\""),
        );
    }
    Ok(())
}

/// The same, or nothing.
pub(crate) fn docker_name_or_none(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        Ok(())
    } else {
        docker_name(text)
    }
}

/// An IP address, or nothing.
pub(crate) fn ip_or_none(text: &str) -> Result<Option<std::net::IpAddr>, Fault> {
    if text.is_empty() {
        Ok(None)
    } else {
        ip(text).map(Some)
    }
}

/// A name of TLS (RFC 6066 section 3): no address, no port.
pub(crate) fn tls_name(text: &str) -> Result<(), Fault> {
    match rustls::pki_types::DnsName::try_from(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::new("not a host name")),
    }
}

/// What a certificate can be for.
pub(crate) fn tls_host(text: &str) -> Result<(), Fault> {
    match rustls::pki_types::ServerName::try_from(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::new("neither a host name nor an IP address")),
    }
}

/// A cipher suite we speak, by its IANA name (RFC 8446 appendix B.4, RFC 5289, RFC 7905).
pub(crate) fn cipher_suite(text: &str) -> Result<(), Fault> {
    match CIPHER_SUITES.contains(&text) {
        true => Ok(()),
        false => Err(Fault::new(
            match nearest(text, CIPHER_SUITES.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("takes {}", CIPHER_SUITES.join(", ")),
            },
        )),
    }
}

/// All with forward secrecy and authenticated encryption.
pub(crate) const CIPHER_SUITES: &[&str] = &[
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// A directory, or nothing for none.
pub(crate) fn directory(text: &str) -> Result<(), Fault> {
    if text.contains('\0') || !(text.is_empty() || text.starts_with('/')) {
        return Err(Fault::new("a directory's path begins with \"/\""));
    }
    Ok(())
}

/// An IP address without port.
pub(crate) fn ip(text: &str) -> Result<std::net::IpAddr, Fault> {
    text.parse().map_err(|_| {
        Fault::new(format!("{} is not an IP address", quoted(text)))
            .help("without port; the port has its own key, `check_port`")
    })
}

const KNOWN_METHODS: &[&str] = &[
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, expected) in [
            (
                "Demo.Example.com",
                HostMatch::Exact("demo.example.com".into()),
            ),
            ("*.example.com", HostMatch::Suffix(".example.com".into())),
            ("10.0.0.1", HostMatch::Exact("10.0.0.1".into())),
            ("[::1]", HostMatch::Exact("[::1]".into())),
        ] {
            assert_eq!(host_match(text).unwrap(), expected, "{text}");
        }
        assert_eq!(
            host_match("a.example:8080").unwrap_err().help.unwrap(),
            "did you mean \"a.example\"?"
        );
        for text in ["", "*", "a.*", "http://a", "a..b", "ä.de", "*.[::1]", "a/b"] {
            assert!(host_match(text).is_err(), "{text}");
        }
    }

    #[test]
    fn statuses() {
        assert_eq!(status_range("200").unwrap(), 200..=200);
        assert_eq!(status_range("200-399").unwrap(), 200..=399);
        assert_eq!(
            status_range("2xx").unwrap_err().help.unwrap(),
            "did you mean \"200-299\"?"
        );
        for text in ["", "100", "600", "399-200", "200-", "20"] {
            assert!(status_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn methods_and_modes() {
        assert!(method("PURGE").is_ok());
        assert!(method("M-SEARCH").is_ok());
        assert_eq!(
            method("get").unwrap_err().help.unwrap(),
            "did you mean \"GET\"?"
        );
        assert_eq!(octal_mode("0660").unwrap(), 0o660);
        assert!(octal_mode("0888").is_err());
        assert!(octal_mode("1777").is_err());
        assert!(octal_mode("+600").is_err());
    }
}
