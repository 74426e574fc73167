//! Resident memory per connection, as the slope between two numbers of connections.
//!
//! A slope leaves out what a proxy needs anyway. Kernel memory of the sockets is not in
//! it: it is the same for all.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::peer::{Kind, Peer, Running, Site};
use crate::process::pause;
use crate::{Result, host, origin, report};

/// What the connections are doing while they are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// One request was answered; the next has not come.
    Idle,
    /// A request waits for its origin's answer.
    Waiting,
    /// Half a request head has come.
    HalfHead,
}

impl State {
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Idle => "memory-idle.md",
            Self::Waiting => "memory-waiting.md",
            Self::HalfHead => "memory-half-head.md",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Idle => "idle keep-alive connection",
            Self::Waiting => "exchange waiting for its origin",
            Self::HalfHead => "connection with half a request head",
        }
    }

    /// KiB, PERFORMANCE "The budget".
    fn must_kib(self) -> f64 {
        match self {
            Self::Idle => 1.4,
            Self::Waiting => 4.0,
            Self::HalfHead => 2.0 + HALF_HEAD.len() as f64 / 1024.0,
        }
    }

    /// The two numbers of connections; as many as the descriptors allow.
    fn counts(self, site: &Site<'_>) -> (usize, usize) {
        let most = (site.maxconn() as usize).saturating_sub(500) / 1000 * 1000;
        let more = most.min(if self == Self::Idle { 16_000 } else { 4_000 });
        (more / 2, more)
    }
}

/// Weighs each peer in a fresh process; the relay has nothing to weigh.
pub(crate) fn measure(site: &Site<'_>, peers: &[Peer], state: State) -> Result<String> {
    let (few, many) = state.counts(site);
    let _origin = if state == State::Waiting {
        origin::start_silent(site)?
    } else {
        origin::start(site)?
    };
    let mut behind = *site;
    if state == State::Waiting {
        behind.ports.origin = [site.ports.silent; 4];
    }
    let mut rows = vec![vec![
        "proxy".into(),
        "KiB each".into(),
        format!("at {few}"),
        format!("at {many}"),
        "version".into(),
    ]];
    let mut verdict = String::new();
    for peer in peers.iter().filter(|peer| peer.kind != Kind::Relay) {
        eprintln!("{}: {few}, then {many} connections", peer.kind.name());
        let (low, high) = weigh(peer.clone().start(&behind)?, state, few, many)?;
        let kib = high.saturating_sub(low) as f64 / 1024.0 / (many - few) as f64;
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1048576.0);
        rows.push(vec![
            peer.kind.name().into(),
            format!("{kib:.2}"),
            mib(low),
            mib(high),
            peer.version.clone(),
        ]);
        if peer.kind == Kind::Rlb {
            let word = if kib <= state.must_kib() {
                "met"
            } else {
                "MISSED"
            };
            verdict = format!("\nBudget: at most {:.1} KiB: {word}.\n", state.must_kib());
        }
    }
    Ok(format!(
        "# Resident memory per {}\n\nThe slope between {few} and {many} connections, user memory of the whole process tree.\n\n{}{verdict}\n{}\n",
        state.title(),
        report::table(&rows),
        host::describe(),
    ))
}

fn weigh(proxy: Running, state: State, few: usize, many: usize) -> Result<(u64, u64)> {
    let address = proxy.peer.http_address();
    let mut connections = Vec::with_capacity(many);
    let mut weight_of = |count: usize| -> Result<u64> {
        while connections.len() < count {
            connections.push(open(address, state)?);
        }
        settled(&proxy)
    };
    Ok((weight_of(few)?, weight_of(many)?))
}

fn open(address: SocketAddr, state: State) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(origin::ANSWER_WITHIN))?;
    match state {
        State::Idle => {
            stream.write_all(REQUEST.as_bytes())?;
            let mut answer = [0; 2048];
            let n = stream.read(&mut answer)?;
            if !answer[..n].starts_with(b"HTTP/1.1 200") {
                return Err(format!("not a 200: {}", String::from_utf8_lossy(&answer[..n])).into());
            }
        }
        State::Waiting => stream.write_all(REQUEST.as_bytes())?,
        State::HalfHead => stream.write_all(HALF_HEAD.as_bytes())?,
    }
    Ok(stream)
}

/// Resident bytes once they have not moved for 300 ms (checks go on, so: by less than 64 KiB).
fn settled(proxy: &Running) -> Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut last = proxy.process.resident_bytes()?;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(300) && Instant::now() < deadline {
        pause(Duration::from_millis(50));
        let now = proxy.process.resident_bytes()?;
        if now.abs_diff(last) > 64 * 1024 {
            since = Instant::now();
        }
        last = now;
    }
    Ok(last)
}

const REQUEST: &str =
    "GET / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: compare\r\nAccept: */*\r\n\r\n";
const HALF_HEAD: &str = "GET /some/path HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: compare\r\nAccept: */*\r\nCookie: half=";
