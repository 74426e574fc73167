//! TLS that is passed through: who gets it, and that every byte of it arrives.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::log::{number, stat};
use crate::support::authority::{Authority, Kind, ask, tls_client};
use crate::support::real::{self, Part};
use crate::support::{Lb, Origin, PATIENCE, Rlb, connect, free_addr, wait_until};

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
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
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
fn pieces_and_records_of_any_size_arrive_as_they_were_sent() {
    let (lb, _servers) = routed();
    let whole = hello("shop.test", &["h2"]);
    for bytes in [whole.clone(), in_records(&whole, 7), in_records(&whole, 1)] {
        let mut stream = lb.connect("tls");
        stream.set_nodelay(true).unwrap();
        for byte in &bytes {
            stream.write_all(&[*byte]).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer(stream), ("h2".to_owned(), bytes));
    }
}

#[test]
fn a_hello_is_waited_for_across_pauses() {
    let (lb, servers) = routed();
    let hello = hello("shop.test", &[]);
    let (first, rest) = hello.split_at(hello.len() / 2);
    let mut stream = lb.connect("tls");
    stream.write_all(first).unwrap();
    // Another client is served meanwhile, by the same worker.
    assert_eq!(sent(&lb, &hello).0, "shop");
    let connections: usize = servers.iter().map(|(_, server)| server.connections()).sum();
    assert_eq!(connections, 1, "no server was asked for half a hello");
    stream.write_all(rest).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer(stream), ("shop".to_owned(), hello));
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
fn a_refused_connect_is_tried_elsewhere_with_every_byte() {
    let (dead, alive) = (free_addr(), echo("alive"));
    let backend = format!(
        "[[backend]]\nname = \"shop\"\nmode = \"tcp\"\nserver = [\"{dead}\", \"{}\"]\n",
        alive.addr()
    );
    let lb =
        Lb::start(&(config("{ sni = \"shop.test\", backend = \"shop\" }", "", &[]) + &backend));
    let hello = hello("shop.test", &["h2"]);
    for _ in 0..4 {
        assert_eq!(sent(&lb, &hello), ("alive".to_owned(), hello.clone()));
    }
}

#[test]
fn bulk_behind_the_hello_is_whole() {
    let (lb, _servers) = routed();
    let hello = hello("shop.test", &[]);
    let bulk: Vec<u8> = (0..4_u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut stream = lb.connect("tls");
    let mut writer = stream.try_clone().unwrap();
    let (who, echoed) = std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&hello).unwrap();
            writer.write_all(&bulk).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let who = name_of(&mut stream);
        let mut echoed = Vec::new();
        stream.read_to_end(&mut echoed).unwrap();
        (who, echoed)
    });
    assert_eq!(who, "shop");
    assert_eq!(echoed.len(), hello.len() + bulk.len());
    assert!(echoed == [hello, bulk].concat(), "not what was sent");
}

#[test]
fn a_reload_moves_new_hellos_and_leaves_sessions_alone() {
    let (one, two) = (echo("one"), echo("two"));
    let bind = free_addr();
    let both = [("one", one.addr()), ("two", two.addr())];
    let to = |backend: &str| {
        let routes = format!("{{ sni = \"shop.test\", backend = \"{backend}\" }}");
        let more = "default_backend = \"one\"";
        let config = config_on(bind, &routes, more, &both);
        format!("[global]\nworkers = 1\nadmin = \"\"\n{config}")
    };
    let lb = Lb::start_whole(&to("one"));
    let hello = hello("shop.test", &[]);
    let mut old = connect(bind);
    old.write_all(&hello).unwrap();
    assert_eq!(name_of(&mut old), "one");
    let mut half = connect(bind);
    half.write_all(&hello[..30]).unwrap();
    lb.apply(&to("two")).unwrap();
    // Half a hello is nobody's yet.
    half.write_all(&hello[30..]).unwrap();
    assert_eq!(name_of(&mut half), "two");
    old.write_all(b"on and on").unwrap();
    old.shutdown(Shutdown::Write).unwrap();
    let mut echoed = Vec::new();
    old.read_to_end(&mut echoed).unwrap();
    assert_eq!(echoed, [&hello[..], b"on and on"].concat());
}

#[test]
fn a_proxy_header_comes_before_the_hello() {
    let shop = echo("shop");
    let config = config(
        "{ sni = \"shop.test\", backend = \"shop\" }",
        "",
        &[("shop", shop.addr())],
    );
    let bind = "bind = { address = \"127.0.0.1:0\", proxy_protocol = true }";
    let lb = Lb::start(&config.replace("bind = \"127.0.0.1:0\"", bind));
    let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n";
    let hello = hello("shop.test", &["h2"]);
    for cut in [
        1,
        header.len(),
        header.len() + 3,
        header.len() + hello.len(),
    ] {
        let bytes = [&header[..], &hello].concat();
        let mut stream = lb.connect("tls");
        stream.set_nodelay(true).unwrap();
        stream.write_all(&bytes[..cut]).unwrap();
        stream.write_all(&bytes[cut..]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer(stream), ("shop".to_owned(), hello.clone()), "{cut}");
    }
}

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
                let connect = addr.to_string();
                let said = openssl.run([
                    "s_client",
                    "-connect",
                    &connect,
                    "-servername",
                    name,
                    "-verify_hostname",
                    name,
                    "-CAfile",
                    &root,
                    version,
                ]);
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
