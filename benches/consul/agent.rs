//! A Consul agent of the bench's own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{PATIENCE, Result, pause};

/// It runs; ends when it is dropped.
pub(crate) struct Agent {
    child: Child,
    addr: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Agent {
    pub(crate) fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let free = || -> Result<u16> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            Ok(listener.local_addr()?.port())
        };
        let http = free()?;
        let config = json!({
            "ports": {
                "http": http, "dns": -1, "grpc": -1,
                "server": free()?, "serf_lan": free()?, "serf_wan": free()?,
            },
            "disable_update_check": true,
            "limits": { "http_max_conns_per_client": 4096 },
        });
        std::fs::write(dir.path().join("c.json"), config.to_string())?;
        let child = Command::new(program())
            .args([
                "agent",
                "-dev",
                "-bind",
                "127.0.0.1",
                "-client",
                "127.0.0.1",
            ])
            .arg("-config-file")
            .arg(dir.path().join("c.json"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!("Consul does not start ({error}): name it in RLB_BENCH_CONSUL")
            })?;
        let agent = Self {
            child,
            addr: (Ipv4Addr::LOCALHOST, http).into(),
            _dir: dir,
        };
        let begin = Instant::now();
        while agent.put("/v1/kv/ready", "1").is_err() {
            if begin.elapsed() > PATIENCE {
                return Err("Consul has no leader".into());
            }
            pause(Duration::from_millis(20));
        }
        Ok(agent)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn register(&self, service: &str, id: &str, addr: SocketAddr) -> Result<()> {
        let body = json!({
            "ID": id, "Name": service, "Address": addr.ip(), "Port": addr.port(),
            "Tags": ["production", "version=1.0.0"],
        });
        self.put("/v1/agent/service/register", &body.to_string())
    }

    pub(crate) fn deregister(&self, id: &str) -> Result<()> {
        self.put(&format!("/v1/agent/service/deregister/{id}"), "")
    }

    fn put(&self, path: &str, body: &str) -> Result<()> {
        let mut stream = TcpStream::connect(self.addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: consul\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.starts_with("HTTP/1.1 200 ") {
            true => Ok(()),
            false => Err(format!("Consul, {path}: {answer}").into()),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    // Where the tests unpack it.
    let unpacked = PathBuf::from("/var/tmp/rlb-consul/root/usr/bin/consul");
    match std::env::var_os("RLB_BENCH_CONSUL") {
        Some(named) => named.into(),
        None if unpacked.is_file() => unpacked,
        None => "consul".into(),
    }
}
