//! One probe: connect, and for HTTP one request, under one deadline.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::config::{Check, Probe, ProxyVersion, ServerAddress};
use crate::generation::Server;
use crate::net::proxy_header::Header;
use crate::state::{CheckCode, LastCheck};
use crate::tls::Origin;

/// Whom to ask, and what.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    /// Where to connect.
    pub(crate) address: ServerAddress,
    /// Host of the request, unless the check names one.
    pub(crate) host: String,
    /// Its settings.
    pub(crate) check: Arc<Check>,
    /// Handshakes with it, as traffic does.
    pub(crate) tls: Option<Secure>,
    /// The PROXY header that comes first.
    pub(crate) proxy_protocol: Option<ProxyVersion>,
}

/// An [`Origin`], compared by identity.
#[derive(Debug, Clone)]
pub(crate) struct Secure(Arc<Origin>);

impl PartialEq for Secure {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Target {
    /// What `check` asks of `server`.
    pub(crate) fn new(server: &Server, check: &Arc<Check>) -> Self {
        let host = match &server.address {
            ServerAddress::Ip(_) | ServerAddress::Name(..) => server.address.to_string(),
            ServerAddress::Unix(_) | ServerAddress::Abstract(_) => "localhost".to_owned(),
        };
        Self {
            address: server.check_address.clone(),
            host,
            tls: server.tls.clone().filter(|_| check.tls).map(Secure),
            proxy_protocol: server.check_proxy_protocol,
            check: Arc::clone(check),
        }
    }
}

/// Asks once, for at most the check's timeout.
pub(crate) async fn probe(target: &Target) -> LastCheck {
    let started = Instant::now();
    let deadline = started + target.check.timeout;
    let outcome = match &target.address {
        ServerAddress::Ip(address) => ask(target, deadline, connect(*address)).await,
        ServerAddress::Unix(path) => ask(target, deadline, UnixStream::connect(path)).await,
        ServerAddress::Abstract(name) => {
            // A leading NUL is how the kernel, and tokio, tell an abstract name.
            let name = format!("\0{name}");
            ask(target, deadline, UnixStream::connect(name)).await
        }
        // In maintenance until it is known, and not checked then.
        ServerAddress::Name(..) => Outcome::of(CheckCode::SockErr),
    };
    let elapsed = started.elapsed().as_millis();
    LastCheck {
        code: outcome.code,
        status: outcome.status,
        errno: outcome.errno,
        duration_ms: u32::try_from(elapsed).unwrap_or(u32::MAX),
    }
}

/// A [`LastCheck`] without its duration.
struct Outcome {
    code: CheckCode,
    status: u16,
    errno: u8,
}

impl Outcome {
    fn of(code: CheckCode) -> Self {
        Self {
            code,
            status: 0,
            errno: 0,
        }
    }
}

async fn ask<S>(
    target: &Target,
    deadline: Instant,
    connect: impl Future<Output = io::Result<S>>,
) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let introduced = async {
        let mut stream = connect.await?;
        if let Some(version) = target.proxy_protocol {
            stream.write_all(Header::own(version).as_bytes()).await?;
        }
        Ok(stream)
    };
    let stream = match timeout_at(deadline, introduced).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return connect_failure(&error),
        Err(_) => return Outcome::of(CheckCode::L4Tout),
    };
    let Some(Secure(origin)) = &target.tls else {
        return ask_plain(target, deadline, stream, CheckCode::L4Ok).await;
    };
    let (config, name) = origin.probe();
    let shaking = TlsConnector::from(config).connect(name, stream);
    match timeout_at(deadline, shaking).await {
        Ok(Ok(stream)) => ask_plain(target, deadline, stream, CheckCode::L6Ok).await,
        Ok(Err(error)) => {
            tracing::debug!(address = %target.address, %error, "TLS handshake of a check failed");
            Outcome::of(CheckCode::L6Rsp)
        }
        Err(_) => Outcome::of(CheckCode::L6Tout),
    }
}

/// What is asked above connect and handshake; `reached` = that is all.
async fn ask_plain<S>(target: &Target, deadline: Instant, stream: S, reached: CheckCode) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Probe::Http { expect, .. } = &target.check.probe else {
        return Outcome::of(reached);
    };
    let Ok(request) = request(target) else {
        return Outcome::of(CheckCode::SockErr);
    };
    match timeout_at(deadline, exchange(stream, request)).await {
        Ok(Ok(status)) => {
            let expected = expect.iter().any(|range| range.contains(&status.as_u16()));
            let code = if expected {
                CheckCode::L7Ok
            } else {
                CheckCode::L7Sts
            };
            Outcome {
                status: status.as_u16(),
                ..Outcome::of(code)
            }
        }
        Ok(Err(_)) => Outcome::of(CheckCode::L7Rsp),
        Err(_) => Outcome::of(CheckCode::L7Tout),
    }
}

/// Connects so that closing resets (as HAProxy's checks do). A probe that closed
/// in order would leave one TIME_WAIT per server and interval: on our side after
/// a connect, 60 s of a port each, on the origin's side after `Connection:
/// close`. A reset leaves none on either, and costs nothing: all that was
/// wanted has been read, and a body that still flows stops at once.
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(true)?;
    socket.set_zero_linger()?;
    let stream = socket.connect(address).await?;
    // A local port without a listener may be the very one the kernel chose for
    // us: then TCP's simultaneous open connects the socket to itself.
    if stream.local_addr()? == address {
        return Err(Errno::CONNREFUSED.into());
    }
    Ok(stream)
}

fn connect_failure(error: &io::Error) -> Outcome {
    let errno = error.raw_os_error().unwrap_or_default();
    // What we lack says nothing about the server.
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
        Errno::ADDRINUSE,
    ];
    let code = if ours.iter().any(|ours| ours.raw_os_error() == errno) {
        CheckCode::SockErr
    } else {
        CheckCode::L4Con
    };
    Outcome {
        errno: u8::try_from(errno).unwrap_or_default(),
        ..Outcome::of(code)
    }
}

fn request(target: &Target) -> http::Result<Request<Empty<Bytes>>> {
    let Probe::Http {
        method,
        path,
        host,
        headers,
        ..
    } = &target.check.probe
    else {
        return Ok(Request::default());
    };
    let mut request = Request::builder()
        .method(method.as_bytes())
        .uri(path.as_str())
        .body(Empty::new())?;
    let fields = request.headers_mut();
    // RFC 9112 section 3.2: a request has a Host, and it comes first.
    let host = host.as_ref().unwrap_or(&target.host);
    fields.insert(HOST, HeaderValue::from_str(host)?);
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        let value = HeaderValue::from_str(value)?;
        if name == HOST || name == CONNECTION {
            fields.insert(name, value);
        } else {
            fields.append(name, value);
        }
    }
    Ok(request)
}

/// Status of the answer; of the rest of it nothing is read but what came along.
async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> hyper::Result<StatusCode>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, mut connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await?;
    let response = sender.send_request(request);
    tokio::pin!(response);
    let mut over = false;
    loop {
        // No task of its own for the connection: when the probe is dropped, all of it is.
        tokio::select! {
            biased;
            response = &mut response => return Ok(response?.status()),
            _ = &mut connection, if !over => over = true,
        }
    }
}

/// Most bytes of an answer's head, as for traffic.
const HEAD_MAX: usize = 60 << 10;

#[cfg(test)]
mod tests {
    use std::net::TcpListener as StdListener;
    use std::path::PathBuf;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    fn http() -> Probe {
        Probe::Http {
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
}
