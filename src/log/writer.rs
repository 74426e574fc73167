//! The thread that takes records out of the rings and formats them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use super::record::{Record, Taken};
use super::ring::Rings;
use super::sink::{Chunk, Sink};
use super::time::Clock;
use super::{haproxy, json};
use crate::config::{Log, LogFormat, LogTarget};

/// Records wait no longer than this, and a worker's ring has room for what comes
/// meanwhile.
const PERIOD: Duration = Duration::from_millis(20);
/// A chunk of this size is given away; pipes take so much at once.
const CHUNK: usize = 64 << 10;
/// local0.info, as HAProxy logs traffic (RFC 3164 4.1.1).
const TRAFFIC: u8 = 134;

/// One access log.
#[derive(Debug)]
pub(super) struct AccessLog {
    sink: Arc<Sink>,
    config: Log,
    /// Before each line; made anew with each look, since it holds the time.
    head: Vec<u8>,
    chunk: Chunk,
}

/// What control wants of the writer.
#[derive(Debug)]
pub(super) enum Order {
    /// These logs from now on, which it says when what was recorded before is done.
    Write(Vec<AccessLog>, SyncSender<()>),
    /// Take what is there, and end.
    Stop,
}

impl AccessLog {
    pub(super) fn new(sink: Arc<Sink>, config: Log) -> Self {
        Self {
            sink,
            config,
            head: Vec::new(),
            chunk: Chunk::default(),
        }
    }

    fn write(&mut self, record: &Record<'_>, clock: &mut Clock) {
        if self.config.only_errors && record.is_normal() {
            return;
        }
        let out = &mut self.chunk.bytes;
        out.extend_from_slice(&self.head);
        match self.config.format {
            LogFormat::Haproxy => haproxy::line(out, record, clock, self.config.uri_max),
            LogFormat::Json => json::line(out, record, clock, self.config.uri_max),
        }
        out.push(b'\n');
        self.chunk.lines += 1;
        if out.len() >= CHUNK {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.chunk.lines > 0 {
            self.sink.send(std::mem::take(&mut self.chunk));
        }
    }
}

/// What stands before a line at this target: nothing where whoever reads adds a
/// date, else what a syslog daemon wants or would have written.
pub(super) fn head(out: &mut Vec<u8>, log: &Log, priority: u8, now: impl FnOnce(&mut Vec<u8>)) {
    let host = match &log.target {
        LogTarget::Stdout | LogTarget::Stderr => return,
        LogTarget::File(_) if log.format == LogFormat::Json => return,
        LogTarget::File(_) => {
            now(out);
            out.push(b' ');
            let node = rustix::system::uname();
            out.extend_from_slice(node.nodename().to_bytes());
            b" "
        }
        // As HAProxy sends it: the receiver knows whose datagram it is.
        LogTarget::SyslogUnix(_) | LogTarget::SyslogUdp(_) => {
            out.extend_from_slice(format!("<{priority}>").as_bytes());
            now(out);
            b" "
        }
    };
    out.extend_from_slice(host);
    out.extend_from_slice(format!("{}[{}]: ", log.tag, std::process::id()).as_bytes());
}

/// Runs until it is told to stop.
pub(super) fn run(rings: &Rings, origin: Instant, orders: &Receiver<Order>) {
    let mut logs: Vec<AccessLog> = Vec::new();
    let mut clock = Clock::new();
    let mut taken = Taken::default();
    loop {
        let order = orders.try_recv();
        // First of all what was recorded for the logs of before.
        look(rings, origin, &mut logs, &mut clock, &mut taken);
        match order {
            Ok(Order::Write(new, taken)) => {
                logs = new;
                // Who gave the order may have lost patience.
                let _ = taken.try_send(());
                continue;
            }
            Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {}
        }
        // An order or a ring that fills wakes us.
        match rings.is_wanted() {
            true => std::thread::park_timeout(PERIOD),
            false => std::thread::park(),
        }
    }
}

fn look(
    rings: &Rings,
    origin: Instant,
    logs: &mut [AccessLog],
    clock: &mut Clock,
    taken: &mut Taken,
) {
    clock.correct(origin);
    for log in &mut *logs {
        log.head.clear();
        head(&mut log.head, &log.config, TRAFFIC, |out| clock.syslog(out));
    }
    rings.drain(taken, |taken| {
        let record = taken.record();
        for log in &mut *logs {
            log.write(&record, clock);
        }
    });
    for log in logs {
        log.flush();
    }
}
