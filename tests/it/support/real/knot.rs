//! Knot as the DNS server of one zone, `rlb.test`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use super::{Part, find, in_path};
use crate::support::process::temp_dir;
use crate::support::{Process, answers, free_addr};

/// A running knot.
#[derive(Debug)]
pub(crate) struct Knot {
    process: Process,
    control: PathBuf,
    addr: SocketAddr,
}

/// Starts one whose zone has these records, a line each: `b1 A 127.0.0.1`.
#[track_caller]
pub(crate) fn knot(records: &str) -> Option<Knot> {
    let program = find(Part::Knot)?;
    let control = in_path("knotc")?;
    let (dir, addr) = (temp_dir(), free_addr());
    let path = dir.path().display();
    let config = format!(
        "server:\n  rundir: \"{path}\"\n  listen: {}@{}\n  tcp-workers: 1\n  udp-workers: 1\n\
         control:\n  listen: \"{path}/knot.sock\"\n\
         log:\n  - target: stderr\n    any: warning\n\
         database:\n  storage: \"{path}\"\n\
         template:\n  - id: default\n    storage: \"{path}\"\n    zonefile-sync: -1\n\
         zone:\n  - domain: rlb.test\n    file: rlb.zone\n",
        addr.ip(),
        addr.port()
    );
    let zone = format!(
        "$ORIGIN rlb.test.\n$TTL 1\n@ SOA ns admin 1 60 60 60 1\n@ NS ns\nns A 127.0.0.1\n{records}\n"
    );
    let file = dir.path().join("knot.conf");
    std::fs::write(&file, config).expect("temporary directory");
    std::fs::write(dir.path().join("rlb.zone"), zone).expect("temporary directory");
    let mut process = Process::start(Command::new(program).arg("-c").arg(&file), dir);
    let socket = process.dir().join("knot.sock");
    process.wait_ready(|| answers(addr) && socket.exists());
    let knot = Knot {
        process,
        control,
        addr,
    };
    Some(knot)
}

impl Knot {
    /// Where it is asked.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes records in one transaction: `set b2 1 A 127.0.0.1`, `unset b1 A`.
    #[track_caller]
    pub(crate) fn change(&self, changes: &[&str]) {
        self.ask("zone-begin rlb.test");
        for change in changes {
            let (what, record) = change.split_once(' ').expect("what, then a record");
            self.ask(&format!("zone-{what} rlb.test {record}"));
        }
        self.ask("zone-commit rlb.test");
    }

    /// Stops answering.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Goes on.
    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    #[track_caller]
    fn ask(&self, words: &str) {
        let socket = self.process.dir().join("knot.sock");
        let mut command = Command::new(&self.control);
        command.arg("-s").arg(socket).args(words.split(' '));
        let output = command.output().expect("it is installed");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}: {said}");
    }
}
