//! Where one process follows the other.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::log::ask;
use crate::support::{Origin, Process, answers, free_addr, temp_dir};

/// A place with a file, an admin socket, and one process after the other.
pub(super) struct Place {
    pub(super) dir: TempDir,
    pub(super) addr: SocketAddr,
    /// A second frontend, which leaves.
    pub(super) other: SocketAddr,
    pub(super) origin: Origin,
}

impl Place {
    pub(super) fn new() -> Self {
        let place = Self {
            dir: temp_dir(),
            addr: free_addr(),
            other: free_addr(),
            origin: Origin::ok("hello"),
        };
        place.write(2, "");
        place
    }

    pub(super) fn write(&self, workers: usize, more: &str) {
        let text = format!(
            "[global]\nworkers = {workers}\nadmin = \"{}\"\ndrain_timeout = \"5s\"\nclose_idle_after = \"5s\"\n\
             [[listen]]\nname = \"web\"\nbind = \"{}\"\nserver = [\n\
             {{ name = \"s1\", address = \"{2}\" }},\n{{ name = \"s2\", address = \"{2}\" }}]\n{more}",
            self.socket().display(),
            self.addr,
            self.origin.addr()
        );
        self.write_text(&text);
    }

    /// Renamed over: the running process follows the file, and half of it may be valid.
    pub(super) fn write_text(&self, text: &str) {
        let temporary = self.dir.path().join("next");
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(temporary, self.file()).unwrap();
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.path().join("lb.toml")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    pub(super) fn first(&self) -> Process {
        let mut process = self.spawn(&[]);
        process.wait_ready(|| answers(self.addr) && UnixStream::connect(self.socket()).is_ok());
        process
    }

    pub(super) fn successor(&self) -> Process {
        self.successor_through(&self.socket())
    }

    pub(super) fn successor_through(&self, socket: &Path) -> Process {
        self.spawn(&["--takeover".as_ref(), socket.as_os_str()])
    }

    pub(super) fn spawn(&self, args: &[&std::ffi::OsStr]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rlb"));
        command.arg("-f").arg(self.file()).args(args);
        Process::start(&mut command, temp_dir())
    }

    /// One command on the admin socket.
    pub(super) fn ask(&self, command: &str) -> String {
        ask(&self.socket(), command)
    }

    pub(super) fn pid(&self) -> i32 {
        let info = self.ask("show info");
        let line = info.lines().find_map(|line| line.strip_prefix("Pid: "));
        line.unwrap_or_else(|| panic!("{info}")).parse().unwrap()
    }

    /// Waits until `successor` answers on the admin socket.
    #[track_caller]
    pub(super) fn wait_succeeded(&self, successor: &mut Process) {
        let pid = successor.pid().as_raw_nonzero().get();
        successor.wait_ready(|| UnixStream::connect(self.socket()).is_ok() && self.pid() == pid);
    }
}
