//! The values by which a backend's cookie names its servers.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::hmac;

use super::{Backend, Server};
use crate::config::{self, CookieSecure, SameSite, ServerAddress};
use crate::state::ServerId;

/// A server's value of its backend's cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CookieValue {
    /// Given by who wrote the server.
    Written(Arc<str>),
    /// Derived from its address.
    Derived {
        /// With this key.
        key: Arc<str>,
        /// 16 hexadecimal digits.
        value: Arc<str>,
    },
}

impl CookieValue {
    /// Of a server with these settings; `None` in a backend without a cookie. What was
    /// derived `before` is not derived anew.
    pub(super) fn of(
        settings: &config::Server,
        cookie: Option<&config::Cookie>,
        before: Option<&Arc<Server>>,
    ) -> Option<Self> {
        let cookie = cookie?;
        if let Some(value) = &settings.cookie {
            return Some(Self::Written(Arc::clone(value)));
        }
        let known = before.filter(|before| before.address == settings.address);
        match known.and_then(|before| before.cookie.as_ref()) {
            Some(known @ Self::Derived { key, .. }) if *key == cookie.key => Some(known.clone()),
            _ => Some(Self::Derived {
                key: Arc::clone(&cookie.key),
                value: derive(&cookie.key, &settings.address, None),
            }),
        }
    }

    fn text(&self) -> &Arc<str> {
        match self {
            Self::Written(value) | Self::Derived { value, .. } => value,
        }
    }
}

/// HAProxy's way (`dynamic-cookie-key`): with one key all balancers before the same
/// servers give them the same values, whatever they call them, and without it nobody
/// finds an address in one. A server of an address that another has, too, is told from
/// that by its name.
fn derive(key: &str, address: &ServerAddress, name: Option<&str>) -> Arc<str> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(address.to_string().as_bytes());
    if let Some(name) = name {
        context.update(b" ");
        context.update(name.as_bytes());
    }
    let tag = context.sign();
    let digits = tag.as_ref().iter().take(8);
    digits
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}

/// The cookie of a backend, and the values of its servers.
#[derive(Debug)]
pub(crate) struct Cookies {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// By server index.
    values: Box<[Arc<str>]>,
    /// Server index by value.
    by_value: HashMap<Arc<str>, u32>,
    /// Server index by identity, in the order of these.
    by_id: Box<[(ServerId, u32)]>,
    /// Behind the value, as it is set without TLS and with.
    attributes: [String; 2],
}

impl Cookies {
    pub(super) fn new(config: &config::Cookie, servers: &[Arc<Server>]) -> Self {
        let mut by_value = HashMap::with_capacity(servers.len());
        let mut values = vec![Arc::from(""); servers.len()];
        let written = |server: &Server| matches!(server.cookie, Some(CookieValue::Written(_)));
        // What is written comes first: it never gives way.
        for is_written in [true, false] {
            let matching = (0..).zip(servers).filter(|(_, s)| written(s) == is_written);
            for (index, server) in matching {
                let value = match &server.cookie {
                    Some(value) if !by_value.contains_key(value.text()) => Arc::clone(value.text()),
                    _ => derive(&config.key, &server.address, Some(&server.name)),
                };
                by_value.entry(Arc::clone(&value)).or_insert(index);
                values[index as usize] = value;
            }
        }
        let mut by_id: Vec<_> = servers.iter().map(|server| server.id()).zip(0..).collect();
        by_id.sort_unstable();
        Self {
            name: Arc::clone(&config.name),
            values: values.into(),
            by_value,
            by_id: by_id.into(),
            attributes: [false, true].map(|tls| attributes(config, tls)),
        }
    }

    /// What names the server of this index.
    pub(crate) fn value(&self, index: usize) -> &Arc<str> {
        &self.values[index]
    }

    /// What names this server; `None` = it is not of the backend (any more).
    pub(crate) fn value_of(&self, server: ServerId) -> Option<&Arc<str>> {
        Some(&self.values[self.index_of(server)?])
    }

    fn index_of(&self, server: ServerId) -> Option<usize> {
        let at = self
            .by_id
            .binary_search_by_key(&server, |(id, _)| *id)
            .ok()?;
        Some(self.by_id[at].1 as usize)
    }

    /// What stands behind the value where it is set.
    pub(crate) fn attributes(&self, tls: bool) -> &str {
        &self.attributes[usize::from(tls)]
    }
}

impl Backend {
    /// The cookie that keeps clients at its servers, if one does.
    #[inline]
    pub(crate) fn cookies(&self) -> Option<&Cookies> {
        self.cookies.as_deref()
    }

    /// The server of this identity, where a cookie keeps clients at their servers.
    pub(crate) fn server_of(&self, id: ServerId) -> Option<&Arc<Server>> {
        Some(&self.servers[self.cookies()?.index_of(id)?])
    }

