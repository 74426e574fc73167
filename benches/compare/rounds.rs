//! The measurement: work by work, round by round, every proxy once in each round.

use std::time::{Duration, Instant};

use crate::args::Args;
use crate::load::{self, Seen};
use crate::peer::{Kind, Peer, Running, Site};
use crate::stats::Spread;
use crate::work::Work;
use crate::{Result, host, origin};

/// One proxy, one work, one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// CPU of the proxy per request, µs.
    pub(crate) cpu_us: f64,
    pub(crate) seen: Seen,
    /// CPU by `stat` over CPU by `schedstat`: 1.0 where the two clocks agree.
    pub(crate) clocks: f64,
    /// Share of the proxy's core that others took meanwhile.
    pub(crate) foreign: f64,
}

/// All that a run has measured.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Kind and version, in the order of a round.
    pub(crate) peers: Vec<(Kind, String)>,
    pub(crate) rows: Vec<Row>,
    pub(crate) load_version: String,
    /// Load average of the last minute before the start.
    pub(crate) load_before: String,
}

/// The samples of one work.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) work: &'static Work,
    /// By proxy that can do it: all rounds, the first included.
    samples: Vec<(Kind, Vec<Sample>)>,
}

pub(crate) fn measure(
    args: &Args,
    site: &Site<'_>,
    peers: Vec<Peer>,
    works: &[&'static Work],
) -> Result<Outcome> {
    let load_version = load::version()?;
    let load_before = std::fs::read_to_string("/proc/loadavg")?
        .split(' ')
        .next()
        .unwrap_or("?")
        .to_owned();
    let _origin = origin::start(site)?;
    let running = peers
        .into_iter()
        .map(|peer| peer.start(site))
        .collect::<Result<Vec<Running>>>()?;
    for work in works {
        for proxy in running.iter().filter(|proxy| proxy.peer.can(work)) {
            proxy.verify(site, work)?;
        }
    }

    let mut progress = Progress::new(args, works, &running);
    let mut rows = Vec::new();
    for &work in works {
        let able: Vec<&Running> = running
            .iter()
            .filter(|proxy| proxy.peer.can(work))
            .collect();
        let mut samples: Vec<(Kind, Vec<Sample>)> = able
            .iter()
            .map(|proxy| (proxy.peer.kind, Vec::new()))
            .collect();
        for round in 1..=args.rounds() {
            for (proxy, (_, samples)) in able.iter().zip(&mut samples) {
                let sample = one(site, proxy, work, args.seconds())?;
                progress.step(work, round, proxy.peer.kind, &sample);
                samples.push(sample);
            }
        }
        rows.push(Row { work, samples });
    }
    let peers = running
        .iter()
        .map(|proxy| (proxy.peer.kind, proxy.peer.version.clone()))
        .collect();
    Ok(Outcome {
        peers,
        rows,
        load_version,
        load_before,
    })
}

fn one(site: &Site<'_>, proxy: &Running, work: &Work, seconds: u32) -> Result<Sample> {
    let core = site.cores.proxy;
    let (start, before, busy_before) = (Instant::now(), proxy.process.cpu()?, host::busy_ns(core)?);
    let seen = load::run(site, work, proxy.peer.address(work), seconds)?;
    let (after, busy_after) = (proxy.process.cpu()?, host::busy_ns(core)?);
    if seen.requests == 0 {
        return Err(format!(
            "{}: no request of {} was answered",
            proxy.peer.kind.name(),
            work.title
        )
        .into());
    }
    let ns = (after.ns - before.ns) as f64;
    let foreign_ns = (busy_after - busy_before) as f64 - ns;
    Ok(Sample {
        cpu_us: ns / 1e3 / seen.requests as f64,
        seen,
        clocks: (after.ticks_ns - before.ticks_ns) as f64 / ns,
        foreign: (foreign_ns / start.elapsed().as_nanos() as f64).max(0.0),
    })
}

impl Row {
    /// The rounds that count: without the first, which warms up.
    pub(crate) fn kept(&self, kind: Kind) -> Option<&[Sample]> {
        self.all(kind).map(|samples| &samples[1..])
    }

    pub(crate) fn all(&self, kind: Kind) -> Option<&[Sample]> {
        self.samples
            .iter()
            .find(|(k, _)| *k == kind)
            .map(|(_, samples)| samples.as_slice())
    }

    pub(crate) fn cpu_us(&self, kind: Kind) -> Option<Spread> {
        Spread::of(self.kept(kind)?.iter().map(|sample| sample.cpu_us))
    }

    /// CPU of `a` over CPU of `b`, taken within each round.
    pub(crate) fn ratio(&self, a: Kind, b: Kind) -> Option<Spread> {
        let pairs = self.kept(a)?.iter().zip(self.kept(b)?);
        Spread::of(pairs.map(|(a, b)| a.cpu_us / b.cpu_us))
    }

    pub(crate) fn errors(&self, kind: Kind) -> u64 {
        self.all(kind)
            .unwrap_or_default()
            .iter()
            .map(|sample| sample.seen.errors)
            .sum()
    }
}

impl Outcome {
    pub(crate) fn failed_requests_of_rlb(&self) -> u64 {
        self.rows
            .iter()
            .map(|row| row.errors(Kind::Rlb) + row.errors(Kind::Rlb2))
            .sum()
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.rows
            .iter()
            .flat_map(|row| &row.samples)
            .flat_map(|(_, samples)| samples)
    }
}

/// One line on stderr per measured round.
struct Progress {
    rounds: u32,
    done: usize,
    all: usize,
    start: Instant,
}

impl Progress {
    fn new(args: &Args, works: &[&Work], running: &[Running]) -> Self {
        let able = |work: &&Work| running.iter().filter(|proxy| proxy.peer.can(work)).count();
        let all = works.iter().map(able).sum::<usize>() * args.rounds() as usize;
        eprintln!(
            "{all} measurements, about {} s",
            all * args.seconds() as usize
        );
        Self {
            rounds: args.rounds(),
            done: 0,
            all,
            start: Instant::now(),
        }
    }

    fn step(&mut self, work: &Work, round: u32, kind: Kind, sample: &Sample) {
        self.done += 1;
        let each = self.start.elapsed().as_secs_f64() / self.done as f64;
        let left = Duration::from_secs_f64(each * (self.all - self.done) as f64);
        eprintln!(
            "[{:3}/{}, {:3} s left] {:<28} round {round}/{}  {:<10} {:7.2} µs {:7.0}/s{}{}",
            self.done,
            self.all,
            left.as_secs(),
            work.title,
            self.rounds,
            kind.name(),
            sample.cpu_us,
            sample.seen.per_second,
            if sample.seen.errors > 0 {
                format!("  {} ERRORS", sample.seen.errors)
            } else {
                String::new()
            },
            if round == 1 { "  (warm-up)" } else { "" },
        );
    }
}
