//! `cargo bench --bench consul`: what 1,000 instances in the real Consul cost rlb.
//!
//! Three questions. How much CPU the control thread takes when nothing happens: to be held
//! at 0.5 % of a core without health checks; with them it is shown beside, since asking
//! 1,000 servers every 2 s is work of its own. How long one change takes from the last byte
//! of Consul's answer (1.5 MiB: it always tells all) until it is in force: to be held at
//! 20 ms. How long a new instance waits for its first request, from the call that registers
//! it: p50 to be held at 50 ms.
//!
//! `RLB_BENCH_CONSUL` names the program, else the one of the tests or of the path is taken.
//! `RLB_BENCH_SECONDS` and `RLB_BENCH_ROUNDS` say how long and how many.

mod agent;
mod balancer;
mod relay;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use agent::Agent;
use balancer::Balancer;
use relay::Relay;

/// The bench has one reader, who wants a sentence.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const INSTANCES: usize = 1_000;
const REST_MAX: f64 = 0.5;
const CHANGE_MAX: Duration = Duration::from_millis(20);
const FIRST_REQUEST_MAX: Duration = Duration::from_millis(50);
/// What follows a change within 100 ms is joined with others.
const BETWEEN: Duration = Duration::from_millis(300);
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("consul: a goal is missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("consul: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let number = |name: &str, default: u32| {
        std::env::var(name).map_or(Ok(default), |text| text.parse::<u32>())
    };
    let seconds = Duration::from_secs(number("RLB_BENCH_SECONDS", 10)?.into());
    let rounds = number("RLB_BENCH_ROUNDS", 40)?;
    let agent = Agent::start()?;
    let origin = serve()?;
    for index in 0..INSTANCES {
        agent.register("web", &name(index), origin)?;
    }
    let mut is_good = true;
    for checked in [true, false] {
        let share = at_rest(&agent, checked, seconds)?;
        is_good &= checked || share <= REST_MAX;
    }
    is_good &= changes(&agent, origin, rounds)? <= CHANGE_MAX;
    is_good &= first_requests(&agent, origin, rounds)? <= FIRST_REQUEST_MAX;
    Ok(is_good)
}

fn name(index: usize) -> String {
    format!("web-{index:04}")
}

/// The share of a core, in percent, of the control thread when nothing happens.
fn at_rest(agent: &Agent, checked: bool, time: Duration) -> Result<f64> {
    let balancer = Balancer::start(agent.addr(), "web", checked)?;
    balancer.wait_for("web-0999", true)?;
    // The first checks, and what the start left to do.
    pause(Duration::from_secs(3));
    let before = balancer.cpu()?;
    let begin = Instant::now();
    pause(time);
    let spent = balancer.cpu()?.since(&before);
    let percent = |cpu: Duration| cpu.as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
    let kind = if checked { "checked" } else { "not checked" };
    println!(
        "{INSTANCES} instances at rest, {kind}: control {:.2} %, workers and others {:.2} % of a core",
        percent(spent.control),
        percent(spent.others)
    );
    Ok(percent(spent.control))
}

/// From Consul's answer until the change is in force; the median.
fn changes(agent: &Agent, origin: SocketAddr, rounds: u32) -> Result<Duration> {
    let relay = Relay::start(agent.addr())?;
    let balancer = Balancer::start(relay.addr(), "web", false)?;
    balancer.wait_for("web-0999", true)?;
    pause(Duration::from_secs(1));
    let change = |round: u32| match round % 2 {
        0 => agent.deregister("web-0500").map(|()| false),
        _ => agent.register("web", "web-0500", origin).map(|()| true),
    };
    let (mut whole, mut applied) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        pause(BETWEEN);
        let begin = Instant::now();
        let is_there = change(round)?;
        balancer.wait_for("web-0500", is_there)?;
        let now = Instant::now();
        whole.push(now - begin);
        applied.push(now.saturating_duration_since(relay.last_answer()));
    }
    // The same without anybody who asks whether it is there yet.
    let before = balancer.cpu()?;
    let begin = Instant::now();
    for round in 0..rounds {
        change(round)?;
        pause(BETWEEN);
    }
    let spent = balancer.cpu()?.since(&before);
    let quiet = begin.elapsed();
    println!(
        "one change of {INSTANCES}: in force {} after Consul's answer, {} after the call",
        Spread::of(&mut applied),
        Spread::of(&mut whole)
    );
    println!(
        "one change of {INSTANCES}: control {:.2?}, others {:.2?} of CPU ({} changes in {:.1?})",
        spent.control / rounds,
        spent.others / rounds,
        rounds,
        quiet
    );
    Ok(Spread::of(&mut applied).median)
}

/// From the call that registers an instance until it answers a request; the median.
fn first_requests(agent: &Agent, origin: SocketAddr, rounds: u32) -> Result<Duration> {
    let balancer = Balancer::start(agent.addr(), "first", true)?;
    let mut client = Client::connect(balancer.bind())?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        pause(BETWEEN);
        let begin = Instant::now();
        agent.register("first", "first-0", origin)?;
        client.wait_for(200)?;
        times.push(begin.elapsed());
        // Another one stays: a set that became empty would be held.
        agent.register("first", "first-closed", closed()?)?;
        agent.deregister("first-0")?;
        client.wait_for(503)?;
    }
    let spread = Spread::of(&mut times);
    println!("registration to first request: {spread}");
    Ok(spread.median)
}

#[expect(clippy::disallowed_methods, reason = "no worker to block here")]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// A port where nobody listens.
fn closed() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

struct Spread {
    median: Duration,
    p90: Duration,
    worst: Duration,
}

impl Spread {
    fn of(times: &mut [Duration]) -> Self {
        times.sort();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        Self {
            median: at(50),
            p90: at(90),
            worst: at(100),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, p90, worst } = self;
        write!(f, "p50 {median:.1?}, p90 {p90:.1?}, worst {worst:.1?}")
    }
}

/// A client on one connection.
struct Client(TcpStream);

impl Client {
    fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    fn wait_for(&mut self, status: u16) -> Result<()> {
        let begin = Instant::now();
        while self.status()? != status {
            if begin.elapsed() > PATIENCE {
                return Err(format!("no {status} within {PATIENCE:?}").into());
            }
            pause(Duration::from_micros(500));
        }
        Ok(())
    }

    fn status(&mut self) -> Result<u16> {
        self.0.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&head);
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
        status.ok_or_else(|| format!("no status: {text}").into())
    }
}

/// An origin that answers every request alike, until the process ends.
fn serve() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    Ok(addr)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = [0; 4096];
    // One head at a time, as the clients of this bench send them.
    while stream.read(&mut head)? > 0 {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}
