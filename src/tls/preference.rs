//! Which cipher suite a handshake takes.
//!
//! Ours is the order, AES-128 first: its key schedule hashes with SHA-256, which
//! processors have instructions for, AES-256's with SHA-384 (of the 139 µs of a
//! handshake 25 went there). OpenSSL's clients name AES-256 first and browsers
//! AES-128. A client that begins with ChaCha20 has no AES in hardware and gets its own
//! order, as with HAProxy, nginx (`PrioritizeChaCha`) and Go.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, ServerConfig};

/// The same configuration with either order.
#[derive(Debug, Clone)]
pub(super) struct Preference {
    ours: Arc<ServerConfig>,
    clients: Arc<ServerConfig>,
}

impl Preference {
    pub(super) fn new(mut config: ServerConfig) -> Self {
        config.ignore_client_order = false;
        let clients = Arc::new(config.clone());
        config.ignore_client_order = true;
        Self {
            ours: Arc::new(config),
            clients,
        }
    }

    /// For a client that offers these suites.
    pub(super) fn of(&self, offered: &[CipherSuite]) -> Arc<ServerConfig> {
        let first = offered.iter().find(|suite| !is_signal(**suite));
        Arc::clone(match first.is_some_and(|first| is_chacha(*first)) {
            true => &self.clients,
            false => &self.ours,
        })
    }
}

/// The cryptography: with these suites alone, in this order, if there are any.
pub(super) fn provider(suites: &[String]) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    let name = |suite: &rustls::SupportedCipherSuite| {
        // TLS13_AES_128_GCM_SHA256 is what rustls calls TLS_AES_128_GCM_SHA256.
        let name = suite.suite().as_str().unwrap_or_default();
        name.replace("TLS13_", "TLS_")
    };
    if suites.is_empty() {
        let all = &mut provider.cipher_suites;
        all.sort_by_key(|suite| !name(suite).contains("_AES_128_"));
    } else {
        let place = |suite: &_| suites.iter().position(|wanted| *wanted == name(suite));
        provider
            .cipher_suites
            .retain(|suite| place(suite).is_some());
        provider.cipher_suites.sort_by_key(place);
    }
    Arc::new(provider)
}

/// What is in the list and is no suite: GREASE (RFC 8701), renegotiation and fallback.
fn is_signal(suite: CipherSuite) -> bool {
    let number = u16::from(suite);
    let [high, low] = number.to_be_bytes();
    (high == low && low & 0x0f == 0x0a) || matches!(number, 0x00ff | 0x5600)
}

fn is_chacha(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_suite_says_nothing_of_the_first() {
        assert!(is_signal(CipherSuite::from(0x0a0a)) && is_signal(CipherSuite::from(0xfafa)));
        assert!(is_signal(CipherSuite::TLS_EMPTY_RENEGOTIATION_INFO_SCSV));
        for suite in [0x1301, 0x1303, 0xcca8, 0x0a1a, 0x0b0b] {
            assert!(!is_signal(CipherSuite::from(suite)), "{suite:#06x}");
        }
    }

    #[test]
    fn aes_128_stands_before_the_others_of_its_version() {
        let all = &provider(&[]).cipher_suites;
        assert_eq!(all.len(), aws_lc_rs::default_provider().cipher_suites.len());
        assert_eq!(all[0].suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
    }
}
