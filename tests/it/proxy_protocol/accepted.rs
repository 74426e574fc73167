//! Headers from those in front, as raw bytes.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use super::{EVERYBODY, listen, v2, v2_of};
use crate::log::{ask as tell, lines_of, number, stat};
use crate::support::authority::{Authority, Kind, ask};
use crate::support::{Lb, Origin, RawClient, connect, free_addr, temp_dir, wait_until};

const FORWARDED: &str = "forwarded = { port = true, rfc7239 = true }";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 51000 8443\r\n";

/// What the origin was told of the client of its last request.
fn told(origin: &Origin) -> (String, String) {
    let head = origin.requests().pop().unwrap().head;
    let field = |name| head.fields(name).join(", ");
    (field("X-Forwarded-For"), field("X-Forwarded-Port"))
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn the_announced_client_is_the_client() {
    let origin = Origin::ok("ok");
    let lb = Lb::start(&listen(EVERYBODY, origin.addr(), FORWARDED));
    let four = v2_of(addr("192.0.2.1:51000"), addr("198.51.100.2:8443"));
    let six = v2_of(addr("[2001:db8::1]:51000"), addr("[2001:db8::2]:8443"));
    let text = b"PROXY TCP6 2001:db8::1 2001:db8::2 51000 8443\r\n".to_vec();
    for (header, client) in [
        (LINE.to_vec(), "192.0.2.1"),
        (text, "2001:db8::1"),
        (four, "192.0.2.1"),
        (six, "2001:db8::1"),
    ] {
        // Glued to the request, and in as many pieces as there are bytes.
        let whole = [&header[..], GET].concat();
        for step in [whole.len(), 1] {
            let mut raw = lb.client();
            for piece in whole.chunks(step) {
                raw.send(piece);
            }
            assert_eq!(raw.read_response().0.status(), 200, "{step}");
            assert_eq!(told(&origin), (client.to_owned(), "8443".to_owned()));
            // It stays so for the connection.
            assert_eq!(raw.send(GET).read_response().0.status(), 200);
            assert_eq!(told(&origin).0, client);
        }
    }
}

#[test]
fn who_announces_nobody_is_the_client() {
    let origin = Origin::ok("ok");
    let lb = Lb::start(&listen(EVERYBODY, origin.addr(), FORWARDED));
    let port = lb.addr().port().to_string();
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
        v2(0x20, 0x00, b""),
        v2(0x20, 0x11, &[9; 12]),
        v2(0x21, 0x00, b"ignored"),
        // UDP and Unix sockets, as HAProxy takes them.
        v2(0x21, 0x12, &[9; 12]),
        v2(0x21, 0x31, &[b'x'; 216]),
    ] {
        let mut raw = lb.client();
        raw.send(&header).send(GET);
        assert_eq!(raw.read_response().0.status(), 200, "{header:?}");
        assert_eq!(told(&origin), ("127.0.0.1".to_owned(), port.clone()));
    }
}

#[test]
fn what_is_no_header_is_closed_at_once_and_counted() {
    let origin = Origin::ok("ok");
    let dir = temp_dir();
    let (socket, log) = (dir.path().join("admin"), dir.path().join("log"));
    let config = format!(
        "[global]\nworkers = 1\nadmin = {socket:?}\n[[log]]\ntarget = \"file:{}\"\n{}",
        log.display(),
        listen(EVERYBODY, origin.addr(), "timeouts.tls_handshake = \"1h\"")
    );
    let lb = Lb::start_whole(&config);
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    let refused = [
        GET.to_vec(),
        b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n".to_vec(),
        long.into_bytes(),
        v2(0x11, 0x11, &[1; 12]),
        v2(0x22, 0x11, &[1; 12]),
        v2(0x21, 0x13, &[1; 12]),
        v2(0x21, 0x11, &[1; 11]),
        v2(0x21, 0x11, &[1; 2033]),
        v2(0x21, 0x11, &[1; 14]),
    ];
    for bytes in &refused {
        let mut raw = lb.client();
        raw.try_send(bytes);
        // No time runs out here: it is the bytes that end it.
        let (said, _) = raw.read_end();
        assert_eq!(said, b"", "{bytes:?}");
    }
    assert!(origin.requests().is_empty());
    let count = refused.len();
    let rows = stat(&socket);
    assert_eq!(number(&rows, "web", "FRONTEND", "ereq"), count as u64);
    assert_eq!(number(&rows, "web", "FRONTEND", "conn_tot"), count as u64);
    assert_eq!(number(&rows, "web", "FRONTEND", "req_tot"), 0);
    let name = "rlb_frontend_proxy_headers_refused_total";
    let metrics = tell(&socket, "show metrics");
    let told = format!("\n{name}{{proxy=\"web\"}} {count}\n");
    assert!(metrics.contains(&told), "{metrics}");
    for line in lines_of(&log, count) {
        assert!(line.contains("]: 127.0.0.1:"), "{line}");
        assert!(line.contains(" web web/<NOSRV> -1/-1/-1/-1/"), "{line}");
        assert!(line.contains(" -1 0 - - PR-- "), "{line}");
        assert!(line.ends_with("\"<BADREQ>\""), "{line}");
    }
}

