//! Texts of TLS: names, protocols, cipher suites.

use crate::config::address::Fault;
use crate::config::suggest::nearest;
use crate::config::units::quoted;

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
