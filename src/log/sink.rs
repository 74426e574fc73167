//! One thread for each target: the only place that waits for a disk, a pipe or
//! the network.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::config::LogTarget;

/// Chunks that may wait for a target: 4 MiB, some 20,000 lines.
const CHUNKS_MAX: usize = 64;
/// A target that could not be opened is tried again this often.
const RETRY: Duration = Duration::from_secs(1);

/// Lines on their way, each with its end.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

/// The door to a target. When the last one is dropped, what waits is written and
/// the thread ends.
#[derive(Debug)]
pub(super) struct Sink {
    chunks: SyncSender<Option<Chunk>>,
    /// The target is to be opened again. Control sets, the thread takes.
    reopen: Arc<AtomicBool>,
    /// Lines that were lost at any target.
    lost: Arc<AtomicU64>,
}

impl Sink {
    /// Starts the thread; it drops `done` when it ends.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(
        target: &LogTarget,
        lost: &Arc<AtomicU64>,
        done: Sender<()>,
    ) -> io::Result<Self> {
        let (chunks, waiting) = sync_channel(CHUNKS_MAX);
        let reopen = Arc::new(AtomicBool::new(false));
        let mut writer = Writer {
            target: target.clone(),
            out: None,
            failed: None,
            reopen: Arc::clone(&reopen),
            lost: Arc::clone(lost),
        };
        std::thread::Builder::new()
            .name("log-target".into())
            .spawn(move || {
                writer.run(&waiting);
                drop(done);
            })?;
        let lost = Arc::clone(lost);
        Ok(Self {
            chunks,
            reopen,
            lost,
        })
    }

    /// Gives lines to the target; without room they are lost and counted.
    pub(super) fn send(&self, chunk: Chunk) {
        let lines = chunk.lines;
        if self.chunks.try_send(Some(chunk)).is_err() {
            self.lost.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// A rotated file is opened anew before the next line.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
        // Wakes a thread that has nothing to write; one that has looks by itself.
        let _ = self.chunks.try_send(None);
    }
}

struct Writer {
    target: LogTarget,
    out: Option<Out>,
    /// When opening or writing failed last; it was said then.
    failed: Option<Instant>,
    reopen: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

enum Out {
    Stream(File),
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Writer {
    fn run(&mut self, waiting: &Receiver<Option<Chunk>>) {
        // At once: a file that cannot be opened is told of before it is needed.
        self.open();
        for chunk in waiting {
            if self.reopen.swap(false, Ordering::Relaxed) {
                self.out = None;
                self.failed = None;
                self.open();
            }
            let Some(chunk) = chunk else { continue };
            if self.out.is_none() && self.failed.is_none_or(|at| at.elapsed() >= RETRY) {
                self.open();
            }
            let unwritten = match &self.out {
                None => chunk.lines,
                Some(out) => match out.write(&chunk) {
                    Ok(()) => 0,
                    Err((error, unwritten)) => {
                        self.out = None;
                        self.fail(&error, "write to");
                        unwritten
                    }
                },
            };
            self.lost.fetch_add(unwritten, Ordering::Relaxed);
        }
    }

    fn open(&mut self) {
        match Out::open(&self.target) {
            Ok(out) => {
                if self.failed.take().is_some() {
                    tracing::info!(target = %self.target, "the log is written again");
                }
                self.out = Some(out);
            }
            Err(error) => self.fail(&error, "open"),
        }
    }

    /// Said once, until it works again.
    fn fail(&mut self, error: &io::Error, what: &str) {
        if self.failed.replace(Instant::now()).is_none() {
            let target = &self.target;
            let sentence = format!(
                "cannot {what} the log {target}: {error}; it is tried again each second, and until then its lines are lost"
            );
            tracing::error!("{sentence}");
            // The events may be what it cannot write.
            let _ = writeln!(io::stderr(), "{sentence}");
        }
    }
}

impl Out {
    fn open(target: &LogTarget) -> io::Result<Self> {
        let stream = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().map(File::from);
        match target {
            // Not through std's lock: a terminal that hangs must hold nobody else.
            LogTarget::Stdout => stream(&io::stdout()).map(Self::Stream),
            LogTarget::Stderr => stream(&io::stderr()).map(Self::Stream),
            LogTarget::File(path) => {
                let mut options = OpenOptions::new();
                // Clients' addresses are nobody else's business.
                options.create(true).append(true).mode(0o640);
                options.open(path).map(Self::Stream)
            }
            LogTarget::SyslogUnix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
            LogTarget::SyslogUdp(to) => {
                let any = if to.starts_with('[') {
                    "[::]:0"
                } else {
                    "0.0.0.0:0"
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Ok(Self::Udp(socket))
            }
        }
    }

    /// # Errors
    /// Why, and how many lines were not written.
    fn write(&self, chunk: &Chunk) -> Result<(), (io::Error, u64)> {
        match self {
            Self::Stream(file) => {
                let mut file = file;
                // Part of it may stand there; which lines, nobody knows.
                file.write_all(&chunk.bytes)
                    .map_err(|error| (error, chunk.lines))
            }
            Self::Unix(socket) => datagrams(chunk, |line| socket.send(line)),
            Self::Udp(socket) => datagrams(chunk, |line| match socket.send(line) {
                // The answer to an earlier one: nobody listened then.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => socket.send(line),
                sent => sent,
            }),
        }
    }
}

/// One for each line, without its end.
fn datagrams(
    chunk: &Chunk,
    send: impl Fn(&[u8]) -> io::Result<usize>,
) -> Result<(), (io::Error, u64)> {
    let lines = chunk.bytes.split(|b| *b == b'\n');
    let mut left = chunk.lines;
    for line in lines.filter(|line| !line.is_empty()) {
        send(line).map_err(|error| (error, left))?;
        left = left.saturating_sub(1);
    }
    Ok(())
}
