//! `cargo bench --bench changes`: how much slower the slowest answers are while the
//! backend set changes all the time.
//!
//! The same paced load (wrk) runs against one rlb in turn quiet and under 50 changes a
//! second: weights, states, servers that come and go, and a file that is read again. The
//! ratio of the p99s inside one round is what counts; the median of the rounds is to be
//! held at 1.2. `RLB_BENCH_ROUNDS` and `RLB_BENCH_SECONDS` say how many and how long.

mod paced;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paced::{Ratios, Result, Seen, Site, number};

const BETWEEN_CHANGES: Duration = Duration::from_millis(20);
/// Changes to each reload.
const RELOAD_EVERY: u64 = 10;
const RATIO_MAX: f64 = 1.2;

fn main() -> ExitCode {
    match run() {
        Ok(ratio) if ratio <= RATIO_MAX => ExitCode::SUCCESS,
        Ok(ratio) => {
            eprintln!("changes: {ratio:.2} is more than {RATIO_MAX}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("changes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<f64> {
    let rounds = number("RLB_BENCH_ROUNDS", 30)?;
    let seconds = number("RLB_BENCH_SECONDS", 3)?;
    let (site, origins) = Site::start(|dir, bind, origins| text(dir, bind, origins, 1))?;
    let changing = Changing { site, origins };
    let site = &changing.site;
    site.load(1)?;
    println!(
        "round  quiet p99  changing p99  ratio  changes  requests/s  latest tick quiet, changing"
    );
    let mut ratios = Ratios::default();
    for round in 1..=rounds {
        let quiet = site.load(seconds)?;
        let late_quiet = site.latest_tick()?;
        let (changed, changes) = changing.load(seconds)?;
        let ratio = changed.p99.as_secs_f64() / quiet.p99.as_secs_f64();
        println!(
            "{round:>5}  {:>9.2?}  {:>12.2?}  {ratio:>5.2}  {changes:>7}  {:>10.0}  {late_quiet:?}, {:?}",
            quiet.p99,
            changed.p99,
            changed.per_second,
            site.latest_tick()?
        );
        ratios.push(ratio);
    }
    println!("{}", ratios.verdict(RATIO_MAX));
    Ok(ratios.median())
}

/// One whose servers change.
struct Changing {
    site: Site,
    origins: [SocketAddr; 4],
}

impl Changing {
    fn load(&self, seconds: u32) -> Result<(Seen, u64)> {
        let (over, changes) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let changing = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let due = Instant::now() + BETWEEN_CHANGES;
                    let round = changes.fetch_add(1, Ordering::Relaxed);
                    self.change(round).map_err(|error| error.to_string())?;
                    thread::park_timeout(due.saturating_duration_since(Instant::now()));
                }
                Ok::<_, String>(())
            });
            let seen = self.site.load(seconds);
            over.store(true, Ordering::Relaxed);
            changing.join().map_err(|_| "the changes panicked")??;
            Ok((seen?, changes.load(Ordering::Relaxed)))
        })
    }

    fn change(&self, round: u64) -> Result<()> {
        if round.is_multiple_of(RELOAD_EVERY) {
            let weight = 1 + round / RELOAD_EVERY % 9;
            let written = text(self.site.dir.path(), self.site.bind, &self.origins, weight);
            let next = self.site.dir.path().join("next");
            std::fs::write(&next, written)?;
            std::fs::rename(next, self.site.dir.path().join("lb.toml"))?;
            return self.ask("reload", |answer| answer.starts_with("Success=1"));
        }
        let silent = |answer: &str| answer.trim().is_empty();
        match round % 5 {
            0 => self.ask(&format!("set weight web/s1 {}", 1 + round % 9), silent),
            1 => self.ask("set server web/s2 state drain", silent),
            2 => self.ask("set server web/s2 state ready", silent),
            3 => {
                let command = format!("add server web/extra {} up", self.origins[3]);
                self.ask(&command, |answer| answer.starts_with("New server"))
            }
            _ => self.ask("del server web/extra drain 1s", |_| true),
        }
    }

    fn ask(&self, command: &str, is_done: impl Fn(&str) -> bool) -> Result<()> {
        let answer = self.site.ask(command)?;
        match is_done(&answer) || answer.contains("Already exists") {
            true => Ok(()),
            false => Err(format!("{command}: {answer}").into()),
        }
    }
}

fn text(dir: &Path, bind: SocketAddr, origins: &[SocketAddr; 4], weight: u64) -> String {
    let [a, b, c, _] = origins;
    format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\n\
         server = [{{ name = \"s1\", address = \"{a}\" }}, {{ name = \"s2\", address = \"{b}\" }},\n\
         {{ name = \"s3\", address = \"{c}\", weight = {weight} }}]\n",
        dir.join("admin.sock").display()
    )
}
