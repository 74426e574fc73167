//! The real Docker: dockerd, started by root without systemd and without touching
//! iptables, one at a time on a machine.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Part, find, skip};
use crate::support::process::temp_dir;
use crate::support::{Process, pause, wait_until};

/// A running engine with the image `web`.
#[derive(Debug)]
pub(crate) struct RealDocker {
    dockerd: PathBuf,
    client: PathBuf,
    process: Option<Process>,
    /// On a disk: overlay2 does not lie on another overlay.
    dir: TempDir,
    /// Of its containers. Two engines would fight for one.
    bridge: &'static str,
    /// Of the first engine of a test.
    _lock: Option<File>,
}

/// Starts one; `None` = there is none to be had.
#[track_caller]
pub(crate) fn docker() -> Option<RealDocker> {
    if !rustix::process::geteuid().is_root() {
        skip("docker", "only root can start dockerd");
        return None;
    }
    let (dockerd, client) = (find(Part::Dockerd)?, find(Part::Docker)?);
    let lock = File::create("/var/tmp/rlb-docker.lock").expect("a writable /var/tmp");
    flock(&lock, FlockOperation::LockExclusive).expect("a local file can be locked");
    let docker = RealDocker::start(dockerd, client, FIRST_BRIDGE, Some(lock));
    Some(docker)
}

impl RealDocker {
    fn start(dockerd: PathBuf, client: PathBuf, bridge: &'static str, lock: Option<File>) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("rlb-docker")
            .tempdir_in("/var/tmp");
        let mut docker = Self {
            dockerd,
            client,
            process: None,
            dir: dir.expect("space"),
            bridge,
            _lock: lock,
        };
        docker.come_up();
        docker.build_web();
        docker
    }

    /// Another engine, that shares nothing with this one but the machine.
    #[track_caller]
    pub(crate) fn beside(&self) -> Self {
        // Left behind by a run that was killed.
        let _ = Command::new("ip")
            .args(["link", "del", SECOND_BRIDGE])
            .output();
        for words in [
            &["link", "add", SECOND_BRIDGE, "type", "bridge"][..],
            &["addr", "add", "172.31.251.1/24", "dev", SECOND_BRIDGE],
            &["link", "set", SECOND_BRIDGE, "up"],
        ] {
            said(Command::new("ip").args(words));
        }
        let (dockerd, client) = (self.dockerd.clone(), self.client.clone());
        Self::start(dockerd, client, SECOND_BRIDGE, None)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// Runs the client to its end, which must be a good one; what it printed.
    #[track_caller]
    pub(crate) fn docker<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        let mut command = Command::new(&self.client);
        said(self.with_engine(command.args(args)))
    }

    /// Runs compose in this directory.
    #[track_caller]
    pub(crate) fn compose<A: AsRef<OsStr>>(
        &self,
        compose: &Compose,
        directory: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> String {
        let mut command = match compose {
            Compose::One(program) => Command::new(program),
            Compose::Two(config) => {
                let mut command = Command::new(&self.client);
                command.env("DOCKER_CONFIG", config).arg("compose");
                command
            }
        };
        said(self.with_engine(command.current_dir(directory).args(args)))
    }

    /// `docker-compose` 1.29.
    #[track_caller]
    fn compose_1(&self) -> Option<Compose> {
        find(Part::DockerCompose).map(Compose::One)
    }

    /// `docker compose` 2: Debian has it in trixie.
    fn compose_2(&self) -> Option<Compose> {
        let config = Path::new(COMPOSE_2);
        let plugin = config.join("cli-plugins/docker-compose");
        if !plugin.is_file()
            && let Err(reason) = fetch_compose_2(config)
        {
            skip("docker compose 2", &reason);
            return None;
        }
        Some(Compose::Two(config.to_owned()))
    }

    /// Those that are there.
    #[track_caller]
    pub(crate) fn composes(&self) -> impl Iterator<Item = Compose> + use<> {
        [self.compose_1(), self.compose_2()].into_iter().flatten()
    }

    fn with_engine<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let host = format!("unix://{}", self.socket().display());
        command
            .env("DOCKER_HOST", host)
            .env("DOCKER_BUILDKIT", "0")
            .env("COMPOSE_DOCKER_CLI_BUILD", "0")
    }

    pub(crate) fn run(&self, name: &str, labels: &[(&str, &str)], env: &[(&str, &str)]) {
        let mut args: Vec<String> = ["run", "-d", "--name", name, "--hostname", name]
            .map(str::to_owned)
            .to_vec();
        for (label, value) in labels {
            args.extend(["--label".into(), format!("{label}={value}")]);
        }
        for (variable, value) in env {
            args.extend(["-e".into(), format!("{variable}={value}")]);
        }
        args.push("web".into());
        self.docker(args);
    }

