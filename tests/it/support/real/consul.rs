//! The real Consul: 1.8.7, the last one Debian has (bullseye), unpacked from its package.
//! It needs nothing but libc.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::record;
use crate::support::consul::wait_for_leader;
use crate::support::process::temp_dir;
use crate::support::{Process, free_addr};

/// A running agent, a server of its own.
#[derive(Debug)]
pub(crate) struct RealConsul {
    program: PathBuf,
    addr: SocketAddr,
    dns: u16,
    more: String,
    process: Option<Process>,
}

/// Where it is unpacked: once, for all runs on this machine.
const ROOT: &str = "/var/tmp/rlb-consul";

/// Starts one on free ports, without data; `None` = there is none to be had.
#[track_caller]
pub(crate) fn consul() -> Option<RealConsul> {
    consul_with("{}")
}

/// The same with more configuration (JSON).
#[track_caller]
pub(crate) fn consul_with(more: &str) -> Option<RealConsul> {
    let program = find()?;
    let mut consul = RealConsul {
        program,
        addr: free_addr(),
        dns: free_addr().port(),
        more: more.to_owned(),
        process: None,
    };
    consul.start();
    Some(consul)
}

impl RealConsul {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Port of its DNS on 127.0.0.1.
    pub(crate) fn dns(&self) -> u16 {
        self.dns
    }

    /// Starts it anew on the same ports: without data, its index low again.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::KILL);
            process.wait_exit();
        }
    }

    #[track_caller]
    fn start(&mut self) {
        let dir = temp_dir();
        let port = || free_addr().port();
        let config = format!(
            r#"{{"ports":{{"http":{},"dns":{},"grpc":-1,"server":{},"serf_lan":{},"serf_wan":{}}},"disable_update_check":true,"limits":{{"http_max_conns_per_client":4096}}}}"#,
            self.addr.port(),
            self.dns,
            port(),
            port(),
            port()
        );
        std::fs::write(dir.path().join("c.json"), config).expect("temporary directory");
        std::fs::write(dir.path().join("d.json"), &self.more).expect("temporary directory");
        let mut command = Command::new(&self.program);
        command.args([
            "agent",
            "-dev",
            "-bind",
            "127.0.0.1",
            "-client",
            "127.0.0.1",
        ]);
        for file in ["c.json", "d.json"] {
            command.arg("-config-file").arg(dir.path().join(file));
        }
        self.process = Some(Process::start(&mut command, dir));
        wait_for_leader(self.addr);
    }
}

#[track_caller]
fn find() -> Option<PathBuf> {
    let program = Path::new(ROOT).join("root/usr/bin/consul");
    let found = match program.is_file() {
        true => Ok(()),
        false => install(),
    };
    match found {
        Ok(()) => {
            record::ran("consul", "1.8.7");
            Some(program)
        }
        Err(reason) => {
            record::skipped("consul", &reason);
            let is_required = std::env::var_os("RLB_REQUIRE_REAL").is_some();
            assert!(!is_required, "consul: {reason}");
            eprintln!("SKIPPED: no consul: {reason}");
            None
        }
    }
}

fn install() -> Result<(), String> {
    if std::env::var_os("RLB_NO_INSTALL").is_some() {
        return Err("not installed, and RLB_NO_INSTALL is set".into());
    }
    let _lock = record::install_lock();
    if Path::new(ROOT).join("root/usr/bin/consul").is_file() {
        return Ok(());
    }
    if let Some(reason) = record::failed_install("consul") {
        return Err(reason);
    }
    let done = Command::new("sh")
        .arg("-c")
        .arg(RECIPE)
        .arg("sh")
        .arg(ROOT)
        .output();
    let outcome = match done {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => {
            let text = String::from_utf8_lossy(&done.stderr);
            Err(text
                .lines()
                .last()
                .unwrap_or("the download failed")
                .to_owned())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(reason) = &outcome {
        record::install_failed("consul", reason);
    }
    outcome
}

/// Lists of its own, so that the system's stay as they are; from the mirror apt uses.
const RECIPE: &str = r#"
set -e
T=$1
mkdir -p $T/lists/partial $T/cache/archives/partial $T/out
cat > $T/apt.conf <<CONF
Dir::Etc::sourcelist "$T/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$T/lists";
Dir::Cache "$T/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
CONF
M=$(sed -n 's/^URIs: *//p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\(http[^ ]*\).*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $M bullseye main" > $T/sources.list
APT_CONFIG=$T/apt.conf apt-get update -qq
cd $T/out
APT_CONFIG=$T/apt.conf apt-get download -qq consul
dpkg-deb -x consul_*.deb $T/unpacked
mv $T/unpacked $T/root
"#;
