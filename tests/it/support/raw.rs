//! A client that sends and reads bytes, with a deadline on everything.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::PATIENCE;

/// One end of a connection: a client, or a server that a test plays itself.
#[derive(Debug)]
pub(crate) struct RawClient {
    stream: TcpStream,
    /// Read already, but not yet asked for.
    ahead: Vec<u8>,
}

/// How the peer closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
}

/// A head as it came, without its empty line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head(pub(crate) String);

impl RawClient {
    #[track_caller]
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)
            .unwrap_or_else(|error| panic!("{addr}: {error}"));
        Self::over(stream)
    }

    /// Takes over a connected socket.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout above zero");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a timeout above zero");
        stream.set_nodelay(true).expect("a connected socket");
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the peer takes what is sent");
        self
    }

    /// Sends as far as the peer still takes it; whether it took all.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends as much as goes without the peer reading; how much that was.
    pub(crate) fn send_until_full(&mut self, bytes: &[u8], patience: Duration) -> usize {
        self.stream
            .set_write_timeout(Some(patience))
            .expect("a timeout above zero");
        let mut sent = 0;
        while let Ok(n @ 1..) = self.stream.write(&bytes[sent..]) {
            sent += n;
        }
        self.stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a timeout above zero");
        sent
    }

    /// Closes with RST instead of FIN.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a connected socket");
    }

    /// Sends FIN; the other direction stays open.
    pub(crate) fn finish_sending(&mut self) -> &mut Self {
        self.stream
            .shutdown(Shutdown::Write)
            .expect("a connected socket");
        self
    }

    /// The next head, 1xx included.
    #[track_caller]
    pub(crate) fn read_head(&mut self) -> Head {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = self.ahead.split_off(end + 4);
                let head = std::mem::replace(&mut self.ahead, rest);
                return Head(String::from_utf8_lossy(&head[..end]).into_owned());
            }
            assert!(self.read_more(), "closed within a head: {}", self.seen());
        }
    }

    /// Exactly `n` more bytes.
    #[track_caller]
    pub(crate) fn read_bytes(&mut self, n: usize) -> Vec<u8> {
        while self.ahead.len() < n {
            assert!(
                self.read_more(),
                "closed {} bytes too early: {}",
                n - self.ahead.len(),
                self.seen()
            );
        }
        let rest = self.ahead.split_off(n);
        std::mem::replace(&mut self.ahead, rest)
    }

    /// The same, or `None` where the peer closed before.
    pub(crate) fn try_read_bytes(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.ahead.len() < n {
            if !self.read_more() {
                return None;
            }
        }
        Some(self.read_bytes(n))
    }

    /// A head and its body, by Content-Length or chunked.
    #[track_caller]
    pub(crate) fn read_response(&mut self) -> (Head, Vec<u8>) {
        let head = self.read_head();
        if head.field("transfer-encoding").is_some() {
            let (body, _) = self.read_chunked();
            return (head, body);
        }
        let length = head
            .field("content-length")
            .unwrap_or_else(|| panic!("no length: {}", head.0));
        let body = self.read_bytes(length.parse().expect("a number"));
        (head, body)
    }

    /// A line without its CRLF.
    #[track_caller]
    pub(crate) fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.read_bytes(1));
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).expect("text")
    }

    /// A chunked body, decoded, and its trailer lines.
    #[track_caller]
    pub(crate) fn read_chunked(&mut self) -> (Vec<u8>, Vec<String>) {
        let mut body = Vec::new();
        loop {
            let line = self.read_line();
            let size = usize::from_str_radix(&line, 16)
                .unwrap_or_else(|_| panic!("not the size of a chunk: {line:?}"));
            if size == 0 {
                break;
            }
            body.extend(self.read_bytes(size));
            assert_eq!(self.read_bytes(2), b"\r\n");
        }
        let mut trailers = Vec::new();
        loop {
            match self.read_line() {
                line if line.is_empty() => return (body, trailers),
                line => trailers.push(line),
            }
        }
    }

    /// All that comes until the peer closes, and how it closed.
    #[track_caller]
    pub(crate) fn read_end(&mut self) -> (Vec<u8>, End) {
        loop {
            match self.read_some() {
                None => {}
                Some(end) => return (std::mem::take(&mut self.ahead), end),
            }
        }
    }

    /// Whether nothing has come and the peer has not closed, as far as is known now.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.stream
            .set_nonblocking(true)
            .expect("a connected socket");
        let peeked = self.stream.peek(&mut [0]);
        self.stream
            .set_nonblocking(false)
            .expect("a connected socket");
        self.ahead.is_empty()
            && matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// What was read already, but not asked for.
    pub(crate) fn read_ahead(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ahead)
    }

    /// The same connection once more, to send on another thread.
    pub(crate) fn another(&self) -> Self {
        Self::over(self.stream.try_clone().expect("descriptors left"))
    }

    /// All that comes until the peer closes; a reset counts as closed.
    #[track_caller]
    pub(crate) fn read_until_close(&mut self) -> Vec<u8> {
        while self.read_more() {}
        std::mem::take(&mut self.ahead)
    }

    /// False once the peer has closed.
    #[track_caller]
    fn read_more(&mut self) -> bool {
        self.read_some().is_none()
    }

    /// Reads once; how the peer closed, if it has.
    #[track_caller]
    fn read_some(&mut self) -> Option<End> {
        let mut bytes = [0; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Some(End::Fin),
            Ok(n) => {
                self.ahead.extend_from_slice(&bytes[..n]);
                None
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                Some(End::Reset)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) => panic!("nothing came ({error}) after: {}", self.seen()),
        }
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.ahead).into_owned()
    }
}

impl Head {
    /// Status of a response head.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        let word = self.0.split(' ').nth(1).and_then(|word| word.parse().ok());
        word.unwrap_or_else(|| panic!("no status: {}", self.0))
    }

    pub(crate) fn first_line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// Value of the first field of this name, whatever its case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).into_iter().next()
    }

    /// Values of all fields of this name, in order.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        let lines = self
            .0
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        lines
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}
