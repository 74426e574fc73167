//! Resident memory per connection: how it grows with the number of connections.
//!
//! A slope leaves out what a proxy needs anyway. It is fitted through several numbers of
//! connections, because memory comes in steps: an allocator takes 2 MiB at a time, a
//! table doubles, and two points may fall on either side of such a step or on none (one
//! proxy of 1.15 KiB weighed 0.02 between 3,500 and 7,000). Kernel memory of the sockets
//! is not in it: it is the same for all.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::peer::{Kind, Peer, Running, Site};
use crate::process::pause;
use crate::{Result, host, origin, report, stats};

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

    /// The largest number of connections: as many as the descriptors allow.
    fn most(self, site: &Site<'_>) -> usize {
        let allowed = (site.maxconn() as usize).saturating_sub(500) / 1000 * 1000;
        allowed.min(if self == Self::Idle { 16_000 } else { 4_000 })
    }
}

/// Weighs each peer in a fresh process; the relay has nothing to weigh.
pub(crate) fn measure(site: &Site<'_>, peers: &[Peer], state: State) -> Result<String> {
    let most = state.most(site);
    let mut behind = *site;
    let _origin = if state == State::Waiting {
        behind.ports.origin = site.ports.silent;
        origin::start_silent(site)?
    } else {
        origin::start(site)?
    };
    let head = [
        "proxy".into(),
        "KiB each".into(),
        format!("at {}", most / STEPS),
        format!("at {most}"),
        "version".into(),
    ];
    let mut rows = vec![head.to_vec()];
    let mut verdict = String::new();
    for peer in peers.iter().filter(|peer| peer.kind != Kind::Relay) {
        eprintln!("{}: {most} connections in {STEPS} steps", peer.kind.name());
        let points = weigh(&peer.clone().start(&behind)?, state, most)?;
        let kib = stats::slope(&points);
        let mib = |(_, kib): &(f64, f64)| format!("{:.1} MiB", kib / 1024.0);
        let ends = points.first().zip(points.last()).ok_or("no steps")?;
        rows.push(vec![
            peer.kind.name().into(),
            format!("{kib:.2}"),
            mib(ends.0),
            mib(ends.1),
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
        "# Resident memory per {}\n\nUser memory of the whole process tree: slope fitted through {STEPS} numbers of connections up to {most}.\n\n{}{verdict}\n{}\n",
        state.title(),
        report::table(&rows),
        host::describe(),
    ))
}

/// Connections and resident KiB, step by step.
fn weigh(proxy: &Running, state: State, most: usize) -> Result<Vec<(f64, f64)>> {
    let mut connections = Vec::with_capacity(most);
    let mut points = Vec::new();
    for step in 1..=STEPS {
        while connections.len() < most * step / STEPS {
            connections.push(open(proxy.peer.http_address(), state)?);
        }
        points.push((connections.len() as f64, settled(proxy)? as f64 / 1024.0));
    }
    // A proxy that closes what it cannot hold would weigh nothing.
    match connections
        .iter()
        .filter(|stream| is_closed(stream))
        .count()
    {
        0 => Ok(points),
        closed => Err(format!(
            "{}: closed {closed} of {most} connections",
            proxy.peer.kind.name()
        )
        .into()),
    }
}

/// Closed, or answered although nothing was to be answered yet.
fn is_closed(stream: &TcpStream) -> bool {
    let quiet = stream
        .set_nonblocking(true)
        .and_then(|()| stream.peek(&mut [0]));
    !quiet.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn open(address: SocketAddr, state: State) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(origin::ANSWER_WITHIN))?;
    match state {
        State::Idle => {
            stream.write_all(REQUEST.as_bytes())?;
            let mut answer = Vec::new();
            while !answer.ends_with(ORIGIN_BODY) {
                let mut bytes = [0; 2048];
                match stream.read(&mut bytes)? {
                    0 => {
                        return Err(
                            format!("no answer: {}", String::from_utf8_lossy(&answer)).into()
                        );
                    }
                    n => answer.extend_from_slice(&bytes[..n]),
                }
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

/// Numbers of connections at which a proxy is weighed.
const STEPS: usize = 8;
/// `return 200` of `benches/peers/origin.conf`.
const ORIGIN_BODY: &[u8] = b"hello from the origin\n";
const REQUEST: &str =
    "GET / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: compare\r\nAccept: */*\r\n\r\n";
const HALF_HEAD: &str = "GET /some/path HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: compare\r\nAccept: */*\r\nCookie: half=";
