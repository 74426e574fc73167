//! The binary under test.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

use super::process::temp_dir;
use super::{Process, answers};

/// `rlb -f FILE`, running.
#[derive(Debug)]
pub(crate) struct Rlb(Process);

/// How it is to be started.
#[derive(Debug)]
pub(crate) struct Builder {
    config: String,
    ready_on: Vec<SocketAddr>,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
}

impl Rlb {
    /// An rlb with this configuration: `Rlb::with(text).ready_on(addr).start()`.
    pub(crate) fn with(config: impl Into<String>) -> Builder {
        Builder {
            config: config.into(),
            ready_on: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// `rlb demo` with these arguments.
    pub(crate) fn demo(args: &[&str]) -> Self {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_rlb")));
        command.arg("demo").args(args);
        Self(Process::start(&mut command, temp_dir()))
    }
}

impl Builder {
    /// `start` returns once this address accepts connections.
    pub(crate) fn ready_on(mut self, addr: SocketAddr) -> Self {
        self.ready_on.push(addr);
        self
    }

    /// One more argument, after `-f FILE`.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// One more variable in its environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Starts it; the file is `lb.toml` in [`Process::dir`].
    #[track_caller]
    pub(crate) fn start(self) -> Rlb {
        let dir = temp_dir();
        let file = dir.path().join("lb.toml");
        std::fs::write(&file, &self.config).expect("temporary directory");
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_rlb")));
        command.arg("-f").arg(&file).args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(&mut command, dir);
        process.wait_ready(|| self.ready_on.iter().all(|addr| answers(*addr)));
        Rlb(process)
    }
}

impl Deref for Rlb {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for Rlb {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}
