//! Which backend a request goes to: first match wins, else the default.

use super::Frontend;
use crate::config::{HeaderMatch, HostMatch, Route, TlsRoute};
use crate::tls::ClientHello;

/// What routes look at. Sockets and parsers stay outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestFacts<'a, F> {
    /// Method as sent.
    pub(crate) method: &'a str,
    /// Host with or without port, any case.
    pub(crate) host: &'a [u8],
    /// Target in origin form, query included.
    pub(crate) target: &'a [u8],
    /// The values of a field by its lower-case name, one after the other.
    pub(crate) has_field: F,
}

impl Frontend {
    /// Index of the backend for this request; `None` = no rule and no default.
    #[inline]
    pub(crate) fn route<F>(&self, request: &RequestFacts<'_, F>) -> Option<usize>
    where
        F: Fn(&HeaderMatch) -> bool,
    {
        match self.matching_route(request) {
            Some(index) => Some(self.config.routes[index].backend),
            None => self.config.default_backend,
        }
    }

    /// Index of the backend for a connection that began so; `None` = no rule and no
    /// default. What is no ClientHello matches no rule.
    pub(crate) fn pass(&self, hello: Option<&ClientHello<'_>>) -> Option<usize> {
        match hello.and_then(|hello| self.passing_route(hello)) {
            Some(index) => Some(self.config.passed[index].backend),
            None => self.config.default_backend,
        }
    }

    /// Index of the rule for this ClientHello.
    pub(crate) fn passing_route(&self, hello: &ClientHello<'_>) -> Option<usize> {
        let mut routes = self.config.passed.iter();
        routes.position(|route| passes(route, hello))
    }

    /// Index of the rule for this request.
    #[inline]
    pub(crate) fn matching_route<F>(&self, request: &RequestFacts<'_, F>) -> Option<usize>
    where
        F: Fn(&HeaderMatch) -> bool,
    {
        if self.config.routes.is_empty() {
            return None;
        }
        let host = without_port(request.host);
        let mut routes = self.config.routes.iter();
        routes.position(|route| matches(route, request, host))
    }
}

fn passes(route: &TlsRoute, hello: &ClientHello<'_>) -> bool {
    let offers = |wanted: &String| hello.protocols().any(|name| name == wanted.as_bytes());
    let is_named =
        |wanted: &HostMatch| hello.server_name().is_some_and(|name| wanted.matches(name));
    route.sni.as_ref().is_none_or(is_named)
        && (route.alpn.is_empty() || route.alpn.iter().any(offers))
}

fn matches<F>(route: &Route, request: &RequestFacts<'_, F>, host: &[u8]) -> bool
where
    F: Fn(&HeaderMatch) -> bool,
{
    route
        .host
        .as_ref()
        .is_none_or(|wanted| wanted.matches(host))
        && route
            .path_prefix
            .as_ref()
            // A written one has no query, so that the one of the target does not matter.
            .is_none_or(|prefix| request.target.starts_with(prefix.as_bytes()))
        && (route.methods.is_empty() || route.methods.iter().any(|method| method == request.method))
        && route.headers.iter().all(&request.has_field)
}

/// The host of an authority; `[v6]:port` keeps its brackets. A final dot is the
/// root and means the same name.
pub(crate) fn without_port(authority: &[u8]) -> &[u8] {
    let host = match authority.iter().rposition(|byte| *byte == b':') {
        Some(colon) if authority[colon..].contains(&b']') => authority,
        Some(colon) => &authority[..colon],
        None => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_the_root_dot_do_not_count() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"a.b", b"a.b"),
            (b"a.b:80", b"a.b"),
            (b"a.b.:80", b"a.b"),
            (b"[::1]", b"[::1]"),
            (b"[::1]:80", b"[::1]"),
            (b"", b""),
        ];
        for (authority, host) in cases {
            assert_eq!(without_port(authority), host);
        }
    }
}