    /// The image of a directory with a Dockerfile.
    #[track_caller]
    pub(crate) fn build(&self, tag: &str, directory: &Path) {
        let directory = directory.display().to_string();
        self.docker(["build", "-q", "-t", tag, &directory]);
    }

    /// The application of the demos, from its one file.
    fn build_web(&self) {
        let context = temp_dir();
        whoami(&context.path().join("whoami"));
        let image = "FROM scratch\nCOPY whoami /whoami\nEXPOSE 80\nENTRYPOINT [\"/whoami\"]\n";
        fs::write(context.path().join("Dockerfile"), image).expect("temporary directory");
        self.build("web", context.path());
    }

    /// dockerd ends; its containers go on.
    pub(crate) fn go_down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait_exit();
        }
    }

    pub(crate) fn come_up(&mut self) {
        self.launch();
        let patience = Duration::from_secs(60);
        wait_until(patience, "dockerd answers", || self.answers());
    }

    fn launch(&mut self) {
        let path = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(&self.dockerd);
        command
            .args([
                "--iptables=false",
                "--ip6tables=false",
                "--live-restore",
                "--bridge",
                // The default one it makes itself, but only if it is not named.
                if self.bridge == FIRST_BRIDGE {
                    ""
                } else {
                    self.bridge
                },
                "--data-root",
            ])
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("-p")
            .arg(path("pid"))
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()));
        self.process = Some(Process::start(&mut command, temp_dir()));
    }

    fn answers(&self) -> bool {
        let mut client = Command::new(&self.client);
        let asked = self.with_engine(client.arg("version")).output();
        asked.is_ok_and(|output| output.status.success())
    }
}

impl Drop for RealDocker {
    /// Whatever a test left behind goes.
    fn drop(&mut self) {
        let quietly = |command: &mut Command| {
            let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        };
        // Containers live on without it, and only it ends them.
        if self.process.is_none() {
            self.launch();
            let end = Instant::now() + Duration::from_secs(60);
            while !self.answers() && Instant::now() < end {
                pause();
            }
        }
        let mut client = Command::new(&self.client);
        let all = self.with_engine(client.args(["ps", "-aq"])).output();
        let all = all.map(|output| output.stdout).unwrap_or_default();
        for id in String::from_utf8_lossy(&all).split_whitespace() {
            quietly(self.with_engine(Command::new(&self.client).args(["rm", "-f", id])));
        }
        quietly(self.with_engine(Command::new(&self.client).args(["network", "prune", "-f"])));
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait_exit();
        }
        for mount in ["exec/netns/default", "data"] {
            quietly(Command::new("umount").arg(self.dir.path().join(mount)));
        }
        quietly(Command::new("ip").args(["link", "del", self.bridge]));
    }
}

/// One of the two that people have.
#[derive(Debug)]
pub(crate) enum Compose {
    /// The program.
    One(PathBuf),
    /// A directory for DOCKER_CONFIG that has the plugin.
    Two(PathBuf),
}

/// Unpacks trixie's package, whatever release this is.
fn fetch_compose_2(config: &Path) -> Result<(), String> {
    if std::env::var_os("RLB_NO_INSTALL").is_some() {
        return Err("not there, and RLB_NO_INSTALL is set".to_owned());
    }
    let mut shell = Command::new("sh");
    let output = shell.args(["-euc", FETCH, "sh"]).arg(config).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

const FIRST_BRIDGE: &str = "docker0";
const SECOND_BRIDGE: &str = "rlb-docker1";
const COMPOSE_2: &str = "/var/tmp/rlb-compose";
/// apt with lists of its own, from the mirror it uses anyway.
const FETCH: &str = r#"
T="$1/apt"; mkdir -p "$T/lists/partial" "$T/cache/archives/partial" "$T/out" "$1/cli-plugins"
cat > "$T/apt.conf" <<CONF
Dir::Etc::sourcelist "$T/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$T/lists";
Dir::Cache "$T/cache";
Acquire::Languages "none";
CONF
M=$(sed -n 's/^URIs: *//p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\(http[^ ]*\).*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $M trixie main" > "$T/sources.list"
export APT_CONFIG="$T/apt.conf"
timeout 120 apt-get update -qq
cd "$T/out"
timeout 120 apt-get download -qq docker-compose
dpkg-deb -x docker-compose_*.deb "$T/root"
cp "$T/root/usr/libexec/docker/cli-plugins/docker-compose" "$1/cli-plugins/"
"#;

/// Compiles the application of the demos, with nothing it would need at run time.
pub(super) fn whoami(to: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/web/whoami.rs");
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--edition", "2024", "-O"])
        .args(["-C", "panic=abort", "-C", "strip=symbols"])
        .args(["-C", "target-feature=+crt-static"])
        .args(["--target", "x86_64-unknown-linux-gnu", "-o"])
        .args([to, &source]);
    said(&mut rustc);
}

/// What a command printed; it must end well.
#[track_caller]
pub(super) fn said(command: &mut Command) -> String {
    let output: Output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}
