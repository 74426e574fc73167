//! TLS: what clients get, how certificates are exchanged, and servers behind TLS.

mod added;
mod client_certificates;
mod handshakes;
mod memory;
mod passed;
mod real;
mod revoked;
mod rotation;
mod seen;
mod servers;
mod stapled;

use std::net::SocketAddr;
use std::path::Path;

use crate::support::{Lb, Origin};

/// A frontend on any port with this `tls` table, before this server.
fn config(tls: &str, server: SocketAddr, more: &str) -> String {
    format!(
        "[[listen]]\nname = \"web\"\nbind = {{ address = \"127.0.0.1:0\", tls = true }}\n\
         tls = {{ {tls} }}\nserver = \"{server}\"\n{more}\n"
    )
}

/// An engine that shows these files, before an origin that says `ok`.
fn showing(files: &[&Path], more: &str) -> (Lb, Origin) {
    let origin = Origin::ok("ok");
    let files: Vec<_> = files.iter().map(|file| format!("{file:?}")).collect();
    let tls = format!("certificates = [{}] {more}", files.join(", "));
    (Lb::start(&config(&tls, origin.addr(), "")), origin)
}

/// What `openssl s_client` is called with to speak to this address as `name`.
fn s_client(addr: SocketAddr, name: &str, more: &[&str]) -> Vec<String> {
    let addr = addr.to_string();
    let words = ["s_client", "-connect", &addr, "-servername", name];
    let words = words.iter().chain(more);
    words.map(|word| (*word).to_owned()).collect()
}
