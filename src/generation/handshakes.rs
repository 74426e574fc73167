//! Who is spoken to with TLS, and how: traffic as the operator wants it now, checks as it is
//! written.

use std::sync::Arc;

use super::{Member, Server};
use crate::config;
use crate::tls;

/// How a server is spoken to with TLS; `None` = in plain.
pub(super) struct Handshakes {
    pub(super) traffic: Option<Arc<tls::Origin>>,
    pub(super) checks: Option<Arc<tls::Origin>>,
}

impl Handshakes {
    /// As before, with the sessions to resume, if address, settings and what was read for
    /// them are the same.
    pub(super) fn of(
        registry: &tls::Registry,
        before: Option<&Arc<Server>>,
        member: &Member,
        backend: &config::Backend,
    ) -> Self {
        let speaks_h2 = backend.protocol == config::Protocol::Http2;
        let before = before.filter(|before| before.address == member.settings.address);
        let origin = |settings: &config::ServerTls, known: Option<&Arc<tls::Origin>>| {
            let connector = registry.connector_or_none_trusted(settings);
            let is_same = |known: &&Arc<tls::Origin>| {
                Arc::ptr_eq(&known.connector, &connector) && known.speaks_h2 == speaks_h2
            };
            match known.filter(is_same) {
                Some(known) => Arc::clone(known),
                None => Arc::new(connector.origin(&member.settings.address, speaks_h2)),
            }
        };
        let written = member.settings.tls.of(backend.tls.as_ref());
        let known = before.and_then(|before| before.check_tls.as_ref());
        let checks = written.map(|settings| origin(settings, known));
        let traffic = match (member.spoken_tls(backend), &checks) {
            (None, _) => None,
            (Some(settings), Some(checks)) if written == Some(settings) => Some(Arc::clone(checks)),
            (Some(settings), _) => {
                let known = before.and_then(|before| before.tls.as_ref());
                Some(origin(settings, known))
            }
        };
        Self { traffic, checks }
    }
}

/// Whether what was before goes on.
pub(super) fn is_same(a: &Option<Arc<tls::Origin>>, b: &Option<Arc<tls::Origin>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
