//! TLS that is passed through: who gets it, and that every byte of it arrives.

mod chosen;
mod real;
mod whole;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::support::authority::Authority;
use crate::support::{Lb, Origin, read_until};

/// A server that says its name first, then sends back what it gets, FIN for FIN.
fn echo(name: &'static str) -> Origin {
    Origin::raw(move |stream, _| {
        let (mut from, mut to) = (&stream, &stream);
        let _ = writeln!(to, "{name}");
        let _ = std::io::copy(&mut from, &mut to);
    })
}

/// A frontend `tls` in tcp mode with these routes, and backends of one server each.
fn config(routes: &str, more: &str, backends: &[(&str, SocketAddr)]) -> String {
    config_on("127.0.0.1:0".parse().unwrap(), routes, more, backends)
}

fn config_on(
    bind: SocketAddr,
    routes: &str,
    more: &str,
    backends: &[(&str, SocketAddr)],
) -> String {
    let backends = backends.iter().map(|(name, addr)| {
        format!("[[backend]]\nname = \"{name}\"\nmode = \"tcp\"\nserver = \"{addr}\"\n")
    });
    format!(
        "[[frontend]]\nname = \"tls\"\nmode = \"tcp\"\nbind = \"{bind}\"\nroute = [{routes}]\n\
         {more}\n{}",
        backends.collect::<String>()
    )
}

/// Versions and an authority do not matter to who only looks.
fn settings(alpn: &[&str]) -> ClientConfig {
    let mut config = Authority::new("nobody").client_config();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// What a client sends first. An address is no name: then there is no SNI.
fn hello(name: &str, alpn: &[&str]) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(settings(alpn)), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same message in records of at most `len` bytes.
fn in_records(hello: &[u8], len: usize) -> Vec<u8> {
    let record = |part: &[u8]| {
        let len = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1][..], &len, part].concat()
    };
    hello[5..].chunks(len).flat_map(record).collect()
}

/// Sends these bytes and FIN; what comes back, as who says it and the rest.
#[track_caller]
fn sent(lb: &Lb, bytes: &[u8]) -> (String, Vec<u8>) {
    let mut stream = lb.connect("tls");
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    answer(stream)
}

#[track_caller]
fn answer(mut stream: TcpStream) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.iter().position(|byte| *byte == b'\n').expect("a name");
    let rest = all.split_off(end + 1);
    (String::from_utf8(all).unwrap().trim_end().to_owned(), rest)
}

/// Reads the line with which a server says its name.
#[track_caller]
fn name_of(stream: &mut TcpStream) -> String {
    let line = read_until(stream, b"\n").unwrap();
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

const ROUTES: &str = "{ sni = \"shop.test\", alpn = \"h2\", backend = \"h2\" }, \
     { sni = \"shop.test\", backend = \"shop\" }, \
     { sni = \"*.example.com\", backend = \"wild\" }, \
     { alpn = [\"acme-tls/1\", \"mqtt\"], backend = \"by-alpn\" }";

/// Servers of the routes above, and one that is the default.
fn servers() -> Vec<(&'static str, Origin)> {
    ["h2", "shop", "wild", "by-alpn", "others"]
        .map(|name| (name, echo(name)))
        .into()
}

fn addresses(servers: &[(&'static str, Origin)]) -> Vec<(&'static str, SocketAddr)> {
    let servers = servers.iter();
    servers
        .map(|(name, origin)| (*name, origin.addr()))
        .collect()
}

fn routed() -> (Lb, Vec<(&'static str, Origin)>) {
    let servers = servers();
    let config = config(ROUTES, "default_backend = \"others\"", &addresses(&servers));
    (Lb::start(&config), servers)
}
