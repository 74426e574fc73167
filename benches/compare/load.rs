//! The load generators: wrk, which counts, times and keeps up on one core; h2load,
//! which does for HTTP/2.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::Result;
use crate::peer::{Site, first_line};
use crate::process::{End, launcher};
use crate::work::{Door, Work};

/// Connections of a round.
pub(crate) const CONNECTIONS: u32 = 64;
/// Requests at once on each, where it can have several.
const STREAMS: u32 = 10;

/// What the load generator saw in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    /// h2load has none.
    pub(crate) p99_ms: Option<f64>,
    /// Answers other than 2xx and 3xx, answers cut short, socket errors, timeouts.
    pub(crate) errors: u64,
}

/// wrk's version; an error where it is not installed, as nothing can be measured without.
pub(crate) fn version() -> Result<String> {
    first_line(Path::new("wrk"), "-v")
        .map(|line| line.split(" [").next().unwrap_or_default().to_owned())
        .map_err(|error| format!("wrk (the load generator) does not start: {error}").into())
}

/// One round of `work` against `address`.
pub(crate) fn run(site: &Site<'_>, work: &Work, address: SocketAddr, seconds: u32) -> Result<Seen> {
    match work.door {
        Door::Http2 | Door::Http2Tls => h2load(site, work, address, seconds),
        Door::Http | Door::Tcp | Door::Tls => wrk(site, work, address, seconds),
    }
}

fn h2load(site: &Site<'_>, work: &Work, address: SocketAddr, seconds: u32) -> Result<Seen> {
    let output = launcher(Path::new("h2load"), site.cores.load, End::Kill)?
        .args([
            "-t1".to_owned(),
            format!("-c{CONNECTIONS}"),
            format!("-m{STREAMS}"),
            format!("-D{seconds}"),
            format!("{}://{address}{}", work.scheme(), work.path),
        ])
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // "requests: 7 total, 7 started, 7 done, 7 succeeded, 0 failed, 0 errored, 0 timeout"
    let number = |line: &str, word: &str| -> Option<u64> {
        let line = text.lines().find_map(|l| l.strip_prefix(line))?;
        let mut parts = line.split(',').map(str::trim);
        parts.find_map(|part| part.strip_suffix(word)?.trim().parse().ok())
    };
    let (Some(requests), Some(good)) = (
        number("requests:", "succeeded"),
        number("status codes:", "2xx"),
    ) else {
        return Err(format!("h2load: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    };
    let broken = ["failed", "errored", "timeout"].map(|word| number("requests:", word));
    Ok(Seen {
        requests,
        per_second: requests as f64 / f64::from(seconds),
        p99_ms: None,
        errors: broken.into_iter().flatten().sum::<u64>() + requests.saturating_sub(good),
    })
}

fn wrk(site: &Site<'_>, work: &Work, address: SocketAddr, seconds: u32) -> Result<Seen> {
    let output = launcher(Path::new("wrk"), site.cores.load, End::Kill)?
        .args([
            "-t1",
            &format!("-c{CONNECTIONS}"),
            &format!("-d{seconds}s"),
            "-s",
        ])
        .arg(script(site, work)?)
        .arg(format!("{}://{address}{}", work.scheme(), work.path))
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().find_map(|line| line.strip_prefix("RESULT ")) else {
        return Err(format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    };
    let numbers: Vec<u64> = line
        .split(' ')
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    let &[
        requests,
        duration_us,
        bytes,
        socket_errors,
        status_errors,
        p99_us,
    ] = numbers.as_slice()
    else {
        return Err(format!("wrk: {line}").into());
    };
    // wrk does not look into answers; their length shows at least that none was empty.
    let cut_short = requests.saturating_sub(bytes / work.answer_bytes);
    Ok(Seen {
        requests,
        per_second: requests as f64 / (duration_us as f64 / 1e6),
        p99_ms: Some(p99_us as f64 / 1e3),
        errors: socket_errors + status_errors + cut_short,
    })
}

/// wrk builds the request once from `wrk.headers`; only `done` is run in Lua.
fn script(site: &Site<'_>, work: &Work) -> Result<PathBuf> {
    let mut lua = String::new();
    for (name, value) in work.headers {
        writeln!(lua, "wrk.headers[\"{name}\"] = [==[{value}]==]")?;
    }
    lua.push_str(DONE);
    let path = site.dir.join(format!("{}.lua", work.key));
    std::fs::write(&path, lua)?;
    Ok(path)
}

const DONE: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration, summary.bytes,
    e.connect + e.read + e.write + e.timeout, e.status, latency:percentile(99)))
end
"#;
