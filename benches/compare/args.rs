//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::Result;
use crate::memory::State;
use crate::peer::Kind;
use crate::work::{self, Work};

/// Options of `cargo bench --bench compare -- ...`.
#[derive(Debug, Parser)]
#[command(
    name = "compare",
    about = "rlb, HAProxy, nginx and a bare relay, side by side"
)]
pub(crate) struct Args {
    /// Rounds of each work; the first is thrown away.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..))]
    rounds: u32,

    /// Seconds of load per proxy and round.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Three rounds of one second: for a first look, not for quoting.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,

    /// Only these works (small, browser, 16k, 1m, new, tcp, tcp-1m, tls,
    /// tls-new, tls-1m, h2, h2-tls).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,

    /// Only these proxies.
    #[arg(long, value_delimiter = ',', value_enum)]
    peers: Vec<Kind>,

    /// The rlb to measure, instead of the one cargo has just built.
    #[arg(long, value_name = "PATH")]
    pub(crate) rlb: Option<PathBuf>,

    /// A second rlb in the same run, for before and after.
    #[arg(long, value_name = "PATH")]
    pub(crate) rlb2: Option<PathBuf>,

    /// The same rlb once more as the second one, with its access log to a file.
    #[arg(long, conflicts_with = "rlb2")]
    pub(crate) log: bool,

    /// Another HAProxy than the one in PATH.
    #[arg(long, value_name = "PATH", default_value = "haproxy")]
    pub(crate) haproxy: PathBuf,

    /// Another nginx than the one in PATH (the origin stays).
    #[arg(long, value_name = "PATH", default_value = "nginx")]
    pub(crate) nginx: PathBuf,

    /// Measure resident memory per idle keep-alive connection instead.
    #[arg(long, group = "memory")]
    idle: bool,

    /// Measure resident memory per exchange that waits for its origin instead.
    #[arg(long, group = "memory")]
    waiting: bool,

    /// Measure resident memory per connection with half a request head instead.
    #[arg(long, group = "memory")]
    half_head: bool,

    /// Replace benches/results even if this is not a whole run.
    #[arg(long)]
    write: bool,

    /// First of the 33 ports that are used.
    #[arg(long, default_value_t = 21_000, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    pub(crate) port_base: u16,

    /// What cargo adds to the command line of every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 3 } else { self.rounds }
    }

    pub(crate) fn seconds(&self) -> u32 {
        if self.quick { 1 } else { self.seconds }
    }

    pub(crate) fn wants(&self, kind: Kind) -> bool {
        self.peers.is_empty() || self.peers.contains(&kind)
    }

    pub(crate) fn works(&self) -> Result<Vec<&'static Work>> {
        if let Some(unknown) = self
            .only
            .iter()
            .find(|key| work::ALL.iter().all(|w| w.key != **key))
        {
            let known: Vec<_> = work::ALL.iter().map(|w| w.key).collect();
            return Err(format!("no work {unknown:?}; there are {}", known.join(", ")).into());
        }
        let wanted = |w: &&Work| self.only.is_empty() || self.only.iter().any(|key| key == w.key);
        Ok(work::ALL.iter().filter(wanted).collect())
    }

    pub(crate) fn memory_state(&self) -> Option<State> {
        match (self.idle, self.waiting, self.half_head) {
            (true, _, _) => Some(State::Idle),
            (_, true, _) => Some(State::Waiting),
            (_, _, true) => Some(State::HalfHead),
            _ => None,
        }
    }

    /// The README must not show what a partial run measured.
    pub(crate) fn writes_results(&self) -> bool {
        let whole = !self.quick
            && self.only.is_empty()
            && self.peers.is_empty()
            && self.rlb.is_none()
            && self.rlb2.is_none()
            && !self.log;
        self.write || whole
    }
}
