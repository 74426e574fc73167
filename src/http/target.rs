//! Request targets and authorities (9112 3.2, 9110 4.2).

use std::net::Ipv6Addr;

use memchr::memchr;

use super::{MethodKind, Refused, Scheme};

/// A target, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target<'b> {
    /// Origin-form, or `*`.
    pub(super) origin: &'b [u8],
    /// Scheme and authority of absolute-form.
    pub(super) absolute: Option<(Scheme, &'b [u8])>,
}

impl<'b> Target<'b> {
    /// `text` holds neither spaces nor controls: httparse saw to that.
    #[inline]
    pub(super) fn read(text: &'b [u8], method: MethodKind) -> Result<Self, Refused> {
        if !text.is_ascii() || memchr(b'#', text).is_some() {
            return Err(Refused::Target);
        }
        match (method, text) {
            (MethodKind::Connect, _) => Err(refuse_connect(text)),
            (MethodKind::Trace, _) => Err(Refused::Method),
            (_, [b'/', ..]) | (MethodKind::Options, b"*") => Ok(Self {
                origin: text,
                absolute: None,
            }),
            _ => Self::absolute(text, method),
        }
    }

    /// An empty path becomes `/`, of OPTIONS `*`; with a query behind it `/` would
    /// have to be put in between: refused, nobody sends it.
    #[cold]
    fn absolute(text: &'b [u8], method: MethodKind) -> Result<Self, Refused> {
        let (scheme, rest) = if let Some(rest) = strip_ignore_case(text, b"http://") {
            (Scheme::Http, rest)
        } else if let Some(rest) = strip_ignore_case(text, b"https://") {
            (Scheme::Https, rest)
        } else {
            return Err(Refused::Target);
        };
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !is_authority(authority) {
            return Err(Refused::Host);
        }
        let origin: &[u8] = match path {
            [] if method == MethodKind::Options => b"*",
            [] => b"/",
            [b'/', ..] => path,
            _ => return Err(Refused::Target),
        };
        Ok(Self {
            origin,
            absolute: Some((scheme, authority)),
        })
    }
}

/// uri-host [ ":" port ], the host not empty; no userinfo, no list (9110 7.2).
#[inline]
pub(super) fn is_authority(text: &[u8]) -> bool {
    if text.first() == Some(&b'[') {
        return is_ip_literal_authority(text);
    }
    match text.iter().position(|byte| !REG_NAME[usize::from(*byte)]) {
        None => !text.is_empty(),
        Some(at) => match &text[at..] {
            [b':', port @ ..] => at > 0 && is_port(port),
            [b'%', ..] => is_encoded_authority(text),
            _ => false,
        },
    }
}

/// As [`is_authority`], with encoded bytes in its host.
#[cold]
fn is_encoded_authority(text: &[u8]) -> bool {
    let is_host = |byte: &u8| *byte == b'%' || REG_NAME[usize::from(*byte)];
    let end = text.iter().position(|byte| !is_host(byte));
    let (host, rest) = text.split_at(end.unwrap_or(text.len()));
    percent_encoded(host)
        && match rest {
            [] => true,
            [b':', port @ ..] => is_port(port),
            _ => false,
        }
}

/// Digits up to 65535, or nothing at all (RFC 3986 3.2.3).
fn is_port(text: &[u8]) -> bool {
    text.iter()
        .try_fold(0_u32, |port, byte| {
            let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
            Some(port * 10 + digit).filter(|port| *port <= 65535)
        })
        .is_some()
}

#[cold]
fn is_ip_literal_authority(text: &[u8]) -> bool {
    let Some(end) = memchr(b']', text) else {
        return false;
    };
    let address = std::str::from_utf8(&text[1..end]).unwrap_or_default();
    address.parse::<Ipv6Addr>().is_ok()
        && match &text[end + 1..] {
            [] => true,
            [b':', port @ ..] => is_port(port),
            _ => false,
        }
}

