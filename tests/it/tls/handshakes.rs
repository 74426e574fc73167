//! The matrix of what is shown, spoken and refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion};

use super::{config, showing};
use crate::support::authority::{Authority, GET, Kind, TlsClient, ask, tls_client};
use crate::support::{Lb, Origin, PATIENCE, RawClient, Rlb, free_addr, wait_until};

/// The names of the certificate that was shown.
fn shown(client: &TlsClient) -> Vec<String> {
    let certificate = &client.conn.peer_certificates().unwrap()[0];
    let (_, leaf) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let names = names.value.general_names.iter();
    names.map(|name| name.to_string()).collect()
}

#[test]
fn both_versions_are_spoken_and_resumed() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, origin) = showing(&[&file], "");
    for (version, name) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let config = Arc::new(ca.configure(&[version], None));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = tls_client(lb.addr(), "a.test", Arc::clone(&config));
            let (head, body) = ask(&mut client, GET).unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert_eq!(body, b"ok");
            assert_eq!(client.conn.protocol_version(), Some(name));
            assert_eq!(client.conn.handshake_kind(), Some(kind), "{name:?}");
        }
    }
    let request = &origin.requests()[0].head;
    assert_eq!(request.field("x-forwarded-proto"), Some("https"));
}

#[test]
fn minimum_version_is_kept() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, _origin) = showing(&[&file], ", min_version = \"1.3\"");
    let old = Arc::new(ca.configure(&[&TLS12], None));
    let refused = ask(&mut tls_client(lb.addr(), "a.test", old), GET).unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    assert!(ask(&mut ca.connect(lb.addr(), "a.test"), GET).is_ok());
}

#[test]
fn suites_can_be_fewer() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let only = ", cipher_suites = [\"TLS_CHACHA20_POLY1305_SHA256\"], min_version = \"1.3\"";
    let (lb, _origin) = showing(&[&file], only);
    let mut client = ca.connect(lb.addr(), "a.test");
    ask(&mut client, GET).unwrap();
    let suite = client.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
}

#[test]
fn name_decides_what_is_shown() {
    let ca = Authority::new("ca");
    let default = ca.write("default.pem", &["default.test"]);
    ca.write("more/one.pem", &["one.test", "www.one.test"]);
    let wild = ca.write("more/wild.pem", &["*.wild.test"]);
    let (lb, _origin) = showing(&[&default, wild.parent().unwrap()], "");
    let config = Arc::new(ca.client_config());
    for (name, expected) in [
        ("one.test", "one.test"),
        ("www.one.test", "one.test"),
        ("a.wild.test", "*.wild.test"),
        ("default.test", "default.test"),
    ] {
        let mut client = tls_client(lb.addr(), name, Arc::clone(&config));
        ask(&mut client, GET).unwrap();
        assert!(
            shown(&client)[0].contains(expected),
            "{name}: {:?}",
            shown(&client)
        );
    }
    // A wildcard is one label (RFC 6125 6.4.3); the rest gets the default, which is not theirs.
    for name in ["a.b.wild.test", "wild.test", "unknown.test"] {
        let refused = ask(&mut ca.connect(lb.addr(), name), GET).unwrap_err();
        assert!(
            refused.to_string().contains("not valid for name"),
            "{name}: {refused}"
        );
    }
}

#[test]
fn strict_sni_shows_nothing_to_strangers() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, _origin) = showing(&[&file], ", strict_sni = true");
    let refused = ask(&mut ca.connect(lb.addr(), "b.test"), GET).unwrap_err();
    assert!(refused.to_string().contains("alert"), "{refused}");
    assert!(ask(&mut ca.connect(lb.addr(), "a.test"), GET).is_ok());
}

