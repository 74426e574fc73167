//! The real Podman: its service on a socket of our own, as root, without systemd.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use tempfile::TempDir;

use super::docker::{said, whoami};
use super::{Part, find, skip};
use crate::support::process::temp_dir;
use crate::support::{Process, wait_until};

/// A running service with the image `web`.
#[derive(Debug)]
pub(crate) struct RealPodman {
    podman: PathBuf,
    process: Option<Process>,
    /// On a disk: overlay does not lie on another one.
    dir: TempDir,
    /// All of them have one bridge.
    _lock: File,
}

/// Starts one; `None` = there is none to be had, or it cannot run a container here.
#[track_caller]
pub(crate) fn podman() -> Option<RealPodman> {
    if !rustix::process::geteuid().is_root() {
        skip("podman", "only root can run its containers here");
        return None;
    }
    // Of the two that Podman knows the one that takes any kind of cgroups.
    let (podman, _) = (find(Part::Podman)?, find(Part::Runc)?);
    let lock = File::create("/var/tmp/rlb-podman.lock").expect("a writable /var/tmp");
    flock(&lock, FlockOperation::LockExclusive).expect("a local file can be locked");
    let dir = tempfile::Builder::new()
        .prefix("rlb-podman")
        .tempdir_in("/var/tmp");
    let mut podman = RealPodman {
        podman,
        process: None,
        dir: dir.expect("space"),
        _lock: lock,
    };
    fs::write(podman.path("containers.conf"), SETTINGS).expect("just made");
    podman.import_web();
    if let Err(reason) = podman.try_one() {
        skip("podman", &reason);
        return None;
    }
    podman.come_up();
    Some(podman)
}

impl RealPodman {
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("podman.sock")
    }

    /// Runs the client to its end, which must be a good one; what it printed.
    #[track_caller]
    pub(crate) fn podman<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        said(self.command().args(args))
    }

    pub(crate) fn run(&self, name: &str, labels: &[(&str, &str)], env: &[(&str, &str)]) {
        let mut command = self.command();
        command.args(["run", "-d", "--name", name, "--hostname", name]);
        for (label, value) in labels {
            command.args(["--label", &format!("{label}={value}")]);
        }
        for (variable, value) in env {
            command.args(["-e", &format!("{variable}={value}")]);
        }
        said(command.arg("web"));
    }

    /// The service ends; containers never needed it.
    pub(crate) fn go_down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait_exit();
        }
    }

    pub(crate) fn come_up(&mut self) {
        // The service removes no socket.
        let _ = fs::remove_file(self.socket());
        let mut command = self.command();
        let socket = format!("unix://{}", self.socket().display());
        command.args(["system", "service", "--time", "0", &socket]);
        self.process = Some(Process::start(&mut command, temp_dir()));
        let patience = Duration::from_secs(60);
        wait_until(patience, "podman listens", || self.socket().exists());
    }

    /// The application of the demos, from its one file.
    fn import_web(&self) {
        let context = temp_dir();
        let (program, archive) = (context.path().join("whoami"), context.path().join("w.tar"));
        whoami(&program);
        let mut tar = Command::new("tar");
        let directory = [OsStr::new("-C"), context.path().as_os_str()];
        said(tar.arg("-cf").arg(&archive).args(directory).arg("whoami"));
        let mut import = self.command();
        import.args(["import", "-q"]);
        import.args(["-c", "ENTRYPOINT [\"/whoami\"]", "-c", "EXPOSE 80"]);
        said(import.arg(&archive).arg("web"));
    }

    /// Whether this machine lets it.
    fn try_one(&self) -> Result<(), String> {
        let mut command = self.command();
        let output = command.args(["run", "-d", "--name", "first", "web"]);
        let output = output.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            self.podman(["rm", "-f", "-t", "1", "first"]);
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(text.lines().next_back().unwrap_or("no reason").to_owned())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.podman);
        command
            .env("CONTAINERS_CONF", self.path("containers.conf"))
            .arg("--root")
            .arg(self.path("data"))
            .arg("--runroot")
            .arg(self.path("run"))
            .args(["--cgroup-manager", "cgroupfs"]);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for RealPodman {
    /// Whatever a test left behind goes.
    fn drop(&mut self) {
        let quietly = |command: &mut Command| {
            let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        };
        quietly(self.command().args(["rm", "-f", "-a", "-t", "1"]));
        self.go_down();
        let overlay: &Path = &self.path("data/overlay");
        quietly(Command::new("umount").arg(overlay));
    }
}

/// As root in a container or a small virtual machine has it: cgroups without systemd,
/// no journal, no right to raise limits.
const SETTINGS: &str = r#"[containers]
default_ulimits = ["nofile=1024:20000", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;
