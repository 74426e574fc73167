//! Who gets a connection.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::{ROUTES, addresses, answer, config, config_on, hello, name_of, routed, sent, servers};
use crate::log::{number, stat};
use crate::support::{Lb, PATIENCE, Rlb, connect, free_addr, wait_until};

#[test]
fn the_first_route_that_matches_gets_the_connection() {
    let (lb, _servers) = routed();
    for (name, alpn, expected) in [
        ("shop.test", &["http/1.1"][..], "shop"),
        ("shop.test", &[], "shop"),
        ("shop.test", &["http/1.1", "h2"], "h2"),
        ("SHOP.Test", &["h2"], "h2"),
        ("a.example.com", &["h2"], "wild"),
        ("a.b.EXAMPLE.com", &[], "wild"),
        ("example.com", &[], "others"),
        ("ashop.test", &[], "others"),
        ("shop.test.evil", &["h2"], "others"),
        ("other.test", &["mqtt"], "by-alpn"),
        ("127.0.0.1", &["acme-tls/1"], "by-alpn"),
        ("127.0.0.1", &["h2"], "others"),
    ] {
        let hello = hello(name, alpn);
        let (who, echoed) = sent(&lb, &hello);
        assert_eq!(who, expected, "{name} {alpn:?}");
        assert_eq!(echoed, hello, "{name} {alpn:?}");
    }
}

#[test]
fn a_final_dot_does_not_count() {
    let (lb, _servers) = routed();
    // rustls leaves it out, as RFC 6066 wants; what sends it is right in DNS.
    let mut hello = hello("shop.testX", &[]);
    let place = hello
        .windows(10)
        .position(|bytes| bytes == b"shop.testX")
        .unwrap();
    hello[place + 9] = b'.';
    assert_eq!(sent(&lb, &hello), ("shop".to_owned(), hello));
}

#[test]
fn what_is_no_hello_goes_to_the_default_at_once() {
    let (lb, _servers) = routed();
    let long = {
        // Its own length says that it does not fit.
        let mut long = hello("shop.test", &[]);
        long[6] = 1;
        long
    };
    let half = hello("shop.test", &[])[..40].to_vec();
    let mut twice = hello("shop.test", &[]);
    // Two extensions of one kind: ALPN becomes another server_name.
    twice.truncate(twice.len() - 1);
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"\x16\x03\x01\x00\x00".to_vec(),
        long,
        // FIN amid a hello: there will be no more of it.
        half,
        twice,
        Vec::new(),
    ] {
        let began = Instant::now();
        assert_eq!(sent(&lb, &bytes), ("others".to_owned(), bytes));
        assert!(began.elapsed() < Duration::from_secs(4), "at once");
    }
}

#[test]
fn who_says_nothing_hears_the_default_speak_first() {
    let servers = servers();
    let more = "default_backend = \"others\"\ntimeouts = { client_hello = \"200ms\" }";
    let lb = Lb::start(&config(ROUTES, more, &addresses(&servers)));
    for bytes in [&[][..], &hello("shop.test", &[])[..20]] {
        let mut stream = lb.connect("tls");
        stream.write_all(bytes).unwrap();
        let began = Instant::now();
        assert_eq!(name_of(&mut stream), "others");
        assert!(began.elapsed() >= Duration::from_millis(150));
        let mut echoed = vec![0; bytes.len()];
        stream.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, bytes);
    }
}

#[test]
fn without_a_default_the_others_are_closed_and_logged() {
    let servers = servers();
    let dir = crate::support::temp_dir();
    let log = |format: &str| {
        let file = dir.path().join(format);
        let keys = format!("[[log]]\ntarget = \"file:{}\"\nformat = ", file.display());
        (format!("{keys}\"{format}\"\n"), file)
    };
    let ((haproxy, lines), (json, objects)) = (log("haproxy"), log("json"));
    let config = config(ROUTES, "", &addresses(&servers)) + &haproxy + &json;
    let lb = Lb::start(&config);
    let mut stream = lb.connect("tls");
    stream.write_all(&hello("Other.test", &[])).unwrap();
    let end = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    assert_eq!(sent(&lb, &hello("a.example.com", &[])).0, "wild");
    let both = |file: &std::path::Path| std::fs::read_to_string(file).unwrap_or_default();
    wait_until(PATIENCE, "two lines in each log", || {
        both(&lines).lines().count() == 2 && both(&objects).lines().count() == 2
    });
    let text = both(&lines);
    let (missed, taken) = text.trim_end().split_once('\n').unwrap();
    assert!(missed.contains(" tls tls/<NOSRV> "), "{missed}");
    assert!(missed.contains(" SC "), "{missed}");
    assert!(taken.contains(" tls wild/"), "{taken}");
    assert!(taken.contains(" -- "), "{taken}");
    let objects = both(&objects);
    let mut objects = objects
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let (missed, taken) = (objects.next().unwrap(), objects.next().unwrap());
    assert_eq!(missed["sni"], "other.test");
    assert!(missed["backend"].is_null());
    assert_eq!(taken["sni"], "a.example.com");
    assert_eq!(taken["backend"], "wild");
}

#[test]
fn names_that_are_denied_are_closed_and_logged() {
    let servers = servers();
    let dir = crate::support::temp_dir();
    let (log, socket) = (dir.path().join("log"), dir.path().join("sock"));
    let denied = format!("{{ sni = \"b.example.com\", deny = true }}, {ROUTES}");
    let more = format!(
        "[global]\nadmin = \"{}\"\n[[log]]\ntarget = \"file:{}\"\n",
        socket.display(),
        log.display()
    );
    let addr = free_addr();
    let config = config_on(addr, &denied, "", &addresses(&servers)) + &more;
    let _rlb = Rlb::with(config).ready_on(addr).start();
    let mut stream = connect(addr);
    stream.write_all(&hello("B.example.com", &[])).unwrap();
    let end = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    let mut stream = connect(addr);
    stream.write_all(&hello("a.example.com", &[])).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer(stream).0, "wild");
    wait_until(PATIENCE, "the line of who was closed", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let mut lines = text.lines();
        lines.any(|line| line.contains(" tls tls/<NOSRV> ") && line.contains(" PR "))
    });
    assert_eq!(number(&stat(&socket), "tls", "FRONTEND", "dreq"), 1);
}
