//! A server's settings as they are kept on disk, and its address in words.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{self, ProxyChoice, ServerAddress, TlsChoice};

/// Settings of a server that can be written down. The format on disk is its own:
/// the file's vocabulary may change without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub(crate) struct Spec(pub(crate) config::Server);

#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    #[serde(flatten)]
    address: Address,
    weight: u16,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    backup: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check_address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maxconn: Option<u32>,
    #[serde(default, skip_serializing_if = "is_the_backends")]
    tls: TlsChoice,
    #[serde(default, skip_serializing_if = "is_inherited")]
    proxy_protocol: ProxyChoice,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<String>,
}

fn is_the_backends(tls: &TlsChoice) -> bool {
    *tls == TlsChoice::Backend
}

fn is_inherited(proxy_protocol: &ProxyChoice) -> bool {
    *proxy_protocol == ProxyChoice::Inherit
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Address {
    #[serde(rename = "address")]
    Ip(SocketAddr),
    Unix(PathBuf),
    Abstract(String),
    Host(String, u16),
}

impl From<Spec> for Written {
    fn from(Spec(server): Spec) -> Self {
        Self {
            name: server.name.to_string(),
            address: match server.address {
                ServerAddress::Ip(address) => Address::Ip(address),
                ServerAddress::Unix(path) => Address::Unix(path),
                ServerAddress::Abstract(name) => Address::Abstract(name),
                ServerAddress::Name(name, port) => Address::Host(name, port),
            },
            weight: server.weight,
            backup: server.backup,
            group: server.group.map(|group| group.to_string()),
            disabled: server.disabled,
            check: server.check,
            check_port: server.check_port,
            check_address: server.check_address,
            maxconn: server.maxconn,
            tls: server.tls,
            proxy_protocol: server.proxy_protocol,
            cookie: server.cookie.map(|value| value.to_string()),
        }
    }
}

impl From<Written> for Spec {
    fn from(written: Written) -> Self {
        let address = match written.address {
            Address::Ip(address) => ServerAddress::Ip(address),
            Address::Unix(path) => ServerAddress::Unix(path),
            Address::Abstract(name) => ServerAddress::Abstract(name),
            Address::Host(name, port) => ServerAddress::Name(name, port),
        };
        Self(config::Server {
            weight: written.weight.min(WEIGHT_MAX),
            backup: written.backup,
            group: written.group.map(Into::into),
            disabled: written.disabled,
            check: written.check,
            check_port: written.check_port,
            check_address: written.check_address,
            maxconn: written.maxconn,
            tls: written.tls,
            proxy_protocol: written.proxy_protocol,
            cookie: written.cookie.map(Into::into),
            ..config::Server::new(written.name, address)
        })
    }
}

/// An address as the file writes it.
pub(crate) fn address_text(address: &ServerAddress) -> String {
    address.to_string()
}

/// A server's own word on TLS as `add server` takes it, a blank before each word;
/// empty = as its backend.
pub(crate) fn tls_text(choice: &TlsChoice) -> String {
    let tls = match choice {
        TlsChoice::Backend => return String::new(),
        TlsChoice::Off => return " no-ssl".to_owned(),
        TlsChoice::Own(tls) => tls,
    };
    let mut words = String::from(" ssl");
    let mut add = |word: &str, value: &dyn Display| {
        words.push_str(&format!(" {word} {value}"));
    };
    if !tls.verify {
        add("verify", &"none");
    }
    if let Some(file) = &tls.ca_file {
        add("ca-file", &file.display());
    }
    if let Some(name) = &tls.sni {
        add("sni", name);
    }
    if let Some(name) = &tls.host {
        add("verifyhost", name);
    }
    if let Some(file) = &tls.certificate {
        add("crt", &file.display());
    }
    for (index, alpn) in tls.alpn.iter().enumerate() {
        let before = if index == 0 { " alpn " } else { "," };
        words.push_str(before);
        words.push_str(alpn.as_str());
    }
    words
}

/// HAProxy's.
pub(crate) const WEIGHT_MAX: u16 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_survives_the_disk() {
        for address in [
            ServerAddress::Ip("[::1]:80".parse().unwrap()),
            ServerAddress::Unix("/run/web.sock".into()),
            ServerAddress::Abstract("web".into()),
            ServerAddress::Name("web.internal".into(), 80),
        ] {
            let spec = Spec(config::Server {
                weight: 7,
                backup: true,
                group: Some("0.0.1".into()),
                disabled: true,
                check: Some(false),
                check_port: Some(81),
                check_address: Some([127, 0, 0, 9].into()),
                maxconn: Some(20),
                tls: TlsChoice::Own(Box::new(config::ServerTls {
                    sni: Some("a.test".into()),
                    verify: false,
                    ..config::ServerTls::default()
                })),
                proxy_protocol: ProxyChoice::Own(config::ProxyVersion::V2),
                cookie: Some("ca".into()),
                ..config::Server::new("s1", address)
            });
            let text = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec, "{text}");
        }
        let short = r#"{"name":"s1","address":"10.0.0.1:80","weight":1}"#;
        let Spec(server) = serde_json::from_str(short).unwrap();
        let plain = ServerAddress::Ip(([10, 0, 0, 1], 80).into());
        assert_eq!(server, config::Server::new("s1", plain));
    }
}
