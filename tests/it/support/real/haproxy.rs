//! HAProxy, to compare with.

use std::net::SocketAddr;
use std::process::Command;

use super::{Part, find};
use crate::support::process::temp_dir;
use crate::support::{Process, answers, free_addr};

/// A running HAProxy with one HTTP listener.
#[derive(Debug)]
pub(crate) struct Haproxy {
    process: Process,
    addr: SocketAddr,
}

/// Starts one on a free port; `directives` go into its `listen` section, which is in
/// HTTP mode and has timeouts.
#[track_caller]
pub(crate) fn haproxy(directives: &str) -> Option<Haproxy> {
    let program = find(Part::Haproxy)?;
    let (dir, addr) = (temp_dir(), free_addr());
    let config = dir.path().join("haproxy.cfg");
    let text = format!(
        "global\n  nbthread 1\n  maxconn 1000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  \
         timeout server 30s\nlisten web\n  bind {addr}\n{directives}\n"
    );
    std::fs::write(&config, text).expect("temporary directory");
    let mut process = Process::start(Command::new(program).arg("-db").arg("-f").arg(&config), dir);
    process.wait_ready(|| answers(addr));
    Some(Haproxy { process, addr })
}

/// Starts one with a whole configuration of the test's own, `{dir}` in which stands for
/// a directory that lives as long as it does; ready when it accepts at `ready_on`.
#[track_caller]
pub(crate) fn haproxy_with(config: &str, ready_on: SocketAddr) -> Option<Haproxy> {
    let program = find(Part::Haproxy)?;
    let dir = temp_dir();
    let file = dir.path().join("haproxy.cfg");
    let text = config.replace("{dir}", &dir.path().display().to_string());
    std::fs::write(&file, text).expect("temporary directory");
    let mut process = Process::start(Command::new(program).arg("-db").arg("-f").arg(&file), dir);
    process.wait_ready(|| answers(ready_on));
    Some(Haproxy {
        process,
        addr: ready_on,
    })
}

impl Haproxy {
    /// The directory of [`haproxy_with`].
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.process.dir()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Warnings and state changes, as it printed them.
    pub(crate) fn stderr(&self) -> String {
        self.process.stderr()
    }
}
