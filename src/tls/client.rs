//! What a client's certificate says, as request fields for the servers.

use rustls::pki_types::CertificateDer;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// X-SSL-Client-* lines, each with its end. What is shown was verified in the handshake;
/// nobody but us may send such fields.
pub(crate) fn client_fields(certificate: Option<&CertificateDer<'_>>) -> Box<[u8]> {
    let mut out = Vec::new();
    let parsed = certificate.map(|der| X509Certificate::from_der(der));
    match parsed {
        None => put(&mut out, "Verify", "NONE"),
        // webpki took it, so this cannot be; say nothing that was not read.
        Some(Err(_)) => put(&mut out, "Verify", "SUCCESS"),
        Some(Ok((_, leaf))) => {
            put(&mut out, "Verify", "SUCCESS");
            put(&mut out, "DN", &distinguished(leaf.subject()));
            let common = leaf.subject().iter_common_name().next();
            if let Some(common) = common.and_then(|name| name.as_str().ok()) {
                put(&mut out, "CN", &escaped(common, ""));
            }
            put(&mut out, "Issuer", &distinguished(leaf.issuer()));
            put(&mut out, "Serial", &hex(leaf.raw_serial()));
        }
    }
    out.into_boxed_slice()
}

fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    for piece in ["X-SSL-Client-", name, ": ", value, "\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// RFC 4514: the last name first, `CN=alice,O=Example`, as nginx has it. ASCII alone, so
/// that it can stand in a field.
fn distinguished(name: &X509Name<'_>) -> String {
    let attribute = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        let oid = attribute.attr_type();
        let known = oid2abbrev(oid, oid_registry()).map(str::to_owned);
        let key = known.unwrap_or_else(|_| oid.to_id_string());
        match attribute.as_str() {
            Ok(value) => format!("{key}={}", escaped(value, ",+\"\\<>;=#")),
            Err(_) => format!("{key}=#{}", hex(attribute.as_slice())),
        }
    };
    let sets: Vec<_> = name.iter_rdn().collect();
    let texts = sets.iter().rev().map(|set| {
        let parts: Vec<_> = set.iter().map(attribute).collect();
        parts.join("+")
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Bytes that a field cannot carry as `\XX` (RFC 4514 section 2.4), those of `special`
/// behind a backslash.
fn escaped(text: &str, special: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if special.contains(char::from(byte)) => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:02X}")),
        }
    }
    out
}

/// Upper case, as OpenSSL shows serial numbers.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn fields(names: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.serial_number = Some(vec![1, 0xab].into());
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        String::from_utf8(client_fields(Some(certificate.der())).into()).unwrap()
    }

    #[test]
    fn certificate_becomes_fields() {
        let text = fields(&[
            (DnType::OrganizationName, "Example, Inc"),
            (DnType::CommonName, "alice"),
        ]);
        assert_eq!(
            text,
            "X-SSL-Client-Verify: SUCCESS\r\n\
             X-SSL-Client-DN: CN=alice,O=Example\\, Inc\r\n\
             X-SSL-Client-CN: alice\r\n\
             X-SSL-Client-Issuer: CN=alice,O=Example\\, Inc\r\n\
             X-SSL-Client-Serial: 01AB\r\n"
        );
        assert_eq!(&*client_fields(None), b"X-SSL-Client-Verify: NONE\r\n");
    }

    #[test]
    fn certificate_cannot_bring_a_line_end() {
        // 9110 5.5: CR, LF and NUL have no place in a value.
        let text = fields(&[(DnType::CommonName, "a\r\nX-Admin: yes\u{e9}")]);
        assert!(!text.contains("\nX-Admin"), "{text}");
        assert!(
            text.contains("X-SSL-Client-CN: a\\0D\\0AX-Admin: yes\\C3\\A9\r\n"),
            "{text}"
        );
    }
}
