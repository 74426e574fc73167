//! Real programs on either side: HAProxy, nginx, curl.

use std::net::SocketAddr;

use super::{EVERYBODY, listen};
use crate::support::real::{self, Part};
use crate::support::{Lb, Origin, PATIENCE, connect, free_addr, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const ANY: &str = "address = \"127.0.0.1:0\"";
const DEFAULTS: &str = "global\n  nbthread 1\n  log stderr local0\n\
    defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n";

/// An HAProxy that sends headers to one address, on one that it is told.
fn sending(to: SocketAddr, words: &str) -> Option<real::Haproxy> {
    let front = free_addr();
    let config = format!("{DEFAULTS}listen front\n  bind {front}\n  server s1 {to} {words}\n");
    real::haproxy_with(&config, front)
}

/// An HAProxy that wants headers and says whom it was told of: source and port,
/// destination and port.
fn receiving() -> Option<(real::Haproxy, SocketAddr)> {
    let (ready, front) = (free_addr(), free_addr());
    let config = format!(
        "{DEFAULTS}frontend ready\n  bind {ready}\n\
         frontend front\n  bind {front} accept-proxy\n  \
         http-request return status 200 content-type text/plain lf-string \
         \"%[src] %[src_port] %[dst] %[dst_port]\"\n"
    );
    Some((real::haproxy_with(&config, ready)?, front))
}

#[test]
fn haproxy_in_front_announces_its_client() {
    let origin = Origin::ok("ok");
    let lb = Lb::start(&listen(
        EVERYBODY,
        origin.addr(),
        "forwarded = { port = true }",
    ));
    for words in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id",
    ] {
        let Some(haproxy) = sending(lb.addr(), words) else {
            return;
        };
        let mut raw = crate::support::RawClient::connect(haproxy.addr());
        assert_eq!(raw.send(GET).read_response().0.status(), 200, "{words}");
        let head = origin.requests().pop().unwrap().head;
        // The port is the one that HAProxy was connected to.
        assert_eq!(
            head.fields("X-Forwarded-Port"),
            [haproxy.addr().port().to_string()],
            "{words}"
        );
    }
}

#[test]
fn haproxys_checks_are_taken_as_its_own() {
    let origin = Origin::ok("ok");
    let lb = Lb::start(&listen(EVERYBODY, origin.addr(), ""));
    for words in [
        "check inter 100 send-proxy-v2",
        "check inter 100 send-proxy",
    ] {
        let before = origin.requests().len();
        let front = free_addr();
        let config = format!(
            "{DEFAULTS}listen front\n  bind {front}\n  option httpchk HEAD /checked\n  \
             server s1 {} {words}\n",
            lb.addr()
        );
        let Some(_haproxy) = real::haproxy_with(&config, front) else {
            return;
        };
        wait_until(PATIENCE, "three checks", || {
            origin.requests().len() >= before + 3
        });
        for request in &origin.requests()[before..] {
            assert_eq!(request.head.field("X-Forwarded-For"), Some("127.0.0.1"));
        }
    }
}

#[test]
fn haproxy_behind_is_told_of_the_client() {
    let Some((_haproxy, front)) = receiving() else {
        return;
    };
    for (version, mode) in [("v1", "http"), ("v2", "http"), ("v1", "tcp"), ("v2", "tcp")] {
        let more = format!("proxy_protocol = \"{version}\"\nmode = \"{mode}\"");
        let lb = Lb::start(&listen(ANY, front, &more));
        let stream = connect(lb.addr());
        let (client, here) = (stream.local_addr().unwrap(), lb.addr());
        let mut raw = crate::support::RawClient::over(stream);
        let (_, body) = raw.send(GET).read_response();
        let said = String::from_utf8(body).unwrap();
        let expected = format!(
            "{} {} {} {}",
            client.ip(),
            client.port(),
            here.ip(),
            here.port()
        );
        assert_eq!(said, expected, "{more}");
        // Clients that were announced to us, of either family.
        let lb = Lb::start(&listen(EVERYBODY, front, &more));
        for (line, expected) in [
            (
                "TCP4 192.0.2.1 198.51.100.2 51000 443",
                "192.0.2.1 51000 198.51.100.2 443",
            ),
            (
                "TCP6 2001:db8::1 2001:db8::2 51000 443",
                "2001:db8::1 51000 2001:db8::2 443",
            ),
        ] {
            let mut raw = lb.client();
            raw.send(format!("PROXY {line}\r\n")).send(GET);
            let (_, body) = raw.read_response();
            assert_eq!(String::from_utf8(body).unwrap(), expected, "{more}");
        }
    }
}

#[test]
fn checks_pass_at_a_haproxy_that_wants_headers() {
    let Some((haproxy, front)) = receiving() else {
        return;
    };
    for version in ["v1", "v2"] {
        for (kind, code) in [("http", "L7OK/200"), ("tcp", "L4OK")] {
            let more = format!(
                "proxy_protocol = \"{version}\"\n[listen.check]\ntype = \"{kind}\"\ninterval = \"100ms\"\ntimeout = \"30s\"\n"
            );
            let lb = Lb::start(&listen(ANY, front, &more));
            wait_until(PATIENCE, code, || lb.server("web", "s1").check == code);
            assert_eq!(lb.server("web", "s1").status, "UP");
        }
    }
    // It logs each connection whose header it did not like.
    assert!(!haproxy.stderr().contains("PROXY"), "{}", haproxy.stderr());
}

