//! A server that answers as a test tells it to, and remembers what it was asked.

use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use super::{Head, free_addr};
use log::Log;

/// An origin, listening until it is dropped.
#[derive(Debug)]
pub(crate) struct Origin {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) head: Head,
    /// Raw: chunked bodies with their framing.
    pub(crate) body: Vec<u8>,
    /// Number of its connection, from 0.
    pub(crate) connection: usize,
}

/// What an origin does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Sends these bytes and reads on.
    Keep(Vec<u8>),
    /// Sends these bytes (perhaps none) and closes.
    Close(Vec<u8>),
    /// Says nothing, and keeps the connection until the origin or the peer ends.
    Silence,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    connections: AtomicUsize,
    log: Log,
}

impl Origin {
    /// One that parses requests and asks `answer` for each.
    pub(crate) fn answering(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::answering_at(free_addr(), answer)
    }

    /// Like [`Origin::answering`] on a given address: for one that comes back.
    pub(crate) fn answering_at(
        addr: SocketAddr,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::serving(addr, move |mut stream, connection, log| {
            while let Some(request) = read_request(&mut stream, connection) {
                log.push(&request);
                match answer(&request) {
                    Answer::Keep(bytes) if stream.write_all(&bytes).is_ok() => {}
                    Answer::Keep(_) => return,
                    Answer::Close(bytes) => return drop(stream.write_all(&bytes)),
                    Answer::Silence => while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {},
                }
            }
        })
    }

    /// One that answers every request with 200 and this body, on kept connections.
    pub(crate) fn ok(body: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let whole = format!("{head}{body}");
        Self::answering(move |request| {
            let bytes = if request.head.0.starts_with("HEAD ") {
                &head
            } else {
                &whole
            };
            Answer::Keep(bytes.clone().into_bytes())
        })
    }

    /// One that hands each connection, with its number, to `serve` on a thread of its own;
    /// it is closed when `serve` returns.
    pub(crate) fn raw(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::raw_at(free_addr(), serve)
    }

    /// Like [`Origin::raw`] on a given address: for one that comes back.
    pub(crate) fn raw_at(
        addr: SocketAddr,
        serve: impl Fn(TcpStream, usize) + Send + Sync + 'static,
    ) -> Self {
        Self::serving(addr, move |stream, connection, _| serve(stream, connection))
    }

    fn serving(
        addr: SocketAddr,
        serve: impl Fn(TcpStream, usize, &Log) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
        let addr = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let (serve, state) = (Arc::new(serve), Arc::clone(&shared));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if state.stopping.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = state.connections.fetch_add(1, Ordering::AcqRel);
                state
                    .log
                    .opened(number, stream.try_clone().expect("descriptors left"));
                let (serve, state) = (Arc::clone(&serve), Arc::clone(&state));
                thread::spawn(move || {
                    serve(stream, number, &state.log);
                    state.log.served(number);
                });
            }
        });
        Self {
            addr,
            shared,
            accepting: Some(accepting),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Requests read so far, in order.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.log.requests()
    }
}

impl Drop for Origin {
    /// Stops listening and closes all connections, as a killed server does.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.addr);
        let _ = self.accepting.take().map(JoinHandle::join);
        self.shared.log.close_all();
    }
}

/// What comes up to and with `end`; byte by byte, so that nothing behind it is read ahead.
///
/// # Errors
/// Those of the stream, which may end before.
pub(crate) fn read_until(stream: &mut impl Read, end: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    Ok(bytes)
}

/// The next request; `None` at the end of the connection.
fn read_request(stream: &mut impl Read, connection: usize) -> Option<Request> {
    let mut head = read_until(stream, b"\r\n\r\n").ok()?;
    head.truncate(head.len() - 4);
    let head = Head(String::from_utf8_lossy(&head).into_owned());
    let mut body = Vec::new();
    if let Some(length) = head.field("content-length") {
        body = vec![0; length.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
    } else if head.field("transfer-encoding").is_some() {
        loop {
            let line = read_until(stream, b"\r\n").ok()?;
            let digits = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(digits.trim().split(';').next()?, 16).ok()?;
            body.extend_from_slice(&line);
            if size == 0 {
                // Trailers, if any, and the empty line.
                while !body.ends_with(b"\r\n\r\n") {
                    body.extend(read_until(stream, b"\r\n").ok()?);
                }
                break;
            }
            let start = body.len();
            body.resize(start + size + 2, 0);
            stream.read_exact(&mut body[start..]).ok()?;
        }
    }
    Some(Request {
        head,
        body,
        connection,
    })
}

#[expect(clippy::disallowed_types, reason = "tests may lock")]
mod log {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::{Request, Shutdown, TcpStream};

    /// What an origin has seen, and the connections it serves.
    #[derive(Debug, Default)]
    pub(crate) struct Log {
        requests: Mutex<Vec<Request>>,
        open: Mutex<HashMap<usize, TcpStream>>,
    }

    impl Log {
        pub(super) fn push(&self, request: &Request) {
            self.requests.lock().unwrap().push(request.clone());
        }

        pub(super) fn requests(&self) -> Vec<Request> {
            self.requests.lock().unwrap().clone()
        }

        pub(super) fn opened(&self, connection: usize, stream: TcpStream) {
            self.open.lock().unwrap().insert(connection, stream);
        }

        /// Lets go of the last descriptor: only now FIN (or with SO_LINGER 0, RST) goes out.
        pub(super) fn served(&self, connection: usize) {
            self.open.lock().unwrap().remove(&connection);
        }

        pub(super) fn close_all(&self) {
            for (_, stream) in self.open.lock().unwrap().drain() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}
