//! Whether a request to steer was made by the page, or by another site through
//! its reader's browser, which sends the password along by itself.

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderValue, ORIGIN, REFERER, USER_AGENT};

/// A browser says where a request comes from, in one of several ways, and a script
/// cannot keep it from that; what looks like one must carry the page's token too.
/// Anything else (curl, HAProxy's clients) acts for nobody but its user. `secure` = the
/// page is spoken to by TLS, so its origin has https; without, TLS may end before us.
pub(super) fn may_steer(
    headers: &HeaderMap,
    token: Option<&str>,
    expected: &str,
    secure: bool,
) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let from_here = |value: &HeaderValue| {
        let origin = value.to_str().ok().and_then(origin);
        origin.is_some_and(|(scheme, authority)| {
            Some(authority) == host && (!secure || scheme == "https")
        })
    };
    let origins = headers.get_all(ORIGIN).iter();
    let referers = headers.get_all(REFERER).iter();
    if !origins.chain(referers).all(from_here) {
        return false;
    }
    let agent = text(USER_AGENT.as_str()).unwrap_or_default();
    let is_browser = site.is_some()
        || headers.contains_key(ORIGIN)
        || headers.contains_key(REFERER)
        || headers.contains_key("sec-fetch-mode")
        || agent.starts_with("Mozilla/");
    match token {
        Some(token) => is_same(token.as_bytes(), expected.as_bytes()),
        None => !is_browser,
    }
}

/// `http://host:port/path` -> `http`, `host:port`.
fn origin(url: &str) -> Option<(&str, &str)> {
    let (scheme, behind) = url.split_once("://")?;
    Some((scheme, behind.split(['/', '?', '#']).next()?))
}

/// In a time that depends on the lengths alone.
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(headers: &[(&'static str, &'static str)], token: Option<&str>) -> bool {
        may_on(headers, token, false)
    }

    fn may_on(headers: &[(&'static str, &'static str)], token: Option<&str>, secure: bool) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_static(value);
            (hyper::header::HeaderName::from_static(name), value)
        });
        may_steer(&headers.collect(), token, "right", secure)
    }

    const HERE: (&str, &str) = ("host", "lb:9000");

    #[test]
    fn clients_without_a_browser_need_no_token() {
        assert!(may(&[HERE], None));
        assert!(may(&[HERE, ("user-agent", "curl/8")], None));
        assert!(!may(&[HERE], Some("wrong")));
    }

    #[test]
    fn browsers_need_token_and_origin() {
        let origin = ("origin", "http://lb:9000");
        let same = ("sec-fetch-site", "same-origin");
        assert!(may(&[HERE, origin, same], Some("right")));
        assert!(may(&[HERE, ("referer", "http://lb:9000/s")], Some("right")));
        for headers in [
            &[HERE, origin, same][..],
            &[HERE, ("referer", "http://lb:9000/s")],
            &[HERE, ("user-agent", "Mozilla/5.0")],
            &[HERE, ("sec-fetch-mode", "navigate")],
        ] {
            assert!(!may(headers, None), "{headers:?}");
        }
    }

    #[test]
    fn other_sites_are_refused_even_with_the_token() {
        for header in [
            ("origin", "http://evil"),
            ("origin", "null"),
            ("origin", "http://lb:9000.evil"),
            ("referer", "http://evil/lb:9000"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
        ] {
            assert!(!may(&[HERE, header], Some("right")), "{header:?}");
        }
        assert!(
            !may(&[("origin", "http://lb:9000")], Some("right")),
            "no Host"
        );
    }

    #[test]
    fn a_page_over_tls_is_another_origin_than_one_without() {
        let host = ("host", "lb");
        for (origin, secure, may) in [
            ("https://lb", true, true),
            ("http://lb", true, false),
            ("https://lb:443", true, false),
            ("http://lb", false, true),
            // TLS ends before us.
            ("https://lb", false, true),
        ] {
            for header in ["origin", "referer"] {
                let is = may_on(&[host, (header, origin)], Some("right"), secure);
                assert_eq!(is, may, "{header} {origin} {secure}");
            }
        }
    }
}
