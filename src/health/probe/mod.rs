//! One probe: connect, and for HTTP and gRPC one request, under one deadline.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::http2;
use crate::config::{Check, Probe, Protocol, ProxyVersion, ServerAddress};
use crate::generation::Server;
use crate::net::AnyStream;
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
            tls: server.check_tls.clone().filter(|_| check.tls).map(Secure),
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
    S: AsyncRead + AsyncWrite + Unpin + 'static,
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
        return ask_plain(target, deadline, Box::new(stream), CheckCode::L4Ok).await;
    };
    let (config, name) = origin.probe(speaks_http2(&target.check.probe));
    let shaking = TlsConnector::from(config).connect(name, stream);
    match timeout_at(deadline, shaking).await {
        Ok(Ok(stream)) => ask_plain(target, deadline, Box::new(stream), CheckCode::L6Ok).await,
        Ok(Err(error)) => {
            tracing::debug!(address = %target.address, %error, "TLS handshake of a check failed");
            Outcome::of(CheckCode::L6Rsp)
        }
        Err(_) => Outcome::of(CheckCode::L6Tout),
    }
}

/// What is asked above connect and handshake; `reached` = that is all.
async fn ask_plain(
    target: &Target,
    deadline: Instant,
    stream: AnyStream,
    reached: CheckCode,
) -> Outcome {
    if target.check.probe == Probe::Tcp {
        return Outcome::of(reached);
    }
    match timeout_at(deadline, ask_request(target, stream)).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::of(CheckCode::L7Tout),
    }
}

/// One request of whatever kind, and what its answer says.
async fn ask_request(target: &Target, stream: AnyStream) -> Outcome {
    let answered = match &target.check.probe {
        Probe::Tcp => return Outcome::of(CheckCode::L4Ok),
        Probe::Grpc { service, host } => {
            let host = host.as_ref().unwrap_or(&target.host);
            match http2::health_request(scheme(target), host) {
                Ok(request) => http2::is_serving(stream, request, service).await.ok(),
                Err(_) => return Outcome::of(CheckCode::SockErr),
            }
        }
        Probe::Http {
            protocol, expect, ..
        } => {
            let Ok(request) = request(target) else {
                return Outcome::of(CheckCode::SockErr);
            };
            let status = match protocol {
                Protocol::Http1 => exchange(stream, request).await.ok(),
                Protocol::Http2 => match http2::from_http1(request, scheme(target)) {
                    Ok(request) => http2::status(stream, request).await.ok(),
                    Err(_) => return Outcome::of(CheckCode::SockErr),
                },
            };
            let passes = |status: u16| expect.iter().any(|range| range.contains(&status));
            status.map(|status| (status, passes(status.as_u16())))
        }
    };
    let Some((status, passes)) = answered else {
        return Outcome::of(CheckCode::L7Rsp);
    };
    Outcome {
        status: status.as_u16(),
        ..Outcome::of(match passes {
            true => CheckCode::L7Ok,
            false => CheckCode::L7Sts,
        })
    }
}

fn speaks_http2(probe: &Probe) -> bool {
    match probe {
        Probe::Tcp => false,
        Probe::Grpc { .. } => true,
        Probe::Http { protocol, .. } => *protocol == Protocol::Http2,
    }
}

fn scheme(target: &Target) -> &'static str {
    if target.tls.is_some() {
        "https"
    } else {
        "http"
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

fn request(target: &Target) -> http::Result<Request<Full<Bytes>>> {
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
        .body(Full::default())?;
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
async fn exchange(stream: AnyStream, request: Request<Full<Bytes>>) -> hyper::Result<StatusCode> {
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
mod tests;
