//! Headers to servers, as they arrive.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use super::{EVERYBODY, listen, v2, v2_of};
use crate::support::authority::Authority;
use crate::support::{
    Lb, Origin, PATIENCE, PlayedOrigin, RawClient, connect, temp_dir, wait_until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ANY: &str = "address = \"127.0.0.1:0\"";

/// First lines of the requests an origin has seen, with the numbers of their connections.
fn seen(origin: &Origin) -> Vec<(String, usize)> {
    let requests = origin.requests().into_iter();
    let first = |text: &str| text.split("\r\n").next().unwrap().to_owned();
    requests
        .map(|request| (first(&request.head.0), request.connection))
        .collect()
}

#[test]
fn version_1_comes_in_front_of_the_first_request_of_a_connection() {
    let origin = Origin::ok("ok");
    let lb = Lb::start(&listen(ANY, origin.addr(), "proxy_protocol = \"v1\""));
    let stream = connect(lb.addr());
    let client = stream.local_addr().unwrap();
    let mut raw = RawClient::over(stream);
    for _ in 0..2 {
        assert_eq!(raw.send(GET).read_response().0.status(), 200);
    }
    let line = format!(
        "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}",
        client.port(),
        lb.addr().port()
    );
    // The second request finds the connection of the first.
    assert_eq!(seen(&origin), [(line, 0), ("GET / HTTP/1.1".to_owned(), 0)]);
}

#[test]
fn version_2_comes_in_front_of_a_request() {
    let origin = PlayedOrigin::listen();
    let lb = Lb::start(&listen(ANY, origin.addr(), "proxy_protocol = \"v2\""));
    let stream = connect(lb.addr());
    let expected = v2_of(stream.local_addr().unwrap(), lb.addr());
    let mut raw = RawClient::over(stream);
    raw.send(GET);
    let mut server = origin.accept();
    assert_eq!(server.read_bytes(expected.len()), expected);
    assert_eq!(server.read_head().first_line(), "GET / HTTP/1.1");
    server.send(OK);
    assert_eq!(raw.read_response().0.status(), 200);
}

#[test]
fn an_announced_client_is_announced_on() {
    let origin = PlayedOrigin::listen();
    for (version, mode) in [("v1", "http"), ("v2", "http"), ("v1", "tcp"), ("v2", "tcp")] {
        let more = format!("proxy_protocol = \"{version}\"\nmode = \"{mode}\"");
        let lb = Lb::start(&listen(EVERYBODY, origin.addr(), &more));
        let (source, destination) = ("[2001:db8::1]:51000", "[2001:db8::2]:443");
        let text = "PROXY TCP6 2001:db8::1 2001:db8::2 51000 443\r\n";
        let binary = v2_of(source.parse().unwrap(), destination.parse().unwrap());
        let expected = match version {
            "v1" => text.as_bytes(),
            _ => &binary,
        };
        let mut raw = lb.client();
        raw.send(text).send(GET);
        let mut server = origin.accept();
        assert_eq!(server.read_bytes(expected.len()), expected, "{more}");
        assert_eq!(server.read_head().first_line(), "GET / HTTP/1.1");
        server.send(OK);
        assert_eq!(raw.read_response().0.status(), 200);
    }
}

#[test]
fn no_client_gets_the_connection_of_another() {
    let origin = Origin::ok("ok");
    let lb = Lb::start(&listen(ANY, origin.addr(), "proxy_protocol = \"v1\""));
    let mut clients: Vec<_> = (0..3).map(|_| lb.client()).collect();
    for _ in 0..3 {
        for raw in &mut clients {
            assert_eq!(raw.send(GET).read_response().0.status(), 200);
        }
    }
    // Each kept its own.
    assert_eq!(origin.connections(), 3);
    let announced = seen(&origin)
        .into_iter()
        .filter(|(line, _)| line.starts_with("PROXY "));
    let mut ports: Vec<_> = announced.map(|(line, _)| line).collect();
    ports.sort();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    // One that follows them gets none of theirs.
    drop(clients);
    assert_eq!(lb.client().send(GET).read_response().0.status(), 200);
    assert_eq!(origin.connections(), 4);
}

#[test]
fn the_connection_of_a_client_that_left_is_closed() {
    let origin = PlayedOrigin::listen();
    let more = "proxy_protocol = \"v1\"\ntimeouts.pool_idle = \"1h\"";
    let lb = Lb::start(&listen(ANY, origin.addr(), more));
    let mut raw = lb.client();
    raw.send(GET);
    let mut server = origin.accept();
    server.read_head();
    server.send(OK);
    assert_eq!(raw.read_response().0.status(), 200);
    assert!(server.is_quiet(), "kept");
    drop(raw);
    assert_eq!(server.read_end().0, b"");
}

#[test]
fn a_full_pool_keeps_the_newest() {
    let origin = Origin::ok("ok");
    let more = "proxy_protocol = \"v1\"\npool_max = 1";
    let lb = Lb::start(&listen(ANY, origin.addr(), more));
    let mut clients = [lb.client(), lb.client()];
    // The third time its own has made room for the other's.
    for (index, connections) in [(0, 1), (1, 2), (0, 3)] {
        let raw = &mut clients[index];
        assert_eq!(raw.send(GET).read_response().0.status(), 200);
        assert_eq!(origin.connections(), connections);
        assert_eq!(raw.send(GET).read_response().0.status(), 200);
        assert_eq!(origin.connections(), connections);
    }
}

#[test]
fn a_servers_own_word_wins() {
    let (origin, plain) = (Origin::ok("ok"), Origin::ok("ok"));
    let config = format!(
        "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nproxy_protocol = \"v1\"\nserver = [\
         \"{}\", {{ address = \"{}\", proxy_protocol = \"off\" }}]\n",
        origin.addr(),
        plain.addr()
    );
    let lb = Lb::start(&config);
    let mut raw = lb.client();
    for _ in 0..4 {
        assert_eq!(raw.send(GET).read_response().0.status(), 200);
    }
    assert!(seen(&origin)[0].0.starts_with("PROXY TCP4 "));
    assert!(
        seen(&plain)
            .iter()
            .all(|(line, _)| line.starts_with("GET "))
    );
    assert_eq!((seen(&origin).len(), seen(&plain).len()), (2, 2));
}

#[test]
fn a_server_that_speaks_first_has_the_header_first() {
    let origin = PlayedOrigin::listen();
    let more = "mode = \"tcp\"\nproxy_protocol = \"v1\"";
    let lb = Lb::start(&listen(ANY, origin.addr(), more));
    let mut stream = connect(lb.addr());
    let mut server = origin.accept();
    let line = server.read_line();
    assert!(
        line.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "),
        "{line}"
    );
    server.send("220 hello\r\n");
    let mut hello = [0; 11];
    stream.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"220 hello\r\n");
    stream.write_all(b"QUIT\r\n").unwrap();
    assert_eq!(server.read_bytes(6), b"QUIT\r\n");
}

