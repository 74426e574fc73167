//! What the tests share: the binary under test, raw-byte clients, scripted origins and
//! real programs.
//!
//! Knows nothing of rlb's insides: what crosses a socket here is written and read as
//! bytes, so that a fault of our parser cannot hide itself. Start with [`Lb`] (the engine
//! in this process) or [`Rlb`] (the binary), [`RawClient`], and for servers [`Origin`]
//! (answers by itself) or [`PlayedOrigin`] (played by the test); real programs stand in
//! [`real`].

pub(crate) mod authority;
pub(crate) mod consul;
mod deaf;
pub(crate) mod docker;
mod lb;
mod load;
mod origin;
mod played;
mod ports;
mod process;
mod raw;
pub(crate) mod real;
mod rlb;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

pub(crate) use deaf::DeafOrigin;
pub(crate) use lb::{Lb, connect};
pub(crate) use load::{echoed, load, load_while};
pub(crate) use origin::{Answer, Origin, Request, read_until};
pub(crate) use played::PlayedOrigin;
pub(crate) use ports::{free_addr, free_ports};
pub(crate) use process::{Process, temp_dir};
pub(crate) use raw::{End, Head, RawClient};
pub(crate) use real::Haproxy;
pub(crate) use rlb::Rlb;

/// How long a test waits for what should take milliseconds: long enough for a busy
/// machine whose disk is still writing what was built, short enough to be told apart
/// from a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds; panics naming `what` if it does not within `within`.
#[track_caller]
pub(crate) fn wait_until(within: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        pause();
    }
}

/// Whether something accepts connections there.
pub(crate) fn answers(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).is_ok()
}

/// As many descriptors as the system lets us have: thousands of clients need some.
pub(crate) fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit");
}

/// What is started from now on has its memory in pages of 4 KiB: with 2 MiB a growth has
/// steps.
pub(crate) fn small_pages() {
    rustix::thread::disable_transparent_huge_pages(true).expect("since Linux 3.15");
}

/// TCP sockets that listen on this port, whoever owns them.
pub(crate) fn listening_sockets(port: u16) -> usize {
    const LISTEN: &str = "0A";
    let end = format!(":{port:04X}");
    let mut found = 0;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(file) = std::fs::File::open(table) else {
            continue;
        };
        for row in BufReader::new(file).lines().skip(1) {
            let row = row.expect("text of the kernel");
            let mut fields = row.split_whitespace().skip(1);
            let (local, state) = (fields.next(), fields.nth(1));
            // Those that listen come first; behind them are all that were ever closed.
            if state != Some(LISTEN) {
                break;
            }
            found += usize::from(local.is_some_and(|local| local.ends_with(&end)));
        }
    }
    found
}

/// Between two looks at a condition.
fn pause() {
    dawdle(Duration::from_millis(5));
}

/// For parts that are slow on purpose; a test waits with [`wait_until`] instead.
#[expect(clippy::disallowed_methods, reason = "no worker to block here")]
pub(crate) fn dawdle(time: Duration) {
    std::thread::sleep(time);
}
