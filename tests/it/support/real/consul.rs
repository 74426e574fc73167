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

/// Where the program is, for those who run it themselves.
#[track_caller]
pub(crate) fn consul_program() -> Option<PathBuf> {
    find()
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

/// One server of a cluster.
#[derive(Debug)]
pub(crate) struct Member {
    addr: SocketAddr,
    raft: u16,
    process: Process,
}

/// Three servers with a leader; `None` = there is no Consul to be had.
#[track_caller]
pub(crate) fn cluster() -> Option<Vec<Member>> {
    let program = find()?;
    let port = || free_addr().port();
    let ports: Vec<[u16; 4]> = (0..3).map(|_| [port(), port(), port(), port()]).collect();
    let join: Vec<_> = ports
        .iter()
        .map(|[_, _, lan, _]| format!("\"127.0.0.1:{lan}\""))
        .collect();
    let join = join.join(",");
    let members = ports.iter().enumerate().map(|(index, [http, raft, lan, wan])| {
        let dir = temp_dir();
        let config = format!(
            r#"{{"ports":{{"http":{http},"dns":-1,"grpc":-1,"server":{raft},"serf_lan":{lan},"serf_wan":{wan}}},"disable_update_check":true,"server":true,"bootstrap_expect":3,"node_name":"n{index}","data_dir":"{}","retry_join":[{join}],"retry_interval":"1s","performance":{{"raft_multiplier":1}}}}"#,
            dir.path().display()
        );
        std::fs::write(dir.path().join("c.json"), config).expect("temporary directory");
        let mut command = Command::new(&program);
        command.args(["agent", "-bind", "127.0.0.1", "-client", "127.0.0.1"]);
        command.arg("-config-file").arg(dir.path().join("c.json"));
        Member {
            addr: SocketAddr::from(([127, 0, 0, 1], *http)),
            raft: *raft,
            process: Process::start(&mut command, dir),
        }
    });
    let members: Vec<_> = members.collect();
    for member in &members {
        wait_for_leader(member.addr);
    }
    Some(members)
}

impl Member {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether the others follow it, as far as it knows.
    pub(crate) fn leads(&self) -> bool {
        let leader = crate::support::consul::ask(self.addr, "GET", "/v1/status/leader", "");
        leader.is_ok_and(|(_, body)| body.contains(&format!(":{}\"", self.raft)))
    }

    /// Whether it knows of a leader.
    pub(crate) fn is_led(&self) -> bool {
        let put = crate::support::consul::ask(self.addr, "PUT", "/v1/kv/led", "1");
        put.is_ok_and(|(status, _)| status == 200)
    }

    /// Kills it.
    pub(crate) fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait_exit();
    }
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