#[test]
fn client_gets_the_kind_it_can_verify() {
    let ca = Authority::new("ca");
    let rsa = ca.put("rsa.pem", &ca.issue(&["a.test"], Kind::Rsa));
    let ecdsa = ca.put("ecdsa.pem", &ca.issue(&["a.test"], Kind::Ecdsa));
    let (lb, _origin) = showing(&[&rsa, &ecdsa], "");
    let bits = |client: &TlsClient| {
        let certificate = &client.conn.peer_certificates().unwrap()[0];
        let (_, leaf) = x509_parser::parse_x509_certificate(certificate).unwrap();
        leaf.public_key().algorithm.algorithm.to_id_string()
    };
    let mut modern = ca.connect(lb.addr(), "a.test");
    ask(&mut modern, GET).unwrap();
    assert_eq!(bits(&modern), "1.2.840.10045.2.1", "ECDSA is cheaper");
    // One that verifies RSA alone.
    let suites = |suite: &rustls::SupportedCipherSuite| format!("{suite:?}").contains("ECDHE_RSA");
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(suites);
    let mut roots = rustls::RootCertStore::empty();
    let root = std::fs::read(ca.file()).unwrap();
    roots
        .add(rustls::pki_types::pem::PemObject::from_pem_slice(&root).unwrap())
        .unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut old = tls_client(lb.addr(), "a.test", Arc::new(config));
    ask(&mut old, GET).unwrap();
    assert_eq!(bits(&old), "1.2.840.113549.1.1.1");
}

#[test]
fn handshake_may_come_byte_by_byte() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, _origin) = showing(&[&file], "");
    for version in [&TLS12, &TLS13] {
        let mut client = tls_client(
            lb.addr(),
            "a.test",
            Arc::new(ca.configure(&[version], None)),
        );
        while client.conn.is_handshaking() {
            let mut out = Vec::new();
            while client.conn.wants_write() {
                client.conn.write_tls(&mut out).unwrap();
            }
            for byte in out {
                client.sock.write_all(&[byte]).unwrap();
            }
            if client.conn.is_handshaking() {
                assert!(client.conn.read_tls(&mut client.sock).unwrap() > 0);
                client.conn.process_new_packets().unwrap();
            }
        }
        assert_eq!(ask(&mut client, GET).unwrap().1, b"ok");
    }
}

#[test]
fn handshake_has_a_deadline() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let origin = Origin::ok("ok");
    let tls = format!("certificates = {file:?}");
    let lb = Lb::start(&config(
        &tls,
        origin.addr(),
        "timeouts = { tls_handshake = \"200ms\" }",
    ));
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut client = RawClient::connect(lb.addr());
        client.send(begun);
        assert_eq!(client.read_until_close(), b"");
    }
    wait_until(PATIENCE, "nobody is left", || lb.connections() == 0);
    assert!(ask(&mut ca.connect(lb.addr(), "a.test"), GET).is_ok());
}

#[test]
fn what_is_not_tls_is_told_so_and_closed() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, origin) = showing(&[&file], "");
    for (bytes, level) in [
        (&b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"[..], Some(2)),
        (&[0x16, 3, 1, 0xff, 0xff, 0, 0, 0, 0][..], Some(2)),
        (&[0x17, 3, 3, 0, 3, 1, 2, 3][..], Some(2)),
    ] {
        let mut client = RawClient::connect(lb.addr());
        client.send(bytes).finish_sending();
        let said = client.read_until_close();
        // A fatal alert (RFC 8446 6): record 21, then its level.
        assert_eq!(said.first().copied(), Some(21), "{bytes:?}: {said:?}");
        assert_eq!(said.get(5).copied(), level);
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn cut_request_is_no_request() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, origin) = showing(&[&file], "");
    let mut client = ca.connect(lb.addr(), "a.test");
    let (_, body) = ask(&mut client, GET).unwrap();
    assert_eq!(body, b"ok");
    // Half a record, then the end of the transport without close_notify.
    client.conn.writer().write_all(GET.as_bytes()).unwrap();
    let mut record = Vec::new();
    client.conn.write_tls(&mut record).unwrap();
    client.sock.write_all(&record[..record.len() / 2]).unwrap();
    client.sock.shutdown(std::net::Shutdown::Write).unwrap();
    wait_until(PATIENCE, "the session ends", || lb.connections() == 0);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn scribbled_record_ends_the_connection_with_an_alert() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, origin) = showing(&[&file], "");
    let mut client = ca.connect(lb.addr(), "a.test");
    ask(&mut client, GET).unwrap();
    client.conn.writer().write_all(GET.as_bytes()).unwrap();
    let mut record = Vec::new();
    client.conn.write_tls(&mut record).unwrap();
    *record.last_mut().unwrap() ^= 1;
    client.sock.write_all(&record).unwrap();
    let error = client.read(&mut [0; 64]).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn end_is_announced() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, _origin) = showing(&[&file], "");
    let mut client = ca.connect(lb.addr(), "a.test");
    let close = "GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    ask(&mut client, close).unwrap();
    // Ok(0) is close_notify; a bare FIN would be an error (RFC 8446 6.1).
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn bodies_pass_both_ways() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let origin = Origin::answering(|request| {
        let length = request.body.len();
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.extend_from_slice(&request.body);
        crate::support::Answer::Keep(answer)
    });
    let lb = Lb::start(&config(
        &format!("certificates = {file:?}"),
        origin.addr(),
        "",
    ));
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
    let mut client = ca.connect(lb.addr(), "a.test");
    for _ in 0..2 {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(&body).unwrap();
        let (_, echoed) = ask(&mut client, "").unwrap();
        assert!(echoed == body, "{} of {} bytes", echoed.len(), body.len());
    }
}