#[test]
fn nginx_behind_is_told_of_the_client() {
    let wants = free_addr();
    let directives = format!(
        "listen {wants} proxy_protocol http2;\n\
         location / {{ return 200 \"$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port $connection\\n\"; }}"
    );
    let Some(_nginx) = real::nginx(&directives) else {
        return;
    };
    for version in ["v1", "v2"] {
        let more = format!("proxy_protocol = \"{version}\"\nprotocol = \"h2\"");
        let bind = format!("{ANY}, protocol = \"h2\"");
        let lb = Lb::start(&listen(&bind, wants, &more));
        let Some(nghttp) = real::tool(Part::Nghttp) else {
            return;
        };
        let url = format!("http://{}/", lb.addr());
        let ask = || {
            let said = nghttp.run(["-m3", &url]);
            assert!(said.status.success(), "{}", said.stderr);
            let mut lines: Vec<_> = said.stdout.lines().map(str::to_owned).collect();
            assert_eq!(lines.len(), 3, "{lines:?}");
            lines.dedup();
            lines
        };
        // Requests of one client share a connection, another has its own.
        let (first, second) = (ask(), ask());
        assert_eq!((first.len(), second.len()), (1, 1), "{first:?} {second:?}");
        assert_ne!(first, second);
        for line in [first, second].concat() {
            let words: Vec<_> = line.split(' ').collect();
            let port = lb.addr().port().to_string();
            assert_eq!((words[0], words[2]), ("127.0.0.1", &*port), "{line}");
        }
    }
    let more = "proxy_protocol = \"v2\"\nprotocol = \"h2\"";
    let bind = format!("{EVERYBODY}, protocol = \"h2\"");
    let lb = Lb::start(&listen(&bind, wants, more));
    let Some(curl) = real::tool(Part::Curl) else {
        return;
    };
    let url = format!("http://{}/", lb.addr());
    let prior = "--http2-prior-knowledge";
    let said = curl.run([
        "-sSf",
        "--haproxy-protocol",
        prior,
        "-w",
        " %{local_port}",
        &url,
    ]);
    let words: Vec<_> = said.stdout.split(' ').collect();
    // Told all the way, and curl's own.
    assert_eq!(
        (words[0], words[1]),
        ("127.0.0.1", words[4]),
        "{}",
        said.stderr
    );
}

#[test]
fn nginx_behind_is_told_over_http_1() {
    let wants = free_addr();
    let directives = format!(
        "listen {wants} proxy_protocol;\n\
         location / {{ return 200 \"$proxy_protocol_addr $proxy_protocol_port\"; }}"
    );
    let Some(_nginx) = real::nginx(&directives) else {
        return;
    };
    for version in ["v1", "v2"] {
        let more = format!("proxy_protocol = \"{version}\"");
        let lb = Lb::start(&listen(EVERYBODY, wants, &more));
        for ip in ["192.0.2.1", "198.51.100.7"] {
            let mut raw = lb.client();
            raw.send(format!("PROXY TCP4 {ip} 192.0.2.2 51000 443\r\n"));
            for _ in 0..3 {
                let (_, body) = raw.send(GET).read_response();
                assert_eq!(String::from_utf8(body).unwrap(), format!("{ip} 51000"));
            }
        }
    }
}

#[test]
fn curl_announces_itself() {
    let Some(curl) = real::tool(Part::Curl) else {
        return;
    };
    let origin = Origin::ok("ok");
    let lb = Lb::start(&listen(EVERYBODY, origin.addr(), ""));
    let url = format!("http://{}/", lb.addr());
    let said = curl.run(["-sSf", "--haproxy-protocol", &url]);
    assert_eq!(said.stdout, "ok", "{}", said.stderr);
    let said = curl.run(["-sS", &url]);
    assert!(!said.status.success(), "without a header");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn headers_pass_through_two_of_us_and_tls() {
    let ca = crate::support::authority::Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let origin = Origin::ok("ok");
    let back = Lb::start(&listen(
        &format!("{EVERYBODY}, tls = true"),
        origin.addr(),
        &format!("tls = {{ certificates = {file:?} }}"),
    ));
    let config = format!(
        "[[listen]]\nname = \"web\"\nbind = {{ {EVERYBODY} }}\nproxy_protocol = \"v2\"\nforwarded = {{ for = \"off\" }}\n\
         server = {{ address = \"{}\", tls = {{ ca_file = {:?}, host = \"a.test\" }} }}\n",
        back.addr(),
        ca.file()
    );
    let front = Lb::start(&config);
    for ip in ["192.0.2.1", "192.0.2.7"] {
        let mut raw = front.client();
        raw.send(format!("PROXY TCP4 {ip} 192.0.2.2 51000 443\r\n"));
        for _ in 0..2 {
            assert_eq!(raw.send(GET).read_response().0.status(), 200);
            let head = origin.requests().pop().unwrap().head;
            assert_eq!(head.fields("X-Forwarded-For"), [ip]);
        }
    }
}
