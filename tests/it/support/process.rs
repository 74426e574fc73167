//! A child process in its own directory, ended by its pid when dropped.

use std::fs::{self, File};

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, pause, wait_until};

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    dir: TempDir,
}

impl Process {
    /// Starts `command`; what it prints is kept in `dir`, which goes with the process.
    pub(crate) fn start(command: &mut Command, dir: TempDir) -> Self {
        Self::start_with_stdin(command, dir, Stdio::null())
    }

    /// The same, with something to read or to inherit.
    pub(crate) fn start_with_stdin(command: &mut Command, dir: TempDir, stdin: Stdio) -> Self {
        let file = |name: &str| File::create(dir.path().join(name)).expect("temporary directory");
        let child = command
            .stdin(stdin)
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, dir }
    }

    /// Waits until `ready`; panics with its stderr if it ends before, or takes too long.
    #[track_caller]
    pub(crate) fn wait_ready(&mut self, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            if let Some(status) = self.child.try_wait().expect("our child") {
                panic!("ended before it was ready ({status}):\n{}", self.stderr());
            }
            assert!(
                Instant::now() < deadline,
                "not ready within {PATIENCE:?}:\n{}",
                self.stderr()
            );
            pause();
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal. The pid is ours: the child is not waited for before it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a running child");
    }

    /// Whether another process traces all its threads.
    pub(crate) fn is_traced(&self) -> bool {
        let tasks = fs::read_dir(self.proc("task")).expect("a running child");
        let mut statuses =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
        statuses.all(|status| !status.contains("TracerPid:\t0\n"))
    }

    /// Bytes of memory it holds.
    pub(crate) fn resident(&self) -> usize {
        // VmRSS of `status` is off by what each core has not added yet.
        let text = fs::read_to_string(self.proc("smaps_rollup")).expect("a running child");
        let mut lines = text.lines();
        let kib = lines.find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<usize>().ok())
            .expect("a line of the kernel")
            << 10
    }

    /// Descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd"))
            .expect("a running child")
            .count()
    }

    /// CPU time it has used, of all its threads.
    pub(crate) fn cpu_time(&self) -> std::time::Duration {
        let stat = fs::read_to_string(self.proc("stat")).expect("a running child");
        // The name may hold anything but is the last thing in parentheses.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let ticks: u64 = [12, 13]
            .map(|i: usize| fields[i].parse::<u64>().expect("a number"))
            .iter()
            .sum();
        std::time::Duration::from_millis(ticks * 10)
    }

    /// A file under `/proc/PID`.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.child.id().to_string())
            .join(name)
    }

    /// What it printed so far.
    pub(crate) fn stdout(&self) -> String {
        read(&self.dir.path().join("stdout"))
    }

    pub(crate) fn stderr(&self) -> String {
        read(&self.dir.path().join("stderr"))
    }

    /// Waits until it ends by itself or by a signal that was sent.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until(PATIENCE, "the process ends", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("waited for it")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // TERM first, for those that must end children of their own (nginx); twice, for
        // those that drain on the first. CONT, because a stopped process takes neither.
        for signal in [Signal::TERM, Signal::TERM, Signal::CONT] {
            let _ = kill_process(self.pid(), signal);
        }
        let deadline = Instant::now() + std::time::Duration::from_secs(1);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            pause();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A new directory for a program.
pub(crate) fn temp_dir() -> TempDir {
    tempfile::Builder::new()
        .prefix("rlb-it-")
        .tempdir()
        .expect("temporary directory")
}

/// A file that a program writes; empty while it is not there.
pub(super) fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