    /// The server that a value of its cookie names.
    pub(crate) fn named_by_cookie(&self, value: &[u8]) -> Option<&Arc<Server>> {
        let index = self
            .cookies()?
            .by_value
            .get(std::str::from_utf8(value).ok()?)?;
        Some(&self.servers[*index as usize])
    }
}

/// In HAProxy's order.
fn attributes(config: &config::Cookie, tls: bool) -> String {
    let is_secure = match config.secure {
        CookieSecure::Auto => tls,
        CookieSecure::Always => true,
        CookieSecure::Never => false,
    };
    let mut text = format!("; path={}", config.path);
    if let Some(domain) = &config.domain {
        text.push_str(&format!("; domain={domain}"));
    }
    if config.httponly {
        text.push_str("; HttpOnly");
    }
    if is_secure {
        text.push_str("; Secure");
    }
    match config.same_site {
        Some(SameSite::Lax) => text.push_str("; SameSite=Lax"),
        Some(SameSite::Strict) => text.push_str("; SameSite=Strict"),
        // Browsers refuse the whole cookie where it is not Secure.
        Some(SameSite::None) if is_secure => text.push_str("; SameSite=None"),
        Some(SameSite::None) | None => {}
    }
    if let Some(age) = config.max_age {
        text.push_str(&format!("; Max-Age={}", age.as_secs()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::testing::{backend, desired, server, serving};
    use crate::generation::{Desired, Generation};
    use crate::state::Admin;

    fn sticky(cookies: &[Option<&str>]) -> Desired {
        let servers = (1..).zip(cookies).map(|(port, cookie)| config::Server {
            cookie: cookie.map(Into::into),
            ..server(port, 1)
        });
        let web = config::Backend {
            cookie: Some(config::Cookie::default()),
            ..backend("web", servers.collect())
        };
        desired(Vec::new(), vec![web])
    }

    fn values(backend: &Backend) -> Vec<String> {
        let cookies = backend.cookies().unwrap();
        (0..backend.servers.len())
            .map(|index| cookies.value(index).to_string())
            .collect()
    }

    #[test]
    fn a_value_leads_to_its_server_whatever_that_does() {
        let desired = sticky(&[Some("a"), None, Some("c")]);
        let (generation, _) = Generation::first(&desired, 2);
        let backend = &generation.backends[0];
        for (index, value) in values(backend).iter().enumerate() {
            let server = &backend.servers[index];
            server.state.set_admin(Admin::Maint, 1);
            let named = backend.named_by_cookie(value.as_bytes()).unwrap();
            assert!(Arc::ptr_eq(named, server), "{value}");
            assert!(Arc::ptr_eq(backend.server_of(server.id()).unwrap(), server));
        }
        for value in ["", "b", "A", "a ", "\u{ff}"] {
            assert!(backend.named_by_cookie(value.as_bytes()).is_none());
        }
        assert!(backend.named_by_cookie(b"\xff").is_none());
    }

    #[test]
    fn who_shares_an_address_is_told_apart_by_name() {
        let twin = |name: &str| config::Server {
            name: name.into(),
            ..server(1, 1)
        };
        let web = |servers| config::Backend {
            cookie: Some(config::Cookie::default()),
            ..backend("web", servers)
        };
        let generation = serving(vec![web(vec![twin("a"), twin("b"), twin("c")])]);
        let mut all = values(&generation.backends[0]);
        let alone = serving(vec![web(vec![twin("x")])]);
        assert_eq!(
            values(&alone.backends[0])[0],
            all[0],
            "of its address alone"
        );
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn a_value_stays_as_long_as_address_and_key_do() {
        let mut desired = sticky(&[None, None]);
        let (first, _) = Generation::first(&desired, 2);
        desired.members[0][0].weight = 7;
        let (second, _) = first.next(&desired, 2);
        assert_eq!(values(&first.backends[0]), values(&second.backends[0]));
        desired.members[0][0].settings.address = server(9, 1).address;
        let (moved, _) = second.next(&desired, 2);
        let (before, after) = (values(&second.backends[0]), values(&moved.backends[0]));
        assert_ne!(before[0], after[0]);
        assert_eq!(before[1], after[1]);
        let config = Arc::make_mut(&mut desired.config);
        config.backends[0].cookie.as_mut().unwrap().key = "k".into();
        let (keyed, change) = moved.next(&desired, 2);
        assert_ne!(values(&keyed.backends[0])[1], after[1]);
        assert!(change.started.is_empty() && change.left.is_empty());
        config_gone(&mut desired);
        assert!(keyed.next(&desired, 2).0.backends[0].cookies().is_none());
    }

    fn config_gone(desired: &mut Desired) {
        Arc::make_mut(&mut desired.config).backends[0].cookie = None;
    }
}
