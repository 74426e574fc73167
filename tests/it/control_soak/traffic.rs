//! Clients that must not notice anything: each sees to it that its answers are its own.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, connect, dawdle};

/// What the background has done so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Numbers handed out.
    numbers: AtomicU64,
    get: AtomicU64,
    post: AtomicU64,
    fresh: AtomicU64,
    sessions: AtomicU64,
    echoes: AtomicU64,
    over: AtomicBool,
}

/// Ends the background when dropped.
#[derive(Debug)]
pub(super) struct Over<'a>(&'a AtomicBool);

/// One end of a connection that carries messages with a Content-Length.
#[derive(Debug)]
pub(super) struct Wire(BufReader<TcpStream>);

#[derive(Debug)]
pub(super) struct Message {
    pub(super) first_line: String,
    pub(super) body: Vec<u8>,
    closes: bool,
}

impl Tally {
    pub(super) fn over_at_the_end(&self) -> Over<'_> {
        Over(&self.over)
    }

    /// A number that nobody had; the first is 1.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The last number handed out.
    pub(super) fn last_number(&self) -> u64 {
        self.numbers.load(Ordering::Acquire)
    }

    pub(super) fn open_sessions(&self) -> u64 {
        self.sessions.load(Ordering::Acquire)
    }

    /// New connections so far.
    pub(super) fn fresh_so_far(&self) -> u64 {
        self.fresh.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Requests on a kept connection, which nobody may close.
    pub(super) fn keep_alive(&self, addr: SocketAddr, failed: &Sender<String>) {
        let mut wire = Wire::over(connect(addr));
        while !self.is_over() {
            let number = self.number();
            let path = if number.is_multiple_of(3) {
                "nodes"
            } else {
                "web"
            };
            let target = format!("/{path}/{number}");
            let (count, answered) = if number.is_multiple_of(4) {
                let body = number.to_string().repeat(number as usize % 2_000);
                (&self.post, wire.ask("POST", &target, body.as_bytes()))
            } else {
                (&self.get, wire.ask("GET", &target, b""))
            };
            count.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = answered {
                let _ = failed.send(format!("kept, {target}: {error}"));
                wire = Wire::over(connect(addr));
            }
            // Two cores also have rlb and the origins to run.
            dawdle(Duration::from_millis(1));
        }
    }

    /// New connections, one request each; one in `every`, late ones at once.
    pub(super) fn fresh(&self, addr: SocketAddr, every: Duration, failed: &Sender<String>) {
        let mut due = Instant::now();
        while !self.is_over() {
            due += every;
            let target = format!("/web/{}", self.number());
            let answered = TcpStream::connect(addr).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                Wire::over(stream).ask("GET", &target, b"")
            });
            self.fresh.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = answered {
                let _ = failed.send(format!("fresh, {target}: {error}"));
            }
            dawdle(due.saturating_duration_since(Instant::now()));
        }
    }

    /// A TCP session that must live until the end.
    pub(super) fn session(&self, addr: SocketAddr, failed: &Sender<String>) {
        let mut stream = connect(addr);
        for turn in 0_u64.. {
            let mut echoed = [0; 8];
            let came = stream
                .write_all(&turn.to_be_bytes())
                .and_then(|()| stream.read_exact(&mut echoed));
            if came.is_err() || echoed != turn.to_be_bytes() {
                let _ = failed.send(format!("session, byte {turn}: {came:?}, {echoed:?}"));
                return;
            }
            if turn == 0 {
                self.sessions.fetch_add(1, Ordering::AcqRel);
            }
            self.echoes.fetch_add(1, Ordering::Relaxed);
            if self.is_over() {
                return;
            }
            dawdle(Duration::from_millis(100));
        }
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Wire {
    pub(super) fn over(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next message, by its Content-Length.
    pub(super) fn read(&mut self) -> Result<Message> {
        let first_line = self.line()?;
        let (mut length, mut closes) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => {
                    length = value.trim().parse().map_err(Error::other)?;
                }
                Some(("connection", value)) => closes |= value.trim() == "close",
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Message {
            first_line,
            body,
            closes,
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    pub(super) fn send(&mut self, start: &str, body: &[u8]) -> Result<()> {
        let head = format!(
            "{start}\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0
            .get_mut()
            .write_all(&[head.as_bytes(), body].concat())
    }

    /// A request, whose answer must bring back its target and body.
    pub(super) fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> Result<()> {
        self.send(&format!("{method} {target} HTTP/1.1"), body)?;
        let answer = self.read()?;
        if !answer.first_line.starts_with("HTTP/1.1 200 ") {
            return Err(Error::other(answer.first_line));
        }
        if answer.body != [target.as_bytes(), body].concat() {
            return Err(Error::other("an answer to another's request"));
        }
        if answer.closes {
            return Err(Error::other("a kept connection is closed"));
        }
        Ok(())
    }
}
