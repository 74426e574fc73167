//! The program that this process runs, and how it is started again.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::SILENCE_MAX;

/// What a process was started as; what stands at that path later is its successor.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// What a refused check may say in a reply.
const SAID_MAX: usize = 64 * 1024;

impl Program {
    /// An argument that asks a program to start itself as nobody's child. A service
    /// manager takes on a process as the main one when it is a child of its own, and
    /// an orphan is; of others it does not wait for the end.
    pub const ORPHAN: &str = "--orphan";

    /// This process, by its arguments. `None` = its path is not known. To be called
    /// at the start: the kernel forgets a path whose file was replaced.
    pub fn this() -> Option<Self> {
        let mut arguments = env::args_os();
        let path = path_of(arguments.next().as_ref().map(Path::new))?;
        Some(Self {
            path,
            arguments: without_takeover(arguments),
        })
    }

    /// Does what [`ORPHAN`](Self::ORPHAN) asks for: starts this program again without
    /// it, and tells the number of that process to whoever is at the other end of
    /// standard input. To be followed by the end of this process.
    ///
    /// # Errors
    /// A sentence.
    pub fn start_orphan() -> Result<(), String> {
        let mut arguments = env::args_os();
        let path = path_of(arguments.next().as_ref().map(Path::new));
        let path = path.ok_or("the path of this program is not known")?;
        let child = std::process::Command::new(path)
            .args(arguments.filter(|argument| argument != Self::ORPHAN))
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let number = format!("{}\n", child.id());
        // Whoever asked may have ended: the process it asked for finds nobody then.
        let _ = rustix::io::write(rustix::stdio::stdin(), number.as_bytes());
        Ok(())
    }

    /// Has the program read its files, and nothing else.
    ///
    /// # Errors
    /// What it says, or one sentence.
    pub(super) async fn check(&self) -> Result<(), String> {
        let mut command = self.command();
        command.arg("--check").stdin(Stdio::null());
        command.kill_on_drop(true);
        let output = timeout(SILENCE_MAX, command.output()).await;
        let output = output.map_err(|_| self.sentence("does not check its files in time"))?;
        let output = output.map_err(|error| self.not_started(&error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = &said[..said.len().min(SAID_MAX)];
        Err(format!(
            "{}\n{}",
            self.sentence(&format!("refuses its files ({})", output.status)),
            String::from_utf8_lossy(said)
        ))
    }

    /// Starts it as the successor of the process behind this admin socket. Returns
    /// its number.
    ///
    /// # Errors
    /// A sentence: the system refuses, or it ends at once.
    pub(super) async fn succeed(&self, socket: &Path) -> Result<u32, String> {
        let (mut told, teller) = pair().map_err(|error| self.not_started(&error))?;
        let mut command = self.command();
        command.arg("--takeover").arg(socket).arg(Self::ORPHAN);
        command.stdin(Stdio::from(teller)).kill_on_drop(true);
        let started = timeout(SILENCE_MAX, command.status()).await;
        // Its end of the pair goes with it.
        drop(command);
        let status = started.map_err(|_| self.silent())?;
        let status = status.map_err(|error| self.not_started(&error))?;
        let mut number = String::new();
        // A child that got hold of standard input would keep us here.
        let read = timeout(SILENCE_MAX, told.read_to_string(&mut number)).await;
        match (status.success(), read, number.trim().parse()) {
            (true, Ok(Ok(_)), Ok(pid)) => Ok(pid),
            _ => Err(self.ended(&format!(" ({status})"))),
        }
    }

    /// It ended before it had taken anything over.
    pub(super) fn ended(&self, how: &str) -> String {
        self.sentence(&format!(
            "ended{how} before it took over; its standard error, which is this process's, says why"
        ))
    }

    /// It is slow.
    pub(super) fn silent(&self) -> String {
        self.sentence("has not taken over in time and was ended")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        command
    }

    fn not_started(&self, error: &io::Error) -> String {
        self.sentence(&format!("does not start: {error}"))
    }

    fn sentence(&self, what: &str) -> String {
        format!("{} {what}", self.path.display())
    }
}

/// Our end, and the other for a child.
fn pair() -> io::Result<(tokio::net::UnixStream, OwnedFd)> {
    let (ours, other) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((tokio::net::UnixStream::from_std(ours)?, other.into()))
}

/// The path as it was written, if the program is there: a link that leads to the
/// next version is followed then. Else where the file is.
fn path_of(written: Option<&Path>) -> Option<PathBuf> {
    let running = fs::metadata("/proc/self/exe").ok()?;
    let is_running = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|at| (at.dev(), at.ino()) == (running.dev(), running.ino()))
    };
    // A name alone was looked for in PATH, which may lead elsewhere tomorrow.
    written
        .filter(|path| path.as_os_str().as_bytes().contains(&b'/'))
        .and_then(|path| std::path::absolute(path).ok())
        .filter(is_running)
        .or_else(|| env::current_exe().ok().filter(is_running))
}

/// It has taken over already; its successor does from it.
fn without_takeover(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut kept = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument == "--takeover" {
            arguments.next();
        } else if !argument.as_bytes().starts_with(b"--takeover=") {
            kept.push(argument);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_takeover_is_left_out() {
        let kept = without_takeover(
            ["-q", "--takeover", "/run/a", "-f", "x", "--takeover=b"].map(OsString::from),
        );
        assert_eq!(kept, ["-q", "-f", "x"]);
    }

    #[test]
    fn a_path_counts_only_if_the_program_is_there() {
        let own = env::current_exe().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("rlb");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert_eq!(path_of(Some(&link)), Some(link));
        for other in ["/bin/sh", "rlb", "/nowhere/rlb", ""] {
            assert_eq!(
                path_of(Some(Path::new(other))),
                Some(own.clone()),
                "{other}"
            );
        }
        assert_eq!(path_of(None), Some(own));
    }
}
