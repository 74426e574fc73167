//! The load generator: wrk, which counts, times and keeps up on one core.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::Result;
use crate::peer::{Site, first_line};
use crate::process::{End, launcher};
use crate::work::Work;

/// Connections of a round.
pub(crate) const CONNECTIONS: u32 = 64;

/// What the load generator saw in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    pub(crate) p99_ms: f64,
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
        p99_ms: p99_us as f64 / 1e3,
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
