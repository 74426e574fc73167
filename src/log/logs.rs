//! Control's end: which logs there are.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::event::{EventLog, Route};
use super::ring::Rings;
use super::sink::Sink;
use super::writer::{self, AccessLog, Order};
use crate::config::{Log, LogTarget, LogWhat};

/// At the end of the process a target gets this long for what waits.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The writer takes other logs within this, however busy the machine.
const TAKE_MAX: Duration = Duration::from_secs(1);

/// The logs of a process.
#[derive(Debug)]
pub(crate) struct Logs {
    rings: Arc<Rings>,
    events: EventLog,
    /// Zero of the process's clock.
    origin: Instant,
    current: Vec<Log>,
    sinks: HashMap<LogTarget, Arc<Sink>>,
    /// Made when the first access log is.
    writer: Option<Writer>,
    /// Lines that were lost at any target.
    lost: Arc<AtomicU64>,
    /// Cloned by each target's thread: disconnected when all have ended.
    done: Sender<()>,
    all_done: Receiver<()>,
}

#[derive(Debug)]
struct Writer {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Logs {
    /// None yet. `origin` is the zero of the workers' clocks.
    pub(crate) fn new(rings: Arc<Rings>, events: EventLog, origin: Instant) -> Self {
        let (done, all_done) = channel();
        Self {
            rings,
            events,
            origin,
            current: Vec::new(),
            sinks: HashMap::new(),
            writer: None,
            lost: Arc::default(),
            done,
            all_done,
        }
    }

    /// Makes the logs these. Targets that stay are not touched; what was recorded
    /// for one that goes is still written.
    ///
    /// # Errors
    /// The system refuses a thread; the logs are as before.
    pub(crate) fn reconcile(&mut self, wanted: &[Log]) -> io::Result<()> {
        if self.current == wanted {
            return Ok(());
        }
        let mut sinks: HashMap<LogTarget, Arc<Sink>> = HashMap::new();
        for log in wanted {
            if sinks.contains_key(&log.target) {
                continue;
            }
            let sink = match self.sinks.get(&log.target) {
                Some(sink) => Arc::clone(sink),
                None => Arc::new(Sink::start(&log.target, &self.lost, self.done.clone())?),
            };
            sinks.insert(log.target.clone(), sink);
        }
        let of = |what| {
            let those = wanted.iter().filter(move |log| log.what == what);
            those.map(|log| (Arc::clone(&sinks[&log.target]), log.clone()))
        };
        let access: Vec<_> = of(LogWhat::Access)
            .map(|(sink, log)| AccessLog::new(sink, log))
            .collect();
        let events = of(LogWhat::Events).map(|(sink, log)| Route::new(sink, log));
        self.events.route(events.collect());
        let uri_max = wanted.iter().filter(|log| log.what == LogWhat::Access);
        let uri_max = uri_max.map(|log| log.uri_max).max();
        if uri_max.is_some() || self.writer.is_some() {
            let (taken, is_taken) = sync_channel(1);
            self.writer()?.order(Order::Write(access, taken));
            // Without this the first records would find it with the logs of before, or
            // none. It waits for nobody but its turn on a core.
            let _ = is_taken.recv_timeout(TAKE_MAX);
        }
        // Behind the order, so that no record finds the writer asleep for good.
        self.rings.want(uri_max.unwrap_or(0));
        if let Some(writer) = &self.writer {
            writer.thread.thread().unpark();
        }
        self.sinks = sinks;
        self.current = wanted.to_vec();
        Ok(())
    }

    fn writer(&mut self) -> io::Result<&Writer> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.start_writer()?,
        };
        Ok(self.writer.insert(writer))
    }

    fn start_writer(&self) -> io::Result<Writer> {
        let (orders, orders_in) = channel();
        let (rings, origin) = (Arc::clone(&self.rings), self.origin);
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || writer::run(&rings, origin, &orders_in))?;
        self.rings.set_writer(thread.thread().clone());
        Ok(Writer { orders, thread })
    }

    /// Opens every target again: files may have been rotated.
    pub(crate) fn reopen(&self) {
        for sink in self.sinks.values() {
            sink.reopen();
        }
    }

    /// Records and lines that were lost, of all workers and targets.
    pub(crate) fn lost(&self) -> u64 {
        self.rings.lost() + self.lost.load(Ordering::Relaxed)
    }

    /// Writes what waits. Takes a moment, and [`LAST_WORDS`] where a target hangs.
    pub(crate) fn finish(mut self) {
        self.rings.want(0);
        if let Some(writer) = self.writer.take() {
            writer.order(Order::Stop);
            // It waits for nobody; an error is its panic, which was told of.
            let _ = writer.thread.join();
        }
        self.events.route(Vec::new());
        self.sinks.clear();
        drop(self.done);
        // Nobody sends: it ends when the last thread has, or too late.
        let _ = self.all_done.recv_timeout(LAST_WORDS);
    }
}

impl Writer {
    fn order(&self, order: Order) {
        // It ends only when it is told to, or by a panic that was told of.
        let _ = self.orders.send(order);
        self.thread.thread().unpark();
    }
}