#[test]
fn who_leaves_or_dawdles_amid_a_header_is_counted_and_a_probe_is_not() {
    let origin = Origin::ok("ok");
    let dir = temp_dir();
    let (socket, log) = (dir.path().join("admin"), dir.path().join("log"));
    let more = "timeouts.tls_handshake = \"300ms\"";
    let config = format!(
        "[global]\nworkers = 1\nadmin = {socket:?}\n[[log]]\ntarget = \"file:{}\"\n{}",
        log.display(),
        listen(EVERYBODY, origin.addr(), more)
    );
    let lb = Lb::start_whole(&config);
    let mut probe = lb.client();
    probe.finish_sending();
    assert_eq!(probe.read_end().0, b"");
    let mut left = lb.client();
    left.send(&LINE[..9]).finish_sending();
    assert_eq!(left.read_end().0, b"");
    let start = Instant::now();
    let mut slow = lb.client();
    slow.send(&LINE[..9]);
    assert_eq!(slow.read_end().0, b"");
    assert!(start.elapsed() >= Duration::from_millis(250), "too soon");
    let lines = lines_of(&log, 2);
    assert!(lines[0].contains(" CR-- "), "{lines:?}");
    assert!(lines[1].contains(" cR-- "), "{lines:?}");
    assert_eq!(number(&stat(&socket), "web", "FRONTEND", "ereq"), 2);
}

#[test]
fn only_trusted_peers_announce_clients() {
    let origin = Origin::ok("ok");
    let bind = |trusted: &str| {
        format!("address = \"127.0.0.1:0\", proxy_protocol = {{ trusted = {trusted} }}")
    };
    let others = bind("[\"10.0.0.0/8\", \"2001:db8::/32\"]");
    let lb = Lb::start(&listen(&others, origin.addr(), FORWARDED));
    assert_eq!(lb.client().send(GET).read_response().0.status(), 200);
    assert_eq!(told(&origin).0, "127.0.0.1");
    for header in [LINE.to_vec(), v2(0x21, 0x11, &[9; 12])] {
        let mut raw = lb.client();
        raw.send(&header).send(GET);
        assert_eq!(raw.read_response().0.status(), 400);
    }
    let we = bind("\"127.0.0.0/8\"");
    let lb = Lb::start(&listen(&we, origin.addr(), FORWARDED));
    assert_eq!(
        lb.client().send(LINE).send(GET).read_response().0.status(),
        200
    );
    assert_eq!(told(&origin).0, "192.0.2.1");
    let mut raw = lb.client();
    raw.try_send(GET);
    assert_eq!(raw.read_end().0, b"");
}

#[test]
fn trust_in_forwarded_fields_goes_by_the_announced_client() {
    let origin = Origin::ok("ok");
    let more = "forwarded = { for = \"replace\", trusted = \"192.0.2.0/24\" }";
    let lb = Lb::start(&listen(EVERYBODY, origin.addr(), more));
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
    for (client, expected) in [
        ("192.0.2.1", "203.0.113.9, 192.0.2.1"),
        // The peer itself would be.
        ("198.51.100.1", "198.51.100.1"),
    ] {
        let header = format!("PROXY TCP4 {client} 198.51.100.2 1 2\r\n");
        let mut raw = lb.client();
        raw.send(&header).send(request);
        assert_eq!(raw.read_response().0.status(), 200);
        assert_eq!(told(&origin).0, expected);
    }
}

#[test]
fn the_log_names_the_announced_client() {
    let origin = Origin::ok("ok");
    let dir = temp_dir();
    let log = dir.path().join("log");
    let config = format!(
        "{}[[log]]\ntarget = \"file:{}\"\n",
        listen(EVERYBODY, origin.addr(), ""),
        log.display()
    );
    let lb = Lb::start(&config);
    let mut raw = lb.client();
    assert_eq!(raw.send(LINE).send(GET).read_response().0.status(), 200);
    // Also for what is refused later on.
    let mut raw = lb.client();
    raw.send(LINE).send("GET /\r\n\r\n");
    assert_eq!(raw.read_response().0.status(), 400);
    for line in lines_of(&log, 2) {
        assert!(line.contains("]: 192.0.2.1:51000 ["), "{line}");
    }
}

