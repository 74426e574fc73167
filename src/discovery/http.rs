//! The HTTP client of the providers: one connection, kept between requests, over
//! TCP, TLS or a Unix socket. Every wait and every body is bounded.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hickory_resolver::TokioResolver;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Failure, FailureKind};
use crate::config::ApiAddress;
use crate::net::AnyStream;

/// Asks one API. Requests are one after the other; what is to run beside them
/// needs a client of its own. A request that is dropped takes its connection
/// along.
#[derive(Debug)]
pub(crate) struct Client {
    address: ApiAddress,
    /// For `https`.
    tls: Option<Arc<rustls::ClientConfig>>,
    /// Left open by the last request.
    idle: Option<Connection>,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// Default GET.
    pub(crate) method: Method,
    /// Path and query, encoded.
    pub(crate) path: String,
    /// Beside Host.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent.
    pub(crate) body: Bytes,
    /// From the first byte of the request to the last of the answer.
    pub(crate) timeout: Duration,
    /// A longer answer is a failure. Default 64 MiB: 500 instances of Consul take
    /// 800 KiB.
    pub(crate) body_max: usize,
    /// About as long as the answer will be, where that is known: it is not moved while
    /// it grows. Default 0.
    pub(crate) body_about: usize,
    /// A kept connection that turns out to be closed costs a second try, on a new
    /// one. Default true; false where a closed connection is news.
    pub(crate) may_repeat: bool,
}

/// One whole answer, of any status.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its fields.
    pub(crate) headers: HeaderMap,
    /// All of its body.
    pub(crate) body: Bytes,
}

/// An answer whose body is still coming; its connection ends with it.
#[derive(Debug)]
pub(crate) struct Streaming {
    /// Head and body.
    pub(crate) response: Response<Incoming>,
    _connection: Connection,
}