#[test]
fn the_header_comes_before_tls_to_the_server() {
    let origin = PlayedOrigin::listen();
    let ca = Authority::new("ca");
    let config = format!(
        "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nproxy_protocol = \"v1\"\n\
         server = {{ address = \"{}\", tls = {{ ca_file = {:?}, host = \"a.test\" }} }}\n",
        origin.addr(),
        ca.file()
    );
    let lb = Lb::start(&config);
    let mut raw = lb.client();
    raw.send(GET);
    let mut server = origin.accept();
    assert!(server.read_line().starts_with("PROXY TCP4 "));
    // A handshake record with a ClientHello (RFC 8446 5.1).
    let hello = server.read_bytes(6);
    assert_eq!((hello[0], hello[5]), (22, 1));
}

#[test]
fn clients_without_an_address_are_said_to_have_none() {
    let origin = PlayedOrigin::listen();
    let dir = temp_dir();
    for (version, expected) in [
        ("v1", b"PROXY UNKNOWN\r\n".to_vec()),
        ("v2", v2(0x21, 0x00, b"")),
    ] {
        let path = dir.path().join(version);
        let bind = format!("address = \"unix:{}\"", path.display());
        let more = format!("mode = \"tcp\"\nproxy_protocol = \"{version}\"");
        let lb = Lb::start(&listen(&bind, origin.addr(), &more));
        let stream = UnixStream::connect(&path).unwrap();
        let mut server = origin.accept();
        assert_eq!(server.read_bytes(expected.len()), expected);
        drop((stream, lb));
    }
}

#[test]
fn checks_begin_as_traffic_does_unless_they_go_elsewhere() {
    let local = v2(0x20, 0x00, b"");
    let text = b"PROXY UNKNOWN\r\n".to_vec();
    let (v1, v2) = ("proxy_protocol = \"v1\"", "proxy_protocol = \"v2\"");
    for (server, check, elsewhere, expected) in [
        ("", "", false, &b""[..]),
        (v1, "", false, &text),
        (v2, "", false, &local),
        (v2, "", true, b""),
        (v2, v2, true, &local),
        (v2, "proxy_protocol = \"off\"", false, b""),
        ("", v1, false, &text),
    ] {
        let origin = PlayedOrigin::listen();
        let at = match elsewhere {
            true => format!(", check_port = {}", origin.addr().port()),
            false => String::new(),
        };
        let config = format!(
            "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\n{server}\n\
             server = {{ name = \"s1\", address = \"{}\"{at} }}\n\
             [listen.check]\ninterval = \"5s\"\n{check}\n",
            origin.addr()
        );
        let lb = Lb::start(&config);
        let mut server = origin.accept();
        assert_eq!(server.read_bytes(expected.len()), expected, "{config}");
        assert_eq!(server.read_head().first_line(), "HEAD / HTTP/1.1");
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        wait_until(PATIENCE, "a check that passed", || {
            lb.server("web", "s1").check == "L7OK/200"
        });
    }
}

#[test]
fn what_a_server_is_told_may_change_while_it_serves() {
    let origin = Origin::ok("ok");
    let config = |version: &str| {
        let more = format!("proxy_protocol = \"{version}\"");
        let listen = listen(ANY, origin.addr(), &more);
        format!("[global]\nworkers = 1\nadmin = \"\"\n{listen}")
    };
    let lb = Lb::start_whole(&config("off"));
    let mut raw = lb.client();
    assert_eq!(raw.send(GET).read_response().0.status(), 200);
    lb.apply(&config("v1")).unwrap();
    assert_eq!(raw.send(GET).read_response().0.status(), 200);
    let seen = seen(&origin);
    // What was pooled says nothing of a client, and is of no use any more.
    assert_eq!(seen[0], ("GET / HTTP/1.1".to_owned(), 0));
    assert!(
        seen[1].0.starts_with("PROXY TCP4 ") && seen[1].1 == 1,
        "{seen:?}"
    );
}
