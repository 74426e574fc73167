//! What `show ssl cert` says of a certificate, in HAProxy's lines (management guide
//! 9.3, "show ssl cert").

use std::fmt::Write as _;

use aws_lc_rs::digest;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;

use super::Certificate;
use super::client::hex;

impl Certificate {
    /// Everything there is to say, a line each.
    pub(crate) fn report(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "Filename: {}\nStatus: Used", self.path.display());
        let mut chain = self.chain();
        if let Some(leaf) = chain.next() {
            report_leaf(&mut out, leaf);
        }
        for issuer in chain {
            if let Ok((_, issuer)) = X509Certificate::from_der(issuer) {
                let _ = writeln!(out, "Chain Subject: {}", slashed(issuer.subject()));
                let _ = writeln!(out, "Chain Issuer: {}", slashed(issuer.issuer()));
            }
        }
        out
    }
}

fn report_leaf(out: &mut String, der: &[u8]) {
    let Ok((_, leaf)) = X509Certificate::from_der(der) else {
        return;
    };
    let validity = leaf.validity();
    let lines = [
        ("Serial", hex(leaf.raw_serial())),
        ("notBefore", date(validity.not_before)),
        ("notAfter", date(validity.not_after)),
        ("Subject Alternative Name", alternative_names(&leaf)),
        ("Algorithm", algorithm(&leaf)),
        ("SHA1 FingerPrint", fingerprint(der)),
        ("Subject", slashed(leaf.subject())),
        ("Issuer", slashed(leaf.issuer())),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "{name}: {value}");
    }
}

fn fingerprint(der: &[u8]) -> String {
    hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref())
}

fn alternative_names(leaf: &X509Certificate<'_>) -> String {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let names = extension.iter().flat_map(|e| &e.value.general_names);
    let texts = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::IPAddress([a, b, c, d]) => Some(format!("IP Address:{a}.{b}.{c}.{d}")),
        _ => None,
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn algorithm(leaf: &X509Certificate<'_>) -> String {
    let kind = match leaf.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => return format!("RSA{}", key.key_size()),
        Ok(PublicKey::EC(point)) => return format!("EC{}", point.key_size()),
        Ok(_) => "other",
        Err(_) => "unknown",
    };
    kind.to_owned()
}

/// As OpenSSL writes it: `Sep 13 21:20:24 2019 GMT`.
fn date(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let month = time.month().to_string();
    format!(
        "{} {:2} {:02}:{:02}:{:02} {} GMT",
        month.get(..3).unwrap_or(&month),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.year()
    )
}

/// As OpenSSL writes it on one line: `/C=FR/CN=a.test`.
fn slashed(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    for attribute in name.iter_attributes() {
        let oid = attribute.attr_type();
        let known = x509_parser::objects::oid2abbrev(oid, x509_parser::objects::oid_registry());
        let key = known.map_or_else(|_| oid.to_id_string(), str::to_owned);
        let value = attribute.as_str().unwrap_or("?");
        let _ = write!(out, "/{key}={}", value.escape_debug());
    }
    out
}
