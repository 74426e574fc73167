//! nginx behind it, openssl and curl before it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::config;
use crate::support::authority::{Authority, Kind, ask, tls_client};
use crate::support::real::{self, Part};
use crate::support::{Lb, free_addr};
use crate::tls::s_client;

/// An nginx with a certificate of its own that says who it is.
fn nginx(ca: &Authority, name: &str, more: &str) -> Option<(real::Nginx, SocketAddr)> {
    let file = ca.put(
        &format!("{name}.pem"),
        &ca.issue(&[&format!("{name}.test")], Kind::Ecdsa),
    );
    let (addr, file) = (free_addr(), file.display().to_string());
    let directives = format!(
        "listen {addr} ssl {more};\nssl_certificate {file};\nssl_certificate_key {file};\n\
         ssl_protocols TLSv1.2 TLSv1.3;\nlocation / {{ return 200 \"{name} $server_protocol\"; }}"
    );
    Some((real::nginx(&directives)?, addr))
}

#[test]
fn openssl_and_curl_meet_the_nginx_they_ask_for() {
    let ca = Authority::new("ca");
    let Some((_a, a_addr)) = nginx(&ca, "a", "") else {
        return;
    };
    let (_b, b_addr) = nginx(&ca, "b", "http2").unwrap();
    let routes = "{ sni = \"a.test\", backend = \"a\" }, { sni = \"b.test\", backend = \"b\" }";
    let lb = Lb::start(&config(routes, "", &[("a", a_addr), ("b", b_addr)]));
    let (addr, root) = (lb.addr(), ca.file().display().to_string());
    if let Some(openssl) = real::tool(Part::Openssl) {
        for version in ["-tls1_2", "-tls1_3"] {
            for name in ["a.test", "b.test"] {
                let more = ["-verify_hostname", name, "-CAfile", &root, version];
                let said = openssl.run(s_client(addr, name, &more));
                let ok = "Verify return code: 0 (ok)";
                assert!(
                    said.stdout.contains(ok),
                    "{version} {name}: {}",
                    said.stdout
                );
            }
        }
    }
    let Some(curl) = real::tool(Part::Curl) else {
        return;
    };
    for (name, version, expected) in [
        ("a.test", "--http1.1", "a HTTP/1.1"),
        ("b.test", "--http1.1", "b HTTP/1.1"),
        ("b.test", "--http2", "b HTTP/2.0"),
    ] {
        let resolve = format!("{name}:{}:127.0.0.1", addr.port());
        let url = format!("https://{name}:{}/", addr.port());
        let said = curl.run([
            "-sS",
            "--max-time",
            "10",
            "--cacert",
            &root,
            "--resolve",
            &resolve,
            version,
            &url,
        ]);
        assert_eq!(said.stdout, expected, "{}", said.stderr);
    }
}

#[test]
fn nginx_is_chosen_by_alpn_for_one_name_and_resumes_sessions() {
    let ca = Authority::new("ca");
    let Some((_h1, h1_addr)) = nginx(&ca, "shop", "") else {
        return;
    };
    let (_h2, h2_addr) = nginx(&ca, "shop", "http2").unwrap();
    let routes = "{ sni = \"shop.test\", alpn = \"h2\", backend = \"h2\" }, \
                  { sni = \"shop.test\", backend = \"h1\" }";
    let lb = Lb::start(&config(routes, "", &[("h1", h1_addr), ("h2", h2_addr)]));
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let mut config = ca.configure(versions, None);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        for _ in 0..2 {
            let mut client = tls_client(lb.addr(), "shop.test", Arc::clone(&config));
            let request = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
            let (head, body) = ask(&mut client, request).unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert_eq!(body, b"shop HTTP/1.1");
        }
        let mut h2 = ca.configure(versions, None);
        h2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut client = tls_client(lb.addr(), "shop.test", Arc::new(h2));
        client.conn.complete_io(&mut client.sock).unwrap();
        assert_eq!(client.conn.alpn_protocol(), Some(&b"h2"[..]));
    }
}