#[test]
fn the_header_comes_before_tls() {
    let ca = Authority::new("ca");
    let file = ca.put("a.pem", &ca.issue(&["a.test"], Kind::Ecdsa));
    let origin = Origin::ok("ok");
    let bind = format!("{EVERYBODY}, tls = true");
    let more = format!("tls = {{ certificates = {file:?} }}\n{FORWARDED}");
    let lb = Lb::start(&listen(&bind, origin.addr(), &more));
    for step in [LINE.len(), 1] {
        let mut client = ca.connect(lb.addr(), "a.test");
        for piece in LINE.chunks(step) {
            client.sock.write_all(piece).unwrap();
        }
        let (head, body) = ask(&mut client, std::str::from_utf8(GET).unwrap()).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body, b"ok");
        assert_eq!(told(&origin), ("192.0.2.1".to_owned(), "8443".to_owned()));
    }
    // Header and ClientHello in one segment.
    let mut client = ca.connect(lb.addr(), "a.test");
    let mut hello = LINE.to_vec();
    client.conn.write_tls(&mut hello).unwrap();
    client.sock.write_all(&hello).unwrap();
    let (head, _) = ask(&mut client, std::str::from_utf8(GET).unwrap()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // Without one, not a byte of TLS is answered.
    let mut client = ca.connect(lb.addr(), "a.test");
    assert!(ask(&mut client, std::str::from_utf8(GET).unwrap()).is_err());
}

#[test]
fn in_tcp_mode_the_header_is_taken_and_the_rest_relayed() {
    let origin = Origin::raw(|mut stream, _| {
        stream.write_all(b"hello ").unwrap();
        let (mut from, mut to) = (&stream, &stream);
        let _ = std::io::copy(&mut from, &mut to);
    });
    let dir = temp_dir();
    let log = dir.path().join("log");
    let config = format!(
        "{}[[log]]\ntarget = \"file:{}\"\n",
        listen(EVERYBODY, origin.addr(), "mode = \"tcp\""),
        log.display()
    );
    let lb = Lb::start(&config);
    for bytes in [&b""[..], b"glued"] {
        let mut stream = connect(lb.addr());
        stream.write_all(&[LINE, bytes].concat()).unwrap();
        let mut hello = [0; 6];
        // The server speaks first, also where nothing follows the header.
        stream.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello ");
        stream.write_all(b" more").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [bytes, b" more"].concat());
    }
    for line in lines_of(&log, 2) {
        assert!(line.contains("]: 192.0.2.1:51000 ["), "{line}");
        assert!(line.contains(" -- "), "{line}");
    }
}

#[test]
fn a_reload_turns_it_on_and_off_without_a_lost_connection() {
    let (origin, addr) = (Origin::ok("ok"), free_addr());
    let config = |more: &str| {
        let bind = format!("address = \"{addr}\"{more}");
        let listen = listen(&bind, origin.addr(), "");
        format!("[global]\nworkers = 1\nadmin = \"\"\n{listen}")
    };
    let lb = Lb::start_whole(&config(""));
    let mut plain = lb.client();
    assert_eq!(plain.send(GET).read_response().0.status(), 200);
    lb.apply(&config(", proxy_protocol = true")).unwrap();
    let mut announced = RawClient::connect(addr);
    assert_eq!(
        announced.send(LINE).send(GET).read_response().0.status(),
        200
    );
    assert_eq!(told(&origin).0, "192.0.2.1");
    // Who is in goes on as it came in.
    assert_eq!(plain.send(GET).read_response().0.status(), 200);
    lb.apply(&config("")).unwrap();
    assert_eq!(lb.client().send(GET).read_response().0.status(), 200);
    assert_eq!(announced.send(GET).read_response().0.status(), 200);
    assert_eq!(told(&origin).0, "192.0.2.1");
}

#[test]
fn waiting_for_headers_takes_places_and_gives_them_back() {
    let origin = Origin::ok("ok");
    let lb = Lb::start(&listen(EVERYBODY, origin.addr(), "maxconn = 3"));
    let waiting: Vec<_> = (0..3).map(|_| lb.client()).collect();
    let mut queued = lb.client();
    queued.send(LINE).send(GET);
    wait_until(crate::support::PATIENCE, "three connections", || {
        lb.connections() == 3
    });
    assert!(queued.is_quiet());
    drop(waiting);
    assert_eq!(queued.read_response().0.status(), 200);
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(told(&origin).0, ip.to_string());
}
