//! `cargo bench --bench watched`: how much slower the slowest answers are while somebody
//! looks at a thousand servers.
//!
//! The same paced load (wrk) runs over a thousand servers in turn unseen, and with the page
//! and its `;csv` fetched every second while a browser looks live. The ratio of the p99s
//! inside one round is what counts; the median of the rounds is to be held at 1.1.
//! `RLB_BENCH_ROUNDS` and `RLB_BENCH_SECONDS` say how many and how long.

mod paced;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paced::{Ratios, Result, Seen, Site, free_addr, number};

const SERVERS: usize = 1000;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const RATIO_MAX: f64 = 1.1;

fn main() -> ExitCode {
    match run() {
        Ok(ratio) if ratio <= RATIO_MAX => ExitCode::SUCCESS,
        Ok(ratio) => {
            eprintln!("watched: {ratio:.2} is more than {RATIO_MAX}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("watched: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<f64> {
    let rounds = number("RLB_BENCH_ROUNDS", 30)?;
    let seconds = number("RLB_BENCH_SECONDS", 3)?;
    let stats = free_addr()?;
    let (site, _) = Site::start(|dir, bind, origins| text(dir, bind, stats, origins))?;
    // Each server has its connections before the first round.
    site.load(3)?;
    println!(
        "round  unseen p99  watched p99  ratio  looks  slowest page  slowest ;csv  requests/s  \
         latest tick unseen, watched"
    );
    let mut ratios = Ratios::default();
    for round in 1..=rounds {
        let unseen = site.load(seconds)?;
        let late_unseen = site.latest_tick()?;
        let (watched, looks) = load_watched(&site, stats, seconds)?;
        let ratio = watched.p99.as_secs_f64() / unseen.p99.as_secs_f64();
        println!(
            "{round:>5}  {:>10.2?}  {:>11.2?}  {ratio:>5.2}  {:>5}  {:>12.1?}  {:>12.1?}  {:>10.0}  {late_unseen:?}, {:?}",
            unseen.p99,
            watched.p99,
            looks.count,
            looks.page,
            looks.csv,
            watched.per_second,
            site.latest_tick()?
        );
        ratios.push(ratio);
    }
    println!("{}", ratios.verdict(RATIO_MAX));
    Ok(ratios.median())
}

/// What those who look have got.
#[derive(Default)]
struct Looks {
    count: u32,
    /// The longest that it took.
    page: Duration,
    csv: Duration,
}

fn load_watched(site: &Site, stats: SocketAddr, seconds: u32) -> Result<(Seen, Looks)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let _live = open(stats, "/haproxy_stats;events").map_err(|error| error.to_string())?;
            let mut looks = Looks::default();
            while !over.load(Ordering::Relaxed) {
                let due = Instant::now() + BETWEEN_LOOKS;
                for (target, slowest) in [
                    ("/haproxy_stats", &mut looks.page),
                    ("/haproxy_stats;csv", &mut looks.csv),
                ] {
                    let begun = Instant::now();
                    fetch(stats, target).map_err(|error| error.to_string())?;
                    *slowest = begun.elapsed().max(*slowest);
                }
                looks.count += 1;
                thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
            Ok::<_, String>(looks)
        });
        let seen = site.load(seconds);
        over.store(true, Ordering::Relaxed);
        let looks = looking.join().map_err(|_| "who looks panicked")??;
        Ok((seen?, looks))
    })
}

fn fetch(stats: SocketAddr, target: &str) -> Result<()> {
    let mut answer = Vec::new();
    open(stats, target)?.read_to_end(&mut answer)?;
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(format!("{target}: {:.80}", String::from_utf8_lossy(&answer)).into()),
    }
}

fn open(stats: SocketAddr, target: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(stats)?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )?;
    Ok(stream)
}

/// A thousand servers at four addresses: each has counters and connections of its own.
fn text(dir: &Path, bind: SocketAddr, stats: SocketAddr, origins: &[SocketAddr; 4]) -> String {
    let mut text = format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n[stats]\nbind = \"{stats}\"\n\
         [[listen]]\nname = \"web\"\nbind = \"{bind}\"\nserver = [\n",
        dir.join("admin.sock").display()
    );
    for number in 0..SERVERS {
        let origin = origins[number % origins.len()];
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{{ name = \"srv{number:04}\", address = \"{origin}\" }},"
        );
    }
    text + "]\n"
}
