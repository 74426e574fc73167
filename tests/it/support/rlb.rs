//! The binary under test.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::process::temp_dir;
use super::{PATIENCE, Process, answers, wait_until};

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
    user: Option<u32>,
}

impl Rlb {
    /// An rlb with this configuration: `Rlb::with(text).ready_on(addr).start()`.
    pub(crate) fn with(config: impl Into<String>) -> Builder {
        Builder {
            config: config.into(),
            ready_on: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            user: None,
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

    /// As this user, with no group of root's.
    pub(crate) fn user(mut self, id: u32) -> Self {
        self.user = Some(id);
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
        if let Some(id) = self.user {
            for path in [dir.path(), &file] {
                std::os::unix::fs::chown(path, Some(id), Some(id)).expect("root");
            }
            command.uid(id).gid(id);
        }
        let mut process = Process::start(&mut command, dir);
        // The admin socket opens behind the binds.
        let admin = (!self.ready_on.is_empty()).then(|| admin_socket(&self.config));
        let admin = admin.flatten();
        process.wait_ready(|| {
            self.ready_on.iter().all(|addr| answers(*addr)) && admin.is_none_or(Path::exists)
        });
        Rlb(process)
    }
}

impl Rlb {
    /// Reads its file again, with this in it, and waits until that is in force.
    #[track_caller]
    pub(crate) fn reload(&self, config: &str) {
        let done = || self.stderr().matches("reloaded").count();
        let before = done();
        std::fs::write(self.dir().join("lb.toml"), config).expect("temporary directory");
        self.signal(Signal::HUP);
        wait_until(PATIENCE, "the file is in force", || done() > before);
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

/// The admin socket that a configuration names.
fn admin_socket(config: &str) -> Option<&Path> {
    let (_, behind) = config.split_once("admin = \"/")?;
    let end = behind.find('"')?;
    let start = config.len() - behind.len() - 1;
    Some(Path::new(&config[start..=start + end]))
}