#[test]
fn client_that_does_not_read_is_waited_for() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let body = "x".repeat(20 << 20);
    let origin = Origin::ok(&body);
    let lb = Lb::start(&config(
        &format!("certificates = {file:?}"),
        origin.addr(),
        "",
    ));
    let mut client = ca.connect(lb.addr(), "a.test");
    client.write_all(GET.as_bytes()).unwrap();
    wait_until(PATIENCE, "the request is there", || {
        origin.requests().len() == 1
    });
    let (_, received) = ask(&mut client, "").unwrap();
    assert!(received == body.as_bytes());
}

#[test]
fn tcp_mode_passes_half_closes() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let origin = Origin::raw(|mut stream, _| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
    });
    let tls = format!("certificates = {file:?}");
    let lb = Lb::start(&config(&tls, origin.addr(), "mode = \"tcp\""));
    let mut client = ca.connect(lb.addr(), "a.test");
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    client.write_all(&sent).unwrap();
    client.conn.send_close_notify();
    client.flush().unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert!(received == sent, "{} bytes", received.len());
}

#[test]
fn http_is_sent_to_https() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let origin = Origin::ok("ok");
    let lb = Lb::start(&format!(
        "[[frontend]]\nname = \"web\"\nbind = [\"127.0.0.1:0\", {{ address = \"127.0.0.1:0\", tls = true }}]\n\
         tls = {{ certificates = {file:?} }}\nredirect_https = {{ code = 308, port = 8443 }}\n\
         default_backend = \"b\"\n[[backend]]\nname = \"b\"\nserver = \"{}\"\n",
        origin.addr()
    ));
    let addresses = lb.addresses();
    let mut plain = RawClient::connect(addresses[0]);
    plain.send("GET /a?b HTTP/1.1\r\nHost: a.test:80\r\n\r\n");
    let (head, _) = plain.read_response();
    assert_eq!(head.status(), 308);
    assert_eq!(head.field("location"), Some("https://a.test:8443/a?b"));
    let (head, _) = ask(&mut ca.connect(addresses[1], "a.test"), GET).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn plain_and_secure_binds_do_not_mix() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, _origin) = showing(&[&file], "");
    // 9110 7.4: a target of another scheme is not ours.
    let target = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let (head, _) = ask(&mut ca.connect(lb.addr(), "a.test"), target).unwrap();
    assert!(head.starts_with("HTTP/1.1 421 "), "{head}");
}

#[test]
fn connections_before_a_word_are_nobodys_failure() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let (lb, _origin) = showing(&[&file], "");
    drop(TcpStream::connect(lb.addr()).unwrap());
    wait_until(PATIENCE, "it is gone", || lb.connections() == 0);
}

/// rustls warns of a name that is an address; many clients send one.
#[test]
fn what_clients_send_writes_no_log() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let bind = free_addr();
    let rlb = Rlb::with(format!(
        "[global]\nadmin = \"\"\n[[listen]]\nname = \"web\"\nserver = \"127.0.0.1:9\"\n\
         bind = {{ address = \"{bind}\", tls = true }}\ntls = {{ certificates = \"{}\" }}\n",
        file.display()
    ))
    .ready_on(bind)
    .start();
    // Our client would send no address: one takes the place of a name as long.
    let (name, address) = (b"abcdefg.h", b"127.0.0.1");
    let server = ServerName::try_from("abcdefg.h").unwrap();
    let mut client = ClientConnection::new(Arc::new(ca.client_config()), server).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let at = hello.windows(9).position(|bytes| bytes == name).unwrap();
    hello[at..at + 9].copy_from_slice(address);
    let mut client = RawClient::connect(bind);
    client.send(&hello);
    assert_eq!(client.read_bytes(1), [22], "a handshake goes on");
    assert!(!rlb.stderr().contains("SNI"), "{}", rlb.stderr());
}
