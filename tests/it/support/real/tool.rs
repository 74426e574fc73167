//! Programs that run once and print: curl, wrk, ab.

use std::ffi::OsStr;
use std::io::PipeWriter;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use super::{Part, find};
use crate::support::Process;
use crate::support::process::temp_dir;

/// A program that was found.
#[derive(Debug)]
pub(crate) struct Tool(PathBuf);

/// How it ended and what it printed.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// One of the client programs.
#[track_caller]
pub(crate) fn tool(part: Part) -> Option<Tool> {
    find(part).map(Tool)
}

impl Tool {
    /// Where it is.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Starts it and lets it run.
    #[track_caller]
    pub(crate) fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Process {
        Process::start(Command::new(&self.0).args(args), temp_dir())
    }

    /// Starts it on a terminal of 132 columns that `script` makes; what is written to
    /// the pipe are its keys.
    #[track_caller]
    pub(crate) fn in_terminal<'a>(
        &self,
        args: impl IntoIterator<Item = &'a str>,
    ) -> (Process, PipeWriter) {
        let words = args
            .into_iter()
            .fold(self.0.display().to_string(), |line, word| {
                format!("{line} '{word}'")
            });
        let (reader, writer) = std::io::pipe().expect("descriptors left");
        let line = format!("stty cols 132 rows 40; exec {words}");
        let mut command = Command::new("script");
        command
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm");
        let process = Process::start_with_stdin(&mut command, temp_dir(), reader.into());
        (process, writer)
    }

    /// Runs it to its end, however long that takes: it has a timeout of its own.
    #[track_caller]
    pub(crate) fn run_long<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Said {
        let output = Command::new("timeout")
            .arg("120")
            .arg(&self.0)
            .args(args)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("timeout is one of coreutils");
        Said {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it to its end, which must come within [`crate::support::PATIENCE`].
    #[track_caller]
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Said {
        self.run_with_stdin(args, "")
    }

    /// The same with something to read.
    #[track_caller]
    pub(crate) fn run_with_stdin<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        stdin: &str,
    ) -> Said {
        let dir = temp_dir();
        let file = dir.path().join("stdin");
        std::fs::write(&file, stdin).expect("temporary directory");
        let stdin = std::fs::File::open(&file).expect("just written");
        let mut command = Command::new(&self.0);
        let mut process = Process::start_with_stdin(command.args(args), dir, stdin.into());
        let status = process.wait_exit();
        Said {
            status,
            stdout: process.stdout(),
            stderr: process.stderr(),
        }
    }
}
