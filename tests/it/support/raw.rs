//! A client that sends and reads bytes, with a deadline on everything.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

/// One client connection.
#[derive(Debug)]
pub(crate) struct RawClient {
    stream: TcpStream,
    /// Read already, but not yet asked for.
    ahead: Vec<u8>,
}

/// A head as it came, without its empty line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head(pub(crate) String);

impl RawClient {
    #[track_caller]
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)
            .unwrap_or_else(|error| panic!("{addr}: {error}"));
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

    /// A head and the body its Content-Length announces.
    #[track_caller]
    pub(crate) fn read_response(&mut self) -> (Head, Vec<u8>) {
        let head = self.read_head();
        let length = head
            .field("content-length")
            .unwrap_or_else(|| panic!("no length: {}", head.0));
        let body = self.read_bytes(length.parse().expect("a number"));
        (head, body)
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
        let mut bytes = [0; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(n) => {
                self.ahead.extend_from_slice(&bytes[..n]);
                true
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                false
            }
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
