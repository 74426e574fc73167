//! Which backend a request goes to: first match wins, else the default.

use std::collections::HashMap;

use super::Frontend;
use crate::config::{HeaderMatch, HostMatch, Route, RouteTo, TlsRoute};
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

/// Where the routes of a host stand among those of a frontend, so that the last of
/// 10,000 sites is found like the last of ten: 13,500 instructions a whole request
/// take with either (callgrind), against 521,000 when all are tried. See
/// `generation/route` in `benches/generation.rs`.
#[derive(Debug, Default)]
pub(crate) struct RouteIndex {
    /// Those of hosts that are spelled out, lower case; in the order of the file.
    by_host: HashMap<Box<[u8]>, Vec<u32>>,
    /// All others, in the order of the file.
    others: Vec<u32>,
}

impl RouteIndex {
    /// `None` = there are so few that to try them one by one is faster.
    pub(super) fn new(routes: &[Route]) -> Option<Self> {
        if routes.len() < INDEXED_FROM {
            return None;
        }
        let mut index = Self::default();
        for (place, route) in (0..).zip(routes) {
            match &route.host {
                Some(HostMatch::Exact(name)) => {
                    let name = name.to_ascii_lowercase().into_bytes();
                    index.by_host.entry(name.into()).or_default().push(place);
                }
                Some(HostMatch::Suffix(_)) | None => index.others.push(place),
            }
        }
        Some(index)
    }

    /// The first route that `matches`, of those that this host can match.
    fn first(&self, host: &[u8], matches: impl Fn(usize) -> bool) -> Option<usize> {
        let as_index = |place: &u32| *place as usize;
        let mut own = self.of(host).unwrap_or_default().iter().map(as_index);
        let own = own.find(|place| matches(*place));
        let before = |place: &usize| own.is_none_or(|own| *place < own);
        let mut others = self.others.iter().map(as_index).take_while(before);
        others.find(|place| matches(*place)).or(own)
    }

    fn of(&self, host: &[u8]) -> Option<&[u32]> {
        let mut lower = [0; HOST_MAX];
        let lower = lower.get_mut(..host.len())?;
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        self.by_host.get(&*lower).map(Vec::as_slice)
    }
}

/// Where a connection of tcp mode goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Index of the backend.
    Backend(usize),
    /// A rule refuses it.
    Denied,
    /// No rule and no default.
    Nowhere,
}

impl Frontend {
    /// What becomes of this request; `None` = no rule and no default.
    #[inline]
    pub(crate) fn route<F>(&self, request: &RequestFacts<'_, F>) -> Option<RouteTo>
    where
        F: Fn(&HeaderMatch) -> bool,
    {
        match self.matching_route(request) {
            Some(index) => Some(self.config.routes[index].to),
            None => self.config.default_backend.map(RouteTo::Backend),
        }
    }

    /// Where a connection goes that began so. What is no ClientHello matches no rule.
    pub(crate) fn pass(&self, hello: Option<&ClientHello<'_>>) -> Pass {
        let to = match hello.and_then(|hello| self.passing_route(hello)) {
            Some(index) => self.config.passed[index].backend.ok_or(Pass::Denied),
            None => self.config.default_backend.ok_or(Pass::Nowhere),
        };
        to.map_or_else(|other| other, Pass::Backend)
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
        let routes = &self.config.routes;
        match &self.routes {
            None => routes
                .iter()
                .position(|route| matches(route, request, host)),
            Some(index) => index.first(host, |place| matches(&routes[place], request, host)),
        }
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

/// Fewer are tried one by one.
const INDEXED_FROM: usize = 16;
/// No name is longer (RFC 1035 section 2.3.4), and none of a route.
const HOST_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Generation;
    use crate::generation::testing::{desired, frontend};

    /// Hosts that are spelled out, domains, paths and catch-alls, in no order.
    fn many() -> Vec<Route> {
        let route = |number: usize| Route {
            host: match number % 7 {
                0 => Some(HostMatch::Suffix(format!(".d{}.test", number % 3))),
                1 if number > 40 => None,
                _ => Some(HostMatch::Exact(format!(
                    "h{}.d{}.test",
                    number % 5,
                    number % 3
                ))),
            },
            path_prefix: (!number.is_multiple_of(4)).then(|| format!("/{}", number % 11)),
            methods: match number % 5 {
                0 => vec!["POST".to_owned()],
                _ => Vec::new(),
            },
            headers: Vec::new(),
            to: RouteTo::Backend(0),
        };
        (0..60).map(route).collect()
    }

    #[test]
    fn the_index_finds_what_trying_one_by_one_finds() {
        let mut config = frontend("web", &[], None);
        config.routes = many();
        let (generation, _) = Generation::first(&desired(vec![config], Vec::new()), 1);
        let frontend = &generation.frontends[0];
        assert!(frontend.routes.is_some());
        let mut found = std::collections::BTreeSet::new();
        let hosts = ["d0.test", "d1.test:80", "d2.TEST.", "other", ""];
        let hosts = hosts.iter().flat_map(|domain| {
            (0..6).flat_map(move |host| [format!("H{host}.{domain}"), (*domain).to_owned()])
        });
        for host in hosts.chain(["x".repeat(254), "h1.".repeat(400)]) {
            for (path, method) in (0..12).flat_map(|path| [(path, "GET"), (path, "POST")]) {
                let target = format!("/{path}?query");
                let facts = RequestFacts {
                    method,
                    host: host.as_bytes(),
                    target: target.as_bytes(),
                    has_field: |_: &HeaderMatch| false,
                };
                let name = without_port(facts.host);
                let routes = &frontend.config.routes;
                let one_by_one = routes.iter().position(|route| matches(route, &facts, name));
                assert_eq!(frontend.matching_route(&facts), one_by_one, "{host} {path}");
                found.extend(one_by_one);
            }
        }
        assert!(found.len() > 20, "{found:?}");
    }

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
