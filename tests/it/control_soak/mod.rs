//! One rlb whose backend set changes all the time, in a random order of all that can change
//! it, under load. Every change is verified by its effect, and nobody may notice any.
//!
//! Requests carry numbers, handed out in order. A server that has left must not see a number
//! that was handed out after the change was answered; so it does not matter how late an
//! origin's thread gets to read what had been sent to it before.
//!
//! [`traffic`] is what goes on in the background, [`changes`] what changes. Some seconds;
//! `RLB_SOAK_CHANGES=10000` makes it minutes (in a release build), `RLB_SOAK_SEED` repeats
//! an order.

mod answered;
mod changes;
mod databases;
mod file;
mod traffic;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use changes::{Changes, Kind};
use traffic::{Tally, Wire};

use rustix::process::Signal;

use crate::support::real::{self, Part};
use crate::support::{Origin, Process};

const KEEP_ALIVE_CLIENTS: usize = 4;
const TCP_SESSIONS: usize = 100;
/// Threads that open connections, and what each has to do in a second.
const FRESH_CLIENTS: usize = 4;
const FRESH_RATE: u32 = 550;
/// New connections in a second that a long run has to reach, all clients together.
const FRESH_MIN: u64 = 2_000;
/// How often each kind of change is to be made in a run of 10,000.
const KIND_MIN: usize = 500;
/// What the allocator may be off by in a run too short to level it out.
const SLACK: usize = 1 << 20;
/// Fewer changes than this tell nothing of memory, rates and counts.
const LONG_FROM: usize = 3_000;

#[test]
fn changes_in_any_order_are_noticed_by_nobody() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse::<u64>().expect(name))
    };
    let count = number("RLB_SOAK_CHANGES", 300) as usize;
    let mut random = Random(number("RLB_SOAK_SEED", 7));
    let is_long = count >= LONG_FROM;
    // A short run, or a debug build, has no cores to spare for them.
    let share = if is_long && !cfg!(debug_assertions) {
        1
    } else {
        4
    };
    let every = Duration::from_secs(1) / FRESH_RATE * share;
    let mut deck: Vec<Kind> = Kind::ALL.into_iter().cycle().take(count).collect();
    for i in (1..deck.len()).rev() {
        deck.swap(i, random.below(i as u64 + 1) as usize);
    }

    let tally = Tally::default();
    let (failed, failures) = mpsc::channel();
    let mut changes = Changes::start(&tally, random);
    let (web, db) = (changes.web_addr(), changes.db_addr());
    let begun = Instant::now();
    let (mut early, mut rss, mut rate) = (0, 0, 0);
    let tally = &tally;
    thread::scope(|scope| {
        // Also when a change fails, so that the scope can end.
        let _over = tally.over_at_the_end();
        for _ in 0..KEEP_ALIVE_CLIENTS {
            let failed = failed.clone();
            scope.spawn(move || tally.keep_alive(web, &failed));
        }
        for _ in 0..TCP_SESSIONS {
            let failed = failed.clone();
            scope.spawn(move || tally.session(db, &failed));
        }
        for _ in 0..FRESH_CLIENTS {
            let failed = failed.clone();
            scope.spawn(move || tally.fresh(web, every, &failed));
        }
        changes.wait_for_load(TCP_SESSIONS);
        let wrk = is_long.then(|| Wrk::start(web)).flatten();
        let (since, before) = (Instant::now(), tally.fresh_so_far());
        for (index, kind) in deck.iter().enumerate() {
            changes.make(*kind);
            if let Ok(failure) = failures.try_recv() {
                panic!("at change {index}, {kind:?}: {failure}");
            }
            if index == count / 10 {
                early = changes.resident();
            }
        }
        if let Some(wrk) = wrk {
            wrk.end();
        }
        rss = changes.resident();
        let connections = tally.fresh_so_far() - before;
        rate = connections * 1000 / (since.elapsed().as_millis() as u64).max(1);
    });
    drop(failed);
    let failures: Vec<String> = failures.iter().collect();
    println!("{:?}: {:?}", begun.elapsed(), changes.made());
    println!(
        "{tally:?}, {} failures, {rate} new connections/s",
        failures.len()
    );
    println!("resident: {early} after a tenth, {rss} at the end");
    assert!(failures.is_empty(), "{failures:#?}");
    if is_long {
        let least = KIND_MIN * count / 10_000;
        let made = changes.made();
        assert!(made.len() == Kind::ALL.len() && made.values().all(|made| *made >= least));
        // A debug build is no measure.
        assert!(cfg!(debug_assertions) || rate >= FRESH_MIN, "{rate}");
        let most = early + early / 20 + SLACK;
        assert!(rss <= most, "{rss} bytes resident, {early} after a tenth");
    }
}

/// A client that is not ours, as fast as it can; it sees failures, not wrong answers.
struct Wrk(Process);

impl Wrk {
    fn start(addr: SocketAddr) -> Option<Self> {
        let wrk = real::tool(Part::Wrk)?;
        let url = format!("http://{addr}/wrk/0");
        let process = wrk.start(["-t1", "-c8", "-d1h", "--latency", &url]);
        Some(Self(process))
    }

    #[track_caller]
    fn end(mut self) {
        self.0.signal(Signal::INT);
        self.0.wait_exit();
        let report = self.0.stdout();
        println!("{report}");
        assert!(report.contains("requests in"), "{report}");
        for failure in ["Socket errors", "Non-2xx"] {
            assert!(!report.contains(failure), "{report}");
        }
    }
}

/// A server that answers a request with its target and body.
#[derive(Debug)]
struct Site {
    origin: Origin,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: AtomicU64,
    /// The highest number; 0 before the first.
    last: AtomicU64,
}

impl Site {
    fn open() -> Self {
        let seen = Arc::<Seen>::default();
        let note = Arc::clone(&seen);
        let origin = Origin::raw(move |stream, _| {
            let mut wire = Wire::over(stream);
            while let Ok(request) = wire.read() {
                let target = request.first_line.split(' ').nth(1).unwrap_or_default();
                let number = target.rsplit('/').next().and_then(|text| text.parse().ok());
                let number = number.expect("every request has a number");
                note.requests.fetch_add(1, Ordering::AcqRel);
                note.last.fetch_max(number, Ordering::AcqRel);
                let answer = [target.as_bytes(), &request.body].concat();
                if wire.send("HTTP/1.1 200 OK", &answer).is_err() {
                    return;
                }
            }
        });
        Self { origin, seen }
    }

    fn addr(&self) -> SocketAddr {
        self.origin.addr()
    }

    fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Acquire)
    }

    fn last(&self) -> u64 {
        self.seen.last.load(Ordering::Acquire)
    }
}

/// The same order for the same seed (Vigna's SplitMix64).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
