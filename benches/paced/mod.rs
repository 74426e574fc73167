//! One rlb under a paced load: what the benches share that ask for the p99.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, LocalOptions};

/// A bench has one reader, who wants a sentence.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const CONNECTIONS: u32 = 64;
/// Between two requests of a connection: the cores have room, else the p99 is the queue's.
const PACE: &str = "function delay() return 20 end\n";

/// rlb in front of origins of our own.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    rlb: Child,
    pub(crate) bind: SocketAddr,
}

/// What wrk saw.
pub(crate) struct Seen {
    pub(crate) p99: Duration,
    pub(crate) per_second: f64,
}

/// What rounds say together: quotients of two p99s of one round each.
#[derive(Default)]
pub(crate) struct Ratios(Vec<f64>);

impl Ratios {
    pub(crate) fn push(&mut self, ratio: f64) {
        self.0.push(ratio);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// The median with the interval that holds the true one in 95 of 100 runs, by the sign
    /// test: half of the rounds lie below it, give or take 1.96 standard deviations of a
    /// fair coin.
    pub(crate) fn verdict(&self, max: f64) -> String {
        let count = self.0.len();
        let half = 1.96 * (count as f64).sqrt() / 2.0;
        let least = ((count as f64 / 2.0 - half).floor().max(1.0) as usize) - 1;
        let median = self.median();
        format!(
            "median ratio of {count} rounds {median:.2}, 95 % interval {:.2}-{:.2}, all {:.2}-{:.2}, \
             to be held at {max}",
            self.0[least],
            self.0[count - 1 - least],
            self.0[0],
            self.0[count - 1],
        )
    }
}

/// A number of the environment.
pub(crate) fn number(name: &str, default: u32) -> Result<u32> {
    Ok(std::env::var(name).map_or(Ok(default), |text| text.parse())?)
}

/// A port that nobody listens on.
pub(crate) fn free_addr() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Site {
    /// Starts rlb with what `text` makes of the directory, the bind and the origins;
    /// ready when the admin socket answers. It and the origins.
    pub(crate) fn start(
        text: impl FnOnce(&Path, SocketAddr, &[SocketAddr; 4]) -> String,
    ) -> Result<(Self, [SocketAddr; 4])> {
        let dir = tempfile::tempdir()?;
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let bind = free_addr()?;
        let listeners = [free()?, free()?, free()?, free()?];
        let mut origins = [bind; 4];
        for (origin, listener) in origins.iter_mut().zip(&listeners) {
            *origin = listener.local_addr()?;
            listener.set_nonblocking(true)?;
        }
        thread::spawn(move || serve(listeners));
        let file = dir.path().join("lb.toml");
        std::fs::write(&file, text(dir.path(), bind, &origins))?;
        std::fs::write(dir.path().join("pace.lua"), PACE)?;
        let rlb = Command::new(env!("CARGO_BIN_EXE_rlb"))
            .args(["-q", "-f"])
            .arg(file)
            .stderr(Stdio::null())
            .spawn()?;
        let site = Self { dir, rlb, bind };
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(site.socket()).is_err() {
            if Instant::now() > deadline {
                return Err("rlb does not start".into());
            }
            thread::yield_now();
        }
        Ok((site, origins))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    pub(crate) fn load(&self, seconds: u32) -> Result<Seen> {
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

    /// How late the latest tick of the worker came since the start: unlike the p99 on a
    /// shared core, it tells whether the worker itself was held up.
    pub(crate) fn latest_tick(&self) -> Result<Duration> {
        let metrics = self.ask("show metrics rlb")?;
        let name = "\nrlb_worker_late_max_seconds{worker=\"0\"} ";
        let (_, value) = metrics.split_once(name).ok_or("no metric of the ticks")?;
        let seconds = value.lines().next().unwrap_or_default().parse()?;
        Ok(Duration::from_secs_f64(seconds))
    }

    /// What the admin socket answers.
    pub(crate) fn ask(&self, command: &str) -> Result<String> {
        let mut stream = UnixStream::connect(self.socket())?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.rlb.kill();
        let _ = self.rlb.wait();
    }
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