#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Client {
    /// Connects with the first request. `tls` is needed for `https` alone.
    pub(crate) fn new(address: ApiAddress, tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        Self {
            address,
            tls,
            idle: None,
        }
    }

    /// Where it asks.
    pub(crate) fn address(&self) -> &ApiAddress {
        &self.address
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// No answer, or not all of it, or too much. A status is none.
    pub(crate) async fn fetch(&mut self, ask: &Ask) -> Result<Answer, Failure> {
        let whole = async {
            let (response, connection) = self.exchange(ask).await?;
            let (head, body) = response.into_parts();
            let body = self.whole(body, ask).await?;
            Ok((head, body, connection))
        };
        let answered = timeout(ask.timeout, whole).await;
        let (head, body, connection) = answered.map_err(|_| self.too_late(ask))??;
        self.idle = Some(connection);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Asks on a connection of its own, and waits for the head of the answer alone.
    ///
    /// # Errors
    /// No answer within the time of `ask`.
    pub(crate) async fn stream(&mut self, ask: &Ask) -> Result<Streaming, Failure> {
        let asked = timeout(ask.timeout, async {
            let connection = self.connect().await?;
            self.send(connection, ask).await
        });
        let asked = asked.await.map_err(|_| self.too_late(ask))?;
        let (response, connection) = asked?;
        Ok(Streaming {
            response,
            _connection: connection,
        })
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<(Response<Incoming>, Connection), Failure> {
        if let Some(connection) = self.idle.take().filter(|c| !c.sender.is_closed()) {
            // It may have been closed under us: then nothing was answered.
            match self.send(connection, ask).await {
                Err(_) if ask.may_repeat => {}
                outcome => return outcome,
            }
        }
        let connection = self.connect().await?;
        self.send(connection, ask).await
    }

    async fn send(
        &self,
        mut connection: Connection,
        ask: &Ask,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        let malformed = |error| Failure::new(FailureKind::Local, format!("bad request: {error}"));
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&ask.path)
            .body(Full::new(ask.body.clone()))
            .map_err(malformed)?;
        let host = HeaderValue::try_from(self.host());
        let host = host.unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        request.headers_mut().insert(HOST, host);
        request.headers_mut().extend(ask.headers.iter().cloned());
        let ready = connection.sender.ready().await;
        ready.map_err(|error| self.broken(&error))?;
        let sent = connection.sender.send_request(request).await;
        let response = sent.map_err(|error| self.broken(&error))?;
        Ok((response, connection))
    }

    /// The Host field: Docker's socket has none, and takes any.
    fn host(&self) -> String {
        match &self.address {
            ApiAddress::Http(host, port) | ApiAddress::Https(host, port) => {
                match host.contains(':') {
                    true => format!("[{host}]:{port}"),
                    false => format!("{host}:{port}"),
                }
            }
            ApiAddress::Unix(_) => "localhost".to_owned(),
        }
    }

    async fn whole(&self, mut body: Incoming, ask: &Ask) -> Result<Bytes, Failure> {
        let most = ask.body_max;
        let mut whole = BytesMut::with_capacity(ask.body_about.min(most));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(&error))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if whole.len() + data.len() > most {
                let message = format!("{}: an answer of more than {most} bytes", self.address);
                return Err(Failure::new(FailureKind::TooLarge, message));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let connected = timeout(CONNECT_MAX, async {
            match &self.address {
                ApiAddress::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    let stream = stream.map_err(|error| unix_failure(path, &error))?;
                    Ok(self.start(Box::new(stream)).await?)
                }
                ApiAddress::Http(host, port) => {
                    let stream = self.dial(host, *port).await?;
                    Ok(self.start(Box::new(stream)).await?)
                }
                ApiAddress::Https(host, port) => {
                    let stream = self.dial(host, *port).await?;
                    Ok(self
                        .start(Box::new(self.secure(host, stream).await?))
                        .await?)
                }
            }
        });
        connected.await.unwrap_or_else(|_| {
            let message = format!("{}: no connection within 5 s", self.address);
            Err(Failure::new(FailureKind::Timeout, message))
        })
    }

    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, Failure> {
        let mut last = None;
        for ip in resolve(host).await? {
            match TcpStream::connect(SocketAddr::new(ip, port)).await {
                Ok(stream) => {
                    // A request is one write; waiting for more only delays it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        let why = last.map_or_else(|| "no address".to_owned(), |error| words(&error));
        let message = format!("{}: {why}", self.address);
        Err(Failure::new(FailureKind::Connect, message))
    }

    async fn secure(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
        let failure =
            |why: String| Failure::new(FailureKind::Tls, format!("{}: {why}", self.address));
        let Some(config) = &self.tls else {
            return Err(failure("no TLS is set up".to_owned()));
        };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| failure(error.to_string()))?;
        let connector = TlsConnector::from(Arc::clone(config));
        let secured = connector.connect(name, stream).await;
        secured.map_err(|error| failure(distrust(&error)))
    }

    async fn start(&self, stream: AnyStream) -> Result<Connection, Failure> {
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| self.broken(&error))?;
        let driver = tokio::task::spawn_local(async move {
            // How it ended is told by the request that is under way.
            let _ = connection.await;
        });
        Ok(Connection { sender, driver })
    }

    fn broken(&self, error: &hyper::Error) -> Failure {
        let kind = match error {
            error if error.is_parse() || error.is_parse_too_large() => FailureKind::Malformed,
            error if error.is_timeout() => FailureKind::Timeout,
            _ => FailureKind::Eof,
        };
        Failure::new(kind, format!("{}: {error}", self.address))
    }

    fn too_late(&self, ask: &Ask) -> Failure {
        let message = format!("{}: no answer within {:?}", self.address, ask.timeout);
        Failure::new(FailureKind::Timeout, message)
    }
}

impl Ask {
    /// GET `path`, with the usual bounds.
    pub(crate) fn get(path: impl Into<String>, timeout: Duration) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            timeout,
            body_max: BODY_MAX,
            body_about: 0,
            may_repeat: true,
        }
    }

    /// PUT `body` to `path`.
    pub(crate) fn put(path: impl Into<String>, body: impl Into<Bytes>, timeout: Duration) -> Self {
        Self {
            method: Method::PUT,
            body: body.into(),
            ..Self::get(path, timeout)
        }
    }

    /// With one more field.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Answer {
    /// The failure a status is, with the first words of the body.
    pub(crate) fn failure(&self, address: &ApiAddress) -> Failure {
        let kind = match self.status.as_u16() {
            401 | 403 => FailureKind::Denied,
            500.. => FailureKind::ServerError,
            _ => FailureKind::Status,
        };
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]);
        let text = text.lines().next().unwrap_or_default().trim();
        let status = self.status.as_u16();
        let message = match text.is_empty() {
            true => format!("{address}: {status}"),
            false => format!("{address}: {status}: {}", text.escape_debug()),
        };
        Failure::new(kind, message)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The addresses of a host. Never getaddrinfo: it blocks a thread.
pub(crate) async fn resolve(host: &str) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    let failure = |why: String| Failure::new(FailureKind::Name, format!("{host}: {why}"));
    // Read anew each time: /etc/resolv.conf may be another by now.
    let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    let resolver = resolver.map_err(|error| failure(error.to_string()))?;
    let found = resolver.lookup_ip(host).await;
    let found = found.map_err(|error| failure(error.to_string()))?;
    Ok(found.iter().collect())
}

/// Why a socket could not be reached, and what to do about it.
fn unix_failure(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    if error.kind() != io::ErrorKind::PermissionDenied {
        return Failure::new(FailureKind::Connect, format!("{shown}: {}", words(error)));
    }
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let owner = rustix::fs::stat(path).map(|stat| {
        let mode = stat.st_mode & 0o7777;
        format!(
            "mode {mode:04o} of uid {} and gid {}",
            stat.st_uid, stat.st_gid
        )
    });
    let owner = owner.unwrap_or_else(|error| error.to_string());
    let message = format!(
        "{shown}: permission denied: the socket has {owner}, rlb runs as uid {} and gid {}; \
         give it the socket's group (in a container: group_add)",
        uid.as_raw(),
        gid.as_raw()
    );
    Failure::new(FailureKind::Denied, message)
}

/// Why a handshake failed, and what to do about it.
fn distrust(error: &io::Error) -> String {
    use rustls::{CertificateError, Error};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match tls {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "its certificate is signed by none of the authorities we trust (Consul: put the \
             one that did into ca_file; Docker: into ca.pem of its certificates)"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// The system's words alone.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Name, connect and handshake together.
const CONNECT_MAX: Duration = Duration::from_secs(5);
const BODY_MAX: usize = 64 << 20;
