//! HTTP/2 by ALPN: clients, and servers.

use std::net::SocketAddr;

use super::client::Client;
use crate::support::authority::{Authority, Kind};
use crate::support::real::{self, Part};
use crate::support::{Lb, Origin};

/// TLS for `a.test` before this server.
fn secure(ca: &Authority, more: &str, server: SocketAddr) -> Lb {
    let file = ca.put("a.pem", &ca.issue(&["a.test"], Kind::Ecdsa));
    Lb::start(&format!(
        "[[listen]]\nname = \"web\"\nbind = {{ address = \"127.0.0.1:0\", tls = true }}\n\
         tls = {{ certificates = {file:?} {more} }}\nserver = \"{server}\"\n"
    ))
}

#[test]
fn clients_that_know_http2_get_it_and_others_http1() {
    let ca = Authority::new("ca");
    let origin = Origin::ok("hello");
    let lb = secure(&ca, "", origin.addr());
    let port = lb.addr().port();
    let (url, root) = (
        format!("https://a.test:{port}/"),
        ca.file().display().to_string(),
    );
    let to = format!("a.test:{port}:127.0.0.1");
    let common = [
        "-sS",
        "--cacert",
        &root,
        "--resolve",
        &to,
        "-w",
        " %{http_version}",
    ];
    if let Some(curl) = real::tool(Part::Curl) {
        for (version, said) in [("--http2", "hello 2"), ("--http1.1", "hello 1.1")] {
            let ran = curl.run([&common[..], &[version, &url]].concat());
            assert_eq!(ran.stdout, said, "{}", ran.stderr);
        }
        for request in origin.requests() {
            assert_eq!(request.head.field("x-forwarded-proto"), Some("https"));
            assert_eq!(request.head.field("host"), Some(&*format!("a.test:{port}")));
        }
        let only = secure(&ca, ", alpn = \"http/1.1\"", origin.addr());
        let port = only.addr().port();
        let to = format!("a.test:{port}:127.0.0.1");
        let url = format!("https://a.test:{port}/");
        let common = [
            "-sS",
            "--cacert",
            &root,
            "--resolve",
            &to,
            "-w",
            " %{http_version}",
        ];
        let ran = curl.run([&common[..], &["--http2", &url]].concat());
        assert_eq!(ran.stdout, "hello 1.1", "{}", ran.stderr);
    }
    let local = format!("https://127.0.0.1:{port}/");
    if let Some(h2load) = real::tool(Part::H2load) {
        let said = h2load.run(["-n2000", "-c10", "-m20", &local]).stdout;
        assert!(
            said.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"),
            "{said}"
        );
        assert!(said.contains("Application protocol: h2"), "{said}");
    }
    if let Some(nghttp) = real::tool(Part::Nghttp) {
        let said = nghttp.run(["-nv", "--no-verify-peer", &local]);
        assert!(
            said.stdout.contains(":status: 200"),
            "{}{}",
            said.stdout,
            said.stderr
        );
    }
}

#[test]
fn servers_are_asked_for_http2_by_alpn() {
    let ca = Authority::new("ca");
    let origin = Origin::ok("hello");
    let root = ca.file().display().to_string();
    let before = |server: SocketAddr| {
        Lb::start(&format!(
            "[[frontend]]\nname = \"f\"\nbind = {{ address = \"127.0.0.1:0\", protocol = \"h2\" }}\n\
             default_backend = \"b\"\n\
             [[backend]]\nname = \"b\"\nprotocol = \"h2\"\nserver = \"{server}\"\n\
             tls = {{ ca_file = {root:?}, sni = \"a.test\" }}\n"
        ))
    };
    let last = secure(&ca, "", origin.addr());
    let first = before(last.addr());
    let mut client = Client::connect(first.addr());
    for _ in 0..10 {
        assert_eq!(&client.get("/").body[..], b"hello");
    }
    assert_eq!(last.connections(), 1);
    // One that speaks HTTP/1 alone is no server for this backend.
    let last = secure(&ca, ", alpn = \"http/1.1\"", origin.addr());
    let answer = Client::connect(before(last.addr()).addr()).get("/");
    assert_eq!(answer.head.status(), 503);
}
