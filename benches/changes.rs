//! `cargo bench --bench changes`: how much slower the slowest answers are while the
//! backend set changes all the time.
//!
//! The same paced load (wrk) runs against one rlb in turn quiet and under 50 changes a
//! second: weights, states, servers that come and go, and a file that is read again. The
//! ratio of the p99s inside one round is what counts; the median of the rounds is to be
//! held at 1.2. `RLB_BENCH_ROUNDS` and `RLB_BENCH_SECONDS` say how many and how long.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, LocalOptions};

/// The bench has one reader, who wants a sentence.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const CONNECTIONS: u32 = 64;
/// Between two requests of a connection: the cores have room, else the p99 is the queue's.
const PACE: &str = "function delay() return 20 end\n";
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
    let number = |name: &str, default: u32| {
        std::env::var(name).map_or(Ok(default), |text| text.parse::<u32>())
    };
    let rounds = number("RLB_BENCH_ROUNDS", 5)?;
    let seconds = number("RLB_BENCH_SECONDS", 5)?;
    let site = Site::start()?;
    site.load(1)?;
    println!("round  quiet p99  changing p99  ratio  changes  requests/s");
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let quiet = site.load(seconds)?;
        let (changing, changes) = site.load_under_changes(seconds)?;
        let ratio = changing.p99.as_secs_f64() / quiet.p99.as_secs_f64();
        println!(
            "{round:>5}  {:>9.2?}  {:>12.2?}  {ratio:>5.2}  {changes:>7}  {:>10.0}",
            quiet.p99, changing.p99, changing.per_second
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("median ratio {median:.2}, to be held at {RATIO_MAX}");
    Ok(median)
}

/// rlb in front of origins of our own.
struct Site {
    dir: tempfile::TempDir,
    rlb: Child,
    bind: SocketAddr,
    origins: [SocketAddr; 4],
}

/// What wrk saw.
struct Seen {
    p99: Duration,
    per_second: f64,
}

impl Site {
    fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let bind = free()?.local_addr()?;
        let listeners = [free()?, free()?, free()?, free()?];
        let mut origins = [bind; 4];
        for (origin, listener) in origins.iter_mut().zip(&listeners) {
            *origin = listener.local_addr()?;
            listener.set_nonblocking(true)?;
        }
        thread::spawn(move || serve(listeners));
        std::fs::write(
            dir.path().join("lb.toml"),
            text(dir.path(), bind, &origins, 1),
        )?;
        std::fs::write(dir.path().join("pace.lua"), PACE)?;
        let rlb = Command::new(env!("CARGO_BIN_EXE_rlb"))
            .args(["-q", "-f"])
            .arg(dir.path().join("lb.toml"))
            .stderr(Stdio::null())
            .spawn()?;
        let site = Self {
            dir,
            rlb,
            bind,
            origins,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(site.socket()).is_err() {
            if Instant::now() > deadline {
                return Err("rlb does not start".into());
            }
            thread::yield_now();
        }
        Ok(site)
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    fn load(&self, seconds: u32) -> Result<Seen> {
        let output = Command::new("wrk")
            .args(["-t1", "--latency", &format!("-c{CONNECTIONS}")])
            .arg(format!("-d{seconds}s"))
            .arg("-s")
            .arg(self.dir.path().join("pace.lua"))
            .arg(format!("http://{}/", self.bind))
            .output()
            .map_err(|error| format!("wrk (the load generator) does not start: {error}"))?;
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        if report.contains("Socket errors") || report.contains("Non-2xx") {
            return Err(format!("requests failed\n{report}").into());
        }
        seen(&report).ok_or_else(|| format!("wrk says\n{report}").into())
    }

    fn load_under_changes(&self, seconds: u32) -> Result<(Seen, u64)> {
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
            let seen = self.load(seconds);
            over.store(true, Ordering::Relaxed);
            changing.join().map_err(|_| "the changes panicked")??;
            Ok((seen?, changes.load(Ordering::Relaxed)))
        })
    }

    fn change(&self, round: u64) -> Result<()> {
        if round.is_multiple_of(RELOAD_EVERY) {
            let weight = 1 + round / RELOAD_EVERY % 9;
            let written = text(self.dir.path(), self.bind, &self.origins, weight);
            let next = self.dir.path().join("next");
            std::fs::write(&next, written)?;
            std::fs::rename(next, self.dir.path().join("lb.toml"))?;
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
        let mut stream = UnixStream::connect(self.socket())?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match is_done(&answer) || answer.contains("Already exists") {
            true => Ok(()),
            false => Err(format!("{command}: {answer}").into()),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.rlb.kill();
        let _ = self.rlb.wait();
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

/// The line `     99%    1.23ms` and the one with `Requests/sec:`.
fn seen(report: &str) -> Option<Seen> {
    let field = |name: &str| {
        let line = report
            .lines()
            .find(|line| line.trim_start().starts_with(name))?;
        line.split_whitespace().last()
    };
    let p99 = field("99%")?;
    let unit = p99.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = p99[..unit].parse().ok()?;
    let seconds = match &p99[unit..] {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        _ => return None,
    };
    Some(Seen {
        p99: Duration::from_secs_f64(seconds),
        per_second: field("Requests/sec:")?.parse().ok()?,
    })
}

/// Answers every request, until the process ends.
fn serve(listeners: [TcpListener; 4]) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let [a, b, c, d] = listeners;
        tokio::try_join!(accept(a), accept(b), accept(c), accept(d)).map(|_| ())
    })
}

async fn accept(listener: TcpListener) -> std::io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = |_: Request<hyper::body::Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello\n"))))
        };
        tokio::task::spawn_local(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}
