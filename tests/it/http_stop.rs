//! The end of an engine: what runs finishes, what is new is refused, nothing is lost
//! (issue 2 item 12; DESIGN.md 9.5).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rlb::{Exit, StopKind};
use socket2::{Domain, Socket, Type};

use crate::support::{End, Lb, Origin, PATIENCE, PlayedOrigin, answers, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn lb(server: SocketAddr, global: &str) -> Lb {
    Lb::start_whole(&format!(
        "[global]\nadmin = \"\"\n{global}\n[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nserver = \"{server}\"\n"
    ))
}

#[test]
fn a_request_under_way_finishes_and_says_close() {
    let origin = PlayedOrigin::listen();
    let lb = lb(origin.addr(), "workers = 1");
    let addr = lb.addr();
    let mut client = lb.client();
    client.send(GET);
    let mut server = origin.accept();
    server.read_head();
    lb.stop(StopKind::Drain);
    wait_until(PATIENCE, "new clients are refused", || !answers(addr));
    assert!(client.is_quiet());
    server.send(OK);
    let (head, body) = client.read_response();
    assert_eq!(
        (head.field("connection"), body.as_slice()),
        (Some("close"), &b"ok"[..])
    );
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
    assert_eq!(lb.wait(), Exit::Stopped);
}

#[test]
fn an_answer_that_has_begun_finishes() {
    let origin = PlayedOrigin::listen();
    let lb = lb(origin.addr(), "workers = 1\nclose_idle_after = \"100ms\"");
    let addr = lb.addr();
    let mut client = lb.client();
    client.send(GET);
    let mut server = origin.accept();
    server.read_head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhe");
    assert_eq!(client.read_head().field("connection"), None);
    lb.stop(StopKind::Drain);
    wait_until(PATIENCE, "new clients are refused", || !answers(addr));
    server.send("re");
    assert_eq!(client.read_bytes(4), b"here");
    // Too late to say close: it goes as an idle one.
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
    assert_eq!(lb.wait(), Exit::Stopped);
}

#[test]
fn an_idle_client_may_still_send_its_request() {
    let origin = Origin::ok("hello");
    let lb = lb(origin.addr(), "workers = 1\nclose_idle_after = \"1h\"");
    let addr = lb.addr();
    let mut client = lb.client();
    client.send(GET).read_response();
    let mut fresh = lb.client();
    wait_until(PATIENCE, "both are served", || origin.requests().len() == 1);
    lb.stop(StopKind::Drain);
    wait_until(PATIENCE, "new clients are refused", || !answers(addr));
    for client in [&mut client, &mut fresh] {
        assert!(client.is_quiet());
        let (head, body) = client.send(GET).read_response();
        assert_eq!(
            (head.field("connection"), body.as_slice()),
            (Some("close"), &b"hello"[..])
        );
        assert_eq!(client.read_end(), (Vec::new(), End::Fin));
    }
    assert_eq!(lb.wait(), Exit::Stopped);
}

#[test]
fn idle_clients_are_closed_once_they_have_been_idle_long_enough() {
    let origin = Origin::ok("hello");
    let lb = lb(origin.addr(), "workers = 1\nclose_idle_after = \"400ms\"");
    let mut client = lb.client();
    client.send(GET).read_response();
    let since = Instant::now();
    lb.stop(StopKind::Drain);
    assert_eq!(client.read_end(), (Vec::new(), End::Fin));
    // The clock of a worker may be a tick old when it notes the time.
    assert!(
        since.elapsed() >= Duration::from_millis(300),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(lb.wait(), Exit::Stopped);
}

#[test]
fn a_second_stop_cuts() {
    for second in [StopKind::Drain, StopKind::Now] {
        let origin = PlayedOrigin::listen();
        let lb = lb(origin.addr(), "workers = 1");
        let addr = lb.addr();
        let mut client = lb.client();
        client.send(GET);
        let mut server = origin.accept();
        server.read_head();
        lb.stop(StopKind::Drain);
        wait_until(PATIENCE, "new clients are refused", || !answers(addr));
        lb.stop(second);
        // It can still be told.
        let (head, _) = client.read_response();
        assert_eq!(
            (head.status(), head.field("connection")),
            (502, Some("close"))
        );
        drop(client);
        assert_eq!(lb.wait(), Exit::Stopped);
        assert_eq!(server.read_until_close(), b"");
    }
}

#[test]
fn who_waits_for_a_connection_is_told_when_it_is_cut() {
    // A queue that is full: the connect neither succeeds nor fails.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let server = listener.local_addr().unwrap().as_socket().unwrap();
    let _filling = TcpStream::connect(server).unwrap();
    let lb = lb(server, "workers = 1");
    let addr = lb.addr();
    let mut client = lb.client();
    client.send(GET);
    lb.stop(StopKind::Drain);
    wait_until(PATIENCE, "new clients are refused", || !answers(addr));
    assert!(client.is_quiet());
    lb.stop(StopKind::Now);
    let (head, _) = client.read_response();
    assert_eq!(
        (head.status(), head.field("connection")),
        (503, Some("close"))
    );
    drop(client);
    assert_eq!(lb.wait(), Exit::Stopped);
}

#[test]
fn a_drain_has_an_end() {
    let origin = PlayedOrigin::listen();
    let lb = lb(origin.addr(), "workers = 1\ndrain_timeout = \"200ms\"");
    let mut waiting = lb.client();
    waiting.send(GET);
    let mut server = origin.accept();
    server.read_head();
    let mut tunnel = lb.client();
    tunnel
        .send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut far_end = origin.accept();
    far_end.read_head();
    far_end.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(tunnel.read_head().status(), 101);
    lb.stop(StopKind::Drain);
    assert_eq!(waiting.read_response().0.status(), 502);
    assert_eq!(tunnel.read_end(), (Vec::new(), End::Reset));
    drop(waiting);
    assert_eq!(lb.wait(), Exit::Stopped);
}

#[test]
fn under_load_a_stop_loses_no_request() {
    const CLIENTS: usize = 24;
    let origin = Origin::ok("hello");
    for round in 0..3 {
        let lb = lb(origin.addr(), "workers = 2");
        let addr = lb.addr();
        let (answered, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (answered, lost) = (&answered, &lost);
                // A third opens a connection for each request.
                let per_connection = if client % 3 == 0 { 1 } else { usize::MAX };
                scope.spawn(move || load(addr, per_connection, answered, lost));
            }
            wait_until(PATIENCE, "load", || answered.load(Ordering::Acquire) > 500);
            lb.stop(StopKind::Drain);
        });
        assert_eq!(lb.wait(), Exit::Stopped);
        assert_eq!(lost.load(Ordering::Acquire), 0, "round {round}");
    }
}

/// Requests until new connections are refused; a connection that was accepted must answer.
fn load(addr: SocketAddr, per_connection: usize, answered: &AtomicUsize, lost: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok(mut stream) = TcpStream::connect_timeout(&addr, PATIENCE) {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for _ in 0..per_connection {
            if let Err(error) = stream.write_all(GET.as_bytes()) {
                eprintln!("sending: {error}");
                lost.fetch_add(1, Ordering::AcqRel);
                return;
            }
            let mut len = 0;
            while !buffer[..len].ends_with(b"hello") {
                match stream.read(&mut buffer[len..]) {
                    Ok(n @ 1..) => len += n,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    end => {
                        eprintln!(
                            "{end:?} after {:?}",
                            String::from_utf8_lossy(&buffer[..len])
                        );
                        lost.fetch_add(1, Ordering::AcqRel);
                        return;
                    }
                }
            }
            answered.fetch_add(1, Ordering::AcqRel);
            if buffer[..len]
                .windows(17)
                .any(|bytes| bytes == b"Connection: close")
            {
                break;
            }
        }
    }
}
