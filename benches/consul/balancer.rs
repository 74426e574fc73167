//! A running rlb, and the CPU time of its threads.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{PATIENCE, Result, pause};

/// One backend, `web`, with the instances of one service; ends when it is dropped.
pub(crate) struct Balancer {
    child: Child,
    bind: SocketAddr,
    dir: tempfile::TempDir,
}

/// CPU time since the start.
#[derive(Default)]
pub(crate) struct Cpu {
    /// Of the control thread.
    pub(crate) control: Duration,
    /// Of all others: workers, log, and the blocking threads that read JSON.
    pub(crate) others: Duration,
}

impl Balancer {
    pub(crate) fn start(consul: SocketAddr, service: &str, checked: bool) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let bind = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let path = dir.path().display();
        let check = match checked {
            true => "",
            false => "check = false\n",
        };
        let text = format!(
            "[global]\nworkers = 1\nadmin = \"{path}/admin.sock\"\nstate_dir = \"{path}\"\n\
             [discovery.consul]\naddress = \"http://{consul}\"\n\
             [[listen]]\nname = \"web\"\nbind = \"{bind}\"\n\
             source = {{ consul = \"{service}\" }}\n{check}"
        );
        std::fs::write(dir.path().join("lb.toml"), text)?;
        let child = Command::new(env!("CARGO_BIN_EXE_rlb"))
            .arg("-f")
            .arg(dir.path().join("lb.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let balancer = Self { child, bind, dir };
        balancer.wait("rlb does not start", || {
            UnixStream::connect(balancer.dir.path().join("admin.sock")).is_ok()
        })?;
        Ok(balancer)
    }

    pub(crate) fn bind(&self) -> SocketAddr {
        self.bind
    }

    /// Waits until a server is in force, or is not any more.
    pub(crate) fn wait_for(&self, server: &str, is_there: bool) -> Result<()> {
        self.wait(server, || {
            let answer = self.ask(&format!("get weight web/{server}"));
            answer.is_ok_and(|answer| answer.contains("initial") == is_there)
        })
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
        let begin = Instant::now();
        while !is_so() {
            if begin.elapsed() > PATIENCE {
                return Err(format!("not within {PATIENCE:?}: {what}").into());
            }
            pause(Duration::from_millis(1));
        }
        Ok(())
    }

    fn ask(&self, command: &str) -> Result<String> {
        let mut stream = UnixStream::connect(self.dir.path().join("admin.sock"))?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// What its threads have used, to the nanosecond (Linux' `schedstat`).
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        let mut cpu = Cpu::default();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let path = task?.path();
            // One that has ended meanwhile did so before it was asked.
            let Ok(name) = std::fs::read_to_string(path.join("comm")) else {
                continue;
            };
            let Ok(used) = std::fs::read_to_string(path.join("schedstat")) else {
                continue;
            };
            let used = used.split(' ').next().and_then(|ns| ns.parse().ok());
            let used = Duration::from_nanos(used.ok_or("schedstat without a number")?);
            match name.trim() {
                "control" => cpu.control += used,
                _ => cpu.others += used,
            }
        }
        Ok(cpu)
    }
}

impl Cpu {
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            control: self.control.saturating_sub(before.control),
            others: self.others.saturating_sub(before.others),
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
