use std::net::TcpListener as StdListener;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UnixListener};

use super::*;

fn http() -> Probe {
    Probe::Http {
        protocol: Protocol::Http1,
        method: "HEAD".to_owned(),
        path: "/".to_owned(),
        host: None,
        headers: Vec::new(),
        expect: vec![200..=399],
    }
}

fn target(address: ServerAddress, probe: Probe) -> Target {
    Target {
        host: match &address {
            ServerAddress::Ip(address) => address.to_string(),
            _ => "localhost".to_owned(),
        },
        address,
        check: Arc::new(Check {
            probe,
            timeout: Duration::from_secs(20),
            ..Check::default()
        }),
        tls: None,
        proxy_protocol: None,
    }
}

fn with_timeout(mut target: Target, timeout: Duration) -> Target {
    let check = (*target.check).clone();
    target.check = Arc::new(Check { timeout, ..check });
    target
}

/// An origin that reads one head, writes `answer` and closes; with what it read.
async fn origin(
    bind: &str,
    answer: &'static [u8],
) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind(bind).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap() == 0 {
                break;
            }
        }
        stream.write_all(answer).await.unwrap();
        String::from_utf8(head).unwrap()
    };
    #[expect(clippy::disallowed_methods, reason = "an origin of a test")]
    let task = tokio::spawn(task);
    (address, task)
}

async fn code_of(answer: &'static [u8]) -> (CheckCode, u16) {
    let (address, origin) = origin("127.0.0.1:0", answer).await;
    let check = probe(&target(ServerAddress::Ip(address), http())).await;
    origin.await.unwrap();
    (check.code, check.status)
}

#[tokio::test]
async fn statuses_are_judged_by_what_is_expected() {
    let ok: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n";
    assert_eq!(code_of(ok).await, (CheckCode::L7Ok, 200));
    let old: &[u8] = b"HTTP/1.0 302 Found\r\n\r\n";
    assert_eq!(code_of(old).await, (CheckCode::L7Ok, 302));
    let hints: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(code_of(hints).await, (CheckCode::L7Ok, 204));
    let error: &[u8] = b"HTTP/1.1 500 Oops\r\n\r\n";
    assert_eq!(code_of(error).await, (CheckCode::L7Sts, 500));
}

#[tokio::test]
async fn garbage_and_silent_close_are_invalid_responses() {
    assert_eq!(code_of(b"SSH-2.0-x\r\n\r\n").await.0, CheckCode::L7Rsp);
    assert_eq!(code_of(b"HTTP/1.1 OK\r\n\r\n").await.0, CheckCode::L7Rsp);
    assert_eq!(code_of(b"HTTP/1.1 20").await.0, CheckCode::L7Rsp);
    assert_eq!(code_of(b"").await.0, CheckCode::L7Rsp);
}

#[tokio::test]
async fn endless_head_is_an_invalid_response() {
    static ENDLESS: [u8; 200_000] = {
        let mut head = [b'x'; 200_000];
        let (mut i, start) = (0, b"HTTP/1.1 200 OK\r\nx: ");
        while i < start.len() {
            head[i] = start[i];
            i += 1;
        }
        head
    };
    let (address, _origin) = origin("127.0.0.1:0", &ENDLESS).await;
    let check = probe(&target(ServerAddress::Ip(address), http())).await;
    assert_eq!(check.code, CheckCode::L7Rsp);
}

#[tokio::test]
async fn request_is_what_the_file_says() {
    let (address, origin) = origin("[::1]:0", b"HTTP/1.1 418 I'm a teapot\r\n\r\n").await;
    let ask = Probe::Http {
        protocol: Protocol::Http1,
        method: "GET".to_owned(),
        path: "/up?a=b".to_owned(),
        host: Some("demo.example.com".to_owned()),
        headers: vec![("x-a".to_owned(), "1".to_owned())],
        expect: vec![200..=200, 418..=418],
    };
    let check = probe(&target(ServerAddress::Ip(address), ask)).await;
    assert_eq!((check.code, check.status), (CheckCode::L7Ok, 418));
    assert_eq!(
        origin.await.unwrap(),
        "GET /up?a=b HTTP/1.1\r\nhost: demo.example.com\r\nconnection: close\r\nx-a: 1\r\n\r\n"
    );
}

#[tokio::test]
async fn host_is_the_address_by_default() {
    let (address, origin) = origin("127.0.0.1:0", b"HTTP/1.1 200 OK\r\n\r\n").await;
    probe(&target(ServerAddress::Ip(address), http())).await;
    let head = origin.await.unwrap();
    assert!(head.starts_with("HEAD / HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
}

#[tokio::test]
async fn refused_is_layer_four_with_its_errno() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = ServerAddress::Ip(socket.local_addr().unwrap());
    for ask in [Probe::Tcp, http()] {
        let check = probe(&target(address.clone(), ask)).await;
        assert_eq!((check.code, check.errno), (CheckCode::L4Con, 111));
    }
}

#[tokio::test]
async fn accepted_but_silent_is_a_layer_seven_timeout_and_passes_as_tcp() {
    // The kernel accepts; nobody ever reads.
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = ServerAddress::Ip(listener.local_addr().unwrap());
    let silent = with_timeout(target(address.clone(), http()), Duration::from_millis(50));
    let check = probe(&silent).await;
    assert_eq!(check.code, CheckCode::L7Tout);
    assert!(check.duration_ms >= 50);
    let check = probe(&target(address, Probe::Tcp)).await;
    assert_eq!(check.code, CheckCode::L4Ok);
}

#[tokio::test]
async fn full_backlog_is_a_layer_four_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // A backlog of 0 holds one connection; further SYNs are dropped.
    let _first = TcpStream::connect(address).await.unwrap();
    let target = target(ServerAddress::Ip(address), Probe::Tcp);
    let check = probe(&with_timeout(target, Duration::from_millis(50))).await;
    assert_eq!(check.code, CheckCode::L4Tout);
}

#[tokio::test]
async fn unix_sockets_are_asked_too() {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("origin.sock");
    let missing = probe(&target(ServerAddress::Unix(path.clone()), Probe::Tcp)).await;
    assert_eq!((missing.code, missing.errno), (CheckCode::L4Con, 2));
    let _listener = UnixListener::bind(&path).unwrap();
    let check = probe(&target(ServerAddress::Unix(path), Probe::Tcp)).await;
    assert_eq!(check.code, CheckCode::L4Ok);
    let name = format!("rlb-probe-{}", std::process::id());
    let _listener = UnixListener::bind(format!("\0{name}")).unwrap();
    let check = probe(&target(ServerAddress::Abstract(name), Probe::Tcp)).await;
    assert_eq!(check.code, CheckCode::L4Ok);
}

#[tokio::test]
async fn probe_resets_and_leaves_no_time_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = ServerAddress::Ip(listener.local_addr().unwrap());
    probe(&target(address, Probe::Tcp)).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn our_own_shortages_are_socket_errors() {
    for errno in [Errno::MFILE, Errno::ADDRNOTAVAIL] {
        let outcome = connect_failure(&errno.into());
        assert_eq!(outcome.code, CheckCode::SockErr);
    }
    let outcome = connect_failure(&Errno::HOSTUNREACH.into());
    assert_eq!((outcome.code, outcome.errno), (CheckCode::L4Con, 113));
}
