//! The page over TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{ANN, cell};
use crate::support::authority::{Authority, Kind, tls_client};
use crate::support::real::{self, Part};
use crate::support::{End, Lb, PATIENCE, RawClient, free_addr, wait_until};

struct Secure {
    ca: Authority,
    addr: SocketAddr,
    lb: Lb,
}

impl Secure {
    /// On two addresses, of which one speaks no TLS; more keys of `[stats.tls]`.
    fn start(keys: &str) -> (Self, SocketAddr) {
        let (ca, addr, plain) = (Authority::new("ca"), free_addr(), free_addr());
        ca.put("page.pem", &ca.issue(&["a.test"], Kind::Ecdsa));
        let lb = Lb::start(&config(&ca, addr, plain, keys));
        (Self { ca, addr, lb }, plain)
    }

    /// Head and body as they came.
    #[track_caller]
    fn ask(&self, request: &str) -> String {
        let mut client = self.ca.connect(self.addr, "a.test");
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // It says goodbye (close_notify) before it closes: else this were an error.
        client.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn get(&self, target: &str) -> String {
        self.ask(&format!(
            "GET {target} HTTP/1.1\r\nHost: a.test\r\n{ANN}Connection: close\r\n\r\n"
        ))
    }
}

fn config(ca: &Authority, addr: SocketAddr, plain: SocketAddr, keys: &str) -> String {
    format!(
        "[stats]\nauth = \"ann:secret\"\nadmin = true\n\
         bind = [{{ address = \"{addr}\", tls = true }}, \"{plain}\"]\n\
         tls = {{ certificates = {:?}{keys} }}\n\
         [[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\n\
         server = [{{ name = \"s1\", address = \"127.0.0.1:1\" }}]\n",
        ca.dir().join("page.pem"),
    )
}

#[test]
fn each_bind_speaks_as_it_is_told() {
    let (page, plain) = Secure::start("");
    let answer = page.get("/haproxy_stats;csv");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("web,s1,"));
    let (head, csv) = super::get(plain, "/haproxy_stats;csv", ANN);
    assert_eq!(head.status(), 200);
    assert_eq!(cell(&csv, "web", "s1", "status"), "no check");
    // Who speaks something else is not answered in it.
    let mut client = RawClient::connect(page.addr);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let (said, end) = client.read_end();
    assert!(!said.starts_with(b"HTTP") && end == End::Fin, "{said:?}");
    // HTTP/2 is not offered.
    let mut settings = page.ca.client_config();
    settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = tls_client(page.addr, "a.test", settings.into());
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .unwrap();
    client.read_exact(&mut [0; 9]).unwrap();
    assert_eq!(client.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    drop(page.lb);
}

#[test]
fn servers_are_steered_from_its_own_origin_alone() {
    let (page, _) = Secure::start("");
    let html = page.get("/haproxy_stats");
    let token = html.split("\"token\":\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    let form = format!("b=web&s=s1&action=maint&token={token}");
    for (origin, code) in [
        ("http://a.test", "DENY"),
        ("https://b.test", "DENY"),
        ("https://a.test", "DONE"),
    ] {
        let answer = page.ask(&format!(
            "POST /haproxy_stats HTTP/1.1\r\nHost: a.test\r\nOrigin: {origin}\r\n{ANN}\
             Connection: close\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ));
        assert!(answer.starts_with("HTTP/1.1 303 "), "{origin}: {answer}");
        assert!(
            answer.contains(&format!(";st={code}")),
            "{origin}: {answer}"
        );
    }
    assert!(page.get("/haproxy_stats;csv").contains("MAINT"));
}

#[test]
fn certificates_are_followed_and_asked_for_as_on_a_frontend() {
    let (page, plain) = Secure::start("");
    let shown = |page: &Secure| {
        let mut client = page.ca.connect(page.addr, "a.test");
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        client.read_exact(&mut [0]).unwrap();
        client.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown(&page);
    assert_eq!(shown(&page), before);
    page.ca
        .put("page.pem", &page.ca.issue(&["a.test"], Kind::Ecdsa));
    wait_until(PATIENCE, "the new certificate", || shown(&page) != before);
    // A reload changes what is asked for, on the open listener.
    let file = page.ca.file();
    let keys = format!(", client_auth = \"required\", ca_file = {file:?}");
    let changed = config(&page.ca, page.addr, plain, &keys);
    page.lb.apply(&changed).unwrap();
    let mut client = page.ca.connect(page.addr, "a.test");
    let refused = client
        .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .and_then(|()| client.read_exact(&mut [0]));
    assert!(refused.is_err(), "without a certificate of its own");
}

#[test]
fn a_handshake_that_stands_still_is_ended_and_holds_nobody_up() {
    let (page, _) = Secure::start("");
    let begun = Instant::now();
    let mut silent = TcpStream::connect(page.addr).unwrap();
    silent.write_all(&[22, 3, 1]).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(page.get("/metrics").contains("haproxy_process_"));
    assert!(
        begun.elapsed() < Duration::from_secs(9),
        "others are served"
    );
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
    assert!(
        begun.elapsed() >= Duration::from_secs(9),
        "it was given time"
    );
}

#[test]
fn curl_reads_page_and_metrics_on_one_connection() {
    let (page, _) = Secure::start("");
    let Some(curl) = real::tool(Part::Curl) else {
        return;
    };
    let root = page.ca.file().display().to_string();
    let port = page.addr.port();
    let resolve = format!("a.test:{port}:127.0.0.1");
    let urls = ["/haproxy_stats", "/metrics"].map(|path| format!("https://a.test:{port}{path}"));
    let said = curl.run([
        "-sS",
        "--max-time",
        "10",
        "--compressed",
        "--cacert",
        &root,
        "--resolve",
        &resolve,
        "-u",
        "ann:secret",
        "-w",
        "%{http_code} %{num_connects}\n",
        &urls[0],
        &urls[1],
    ]);
    assert!(said.status.success(), "{}", said.stderr);
    for part in [
        "<!doctype html>",
        "\n200 1\n",
        "haproxy_process_",
        "\n200 0\n",
    ] {
        assert!(said.stdout.contains(part), "{part}");
    }
}