/// Each `%` begins two hexadecimal digits.
fn percent_encoded(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'%')
        .skip(1)
        .all(|rest| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

/// 501 rather than 405, which would need an Allow. A target without a port is
/// bad whatever we do with CONNECT (9110 9.3.6).
#[cold]
fn refuse_connect(text: &[u8]) -> Refused {
    let port = text.iter().rposition(|byte| *byte == b':');
    match port {
        Some(colon) if colon + 1 < text.len() && is_authority(text) => Refused::Method,
        _ => Refused::Target,
    }
}

fn strip_ignore_case<'b>(text: &'b [u8], prefix: &[u8]) -> Option<&'b [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// reg-name (RFC 3986 3.2.2) but for the comma, which some take for a list of hosts, and
/// for `%`, which is more than a byte.
static REG_NAME: [bool; 256] = {
    let mut map = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        map[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"-._~!$&'()*+;=";
    let mut at = 0;
    while at < marks.len() {
        map[marks[at] as usize] = true;
        at += 1;
    }
    map
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_follow_the_grammar() {
        // 9110 7.2, RFC 3986 3.2.2.
        for good in [
            "a",
            "example.com",
            "example.com:80",
            "example.com:",
            "a:65535",
            "under_score.example",
            "127.0.0.1:8080",
            "[::1]",
            "[2001:db8::1]:443",
            "[::ffff:192.0.2.1]",
            "a%2Fb",
            "xn--bcher-kva.example",
            "a!$&'()*+;=b",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":",
            ":80",
            "a:65536",
            "a:99999999999999999999",
            "a:80a",
            "a:-1",
            "a:80:80",
            "a b",
            "a,b",
            "user@a",
            "a/b",
            "a?b",
            "a\\b",
            "a\"b",
            "<a>",
            "a\tb",
            "a%",
            "a%2",
            "a%zz",
            "[::1",
            "::1",
            "[::1]80",
            "[::1]:x",
            "[]",
            "[v1.a]",
            "[fe80::1%25eth0]",
            "[1.2.3.4]",
            "a]",
            "b\u{fc}cher.example",
            "a|b",
            "a^b",
            "a`b",
            "{a}",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn targets_come_in_four_forms() {
        // 9112 3.2.
        let http = |authority: &'static str| Some((Scheme::Http, authority.as_bytes()));
        for (method, text, origin, absolute) in [
            (MethodKind::Get, "/", "/", None),
            (
                MethodKind::Get,
                "/a/../%2e//b?c=d?e",
                "/a/../%2e//b?c=d?e",
                None,
            ),
            (MethodKind::Get, "//a", "//a", None),
            (MethodKind::Get, "/<>`\"{}|^", "/<>`\"{}|^", None),
            (MethodKind::Options, "*", "*", None),
            (MethodKind::Get, "http://a", "/", http("a")),
            (MethodKind::Options, "http://a:80", "*", http("a:80")),
            (MethodKind::Options, "http://a/", "/", http("a")),
            (MethodKind::Post, "HTTP://a/b?c", "/b?c", http("a")),
            (
                MethodKind::Get,
                "https://[::1]/",
                "/",
                Some((Scheme::Https, &b"[::1]"[..])),
            ),
        ] {
            let target = Target::read(text.as_bytes(), method).unwrap();
            assert_eq!(target.origin, origin.as_bytes(), "{text}");
            assert_eq!(target.absolute, absolute, "{text}");
        }
        for (method, text, refused) in [
            (MethodKind::Get, "*", Refused::Target),
            (MethodKind::Get, "a", Refused::Target),
            (MethodKind::Get, "a:80", Refused::Target),
            (MethodKind::Get, "/a#b", Refused::Target),
            (MethodKind::Get, "/\u{e4}", Refused::Target),
            (MethodKind::Get, "ftp://a/", Refused::Target),
            (MethodKind::Get, "http:/a", Refused::Target),
            (MethodKind::Get, "http://a?b", Refused::Target),
            (MethodKind::Get, "http://", Refused::Host),
            (MethodKind::Get, "http:///a", Refused::Host),
            (MethodKind::Get, "http://:80/", Refused::Host),
            (MethodKind::Get, "http://user@a/", Refused::Host),
            (MethodKind::Get, "http://a:b/", Refused::Host),
            (MethodKind::Options, "**", Refused::Target),
            (MethodKind::Connect, "/", Refused::Target),
            (MethodKind::Connect, "a", Refused::Target),
            (MethodKind::Connect, "a:", Refused::Target),
            (MethodKind::Connect, "http://a:80/", Refused::Target),
            (MethodKind::Connect, "a:443", Refused::Method),
            (MethodKind::Trace, "/", Refused::Method),
        ] {
            assert_eq!(
                Target::read(text.as_bytes(), method),
                Err(refused),
                "{text}"
            );
        }
    }
}
