//! A Consul agent: ours in this process, or the real one. Tests speak to both by its
//! HTTP API alone, so that the fake stays honest.

mod fake;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

pub(crate) use fake::{Fake, Fault};

use super::real::RealConsul;
use super::{PATIENCE, wait_until};

/// An agent that tests register services with.
#[derive(Debug)]
pub(crate) enum Consul {
    Fake(Fake),
    Real(RealConsul),
}

impl Consul {
    /// Where its API listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        match self {
            Self::Fake(fake) => fake.addr(),
            Self::Real(real) => real.addr(),
        }
    }

    /// Loses all it knows and starts anew, its index too.
    pub(crate) fn restart(&mut self) {
        match self {
            Self::Fake(fake) => fake.restart(),
            Self::Real(real) => real.restart(),
        }
    }

    /// Is not there any more.
    pub(crate) fn stop(&mut self) {
        match self {
            Self::Fake(fake) => fake.stop(),
            Self::Real(real) => real.stop(),
        }
    }

    /// One exchange with its API: status and body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        ask(self.addr(), method, path, body).expect("a running agent")
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &str) {
        let (status, text) = self.ask("PUT", path, body);
        assert_eq!(status, 200, "{path}: {text}");
    }

    /// Registers an instance of `web` called `id`.
    pub(crate) fn register(&self, id: &str, addr: SocketAddr) {
        self.register_with(id, addr, &json!({}));
    }

    /// The same with more of the API's keys.
    pub(crate) fn register_with(&self, id: &str, addr: SocketAddr, more: &Value) {
        let mut service = json!({
            "ID": id, "Name": "web", "Address": addr.ip().to_string(), "Port": addr.port(),
        });
        let keys = more.as_object().expect("an object").clone();
        service.as_object_mut().expect("an object").extend(keys);
        self.put("/v1/agent/service/register", &service.to_string());
    }

    pub(crate) fn deregister(&self, id: &str) {
        self.put(&format!("/v1/agent/service/deregister/{id}"), "");
    }

    /// What a TTL check of the instance says: `pass`, `warn`, `fail`.
    pub(crate) fn check(&self, id: &str, verdict: &str) {
        self.put(&format!("/v1/agent/check/{verdict}/service:{id}"), "");
    }

    pub(crate) fn maintenance(&self, id: &str, enable: bool) {
        let path = format!("/v1/agent/service/maintenance/{id}?enable={enable}&reason=moving");
        self.put(&path, "");
    }

    /// Instances of a service with the status of each of their own checks.
    pub(crate) fn instances(&self, service: &str) -> Vec<(String, String)> {
        let (_, body) = self.ask("GET", &format!("/v1/health/service/{service}"), "");
        let entries: Vec<Value> = serde_json::from_str(&body).expect("JSON");
        let one = |entry: &Value| {
            let id = entry["Service"]["ID"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let checks = entry["Checks"].as_array().cloned().unwrap_or_default();
            let own = checks.iter().find(|check| check["CheckID"] != "serfHealth");
            let status = own
                .and_then(|check| check["Status"].as_str())
                .unwrap_or("none");
            (id, status.to_owned())
        };
        entries.iter().map(one).collect()
    }
}

/// One exchange on a connection of its own.
pub(crate) fn ask(
    addr: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: consul\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = match head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        true => dechunked(body),
        false => body.to_owned(),
    };
    Ok((status.unwrap_or(0), body))
}

fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

/// Waits until an agent answers and has a leader.
#[track_caller]
pub(super) fn wait_for_leader(addr: SocketAddr) {
    // Three that elect one take their time on a busy machine.
    wait_until(3 * PATIENCE, "Consul has a leader", || {
        ask(addr, "GET", "/v1/status/leader", "").is_ok_and(|(_, body)| body.trim().len() > 2)
            && ask(addr, "PUT", "/v1/kv/ready", "1")
                .is_ok_and(|(status, _)| matches!(status, 200 | 403))
    });
}
