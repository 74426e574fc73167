//! A Consul agent of our own: what a balancer and those who register need, with the
//! real one's measured habits (blocking, indexes, errors that carry an index of 1), and
//! faults on demand.

mod store;
mod wire;

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
#[expect(clippy::disallowed_types, reason = "tests may lock")]
use std::sync::Mutex;
use std::sync::{Arc, Condvar, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::free_addr;
use store::State;
use wire::{Answer, Request, failure, read_request};

/// A running agent; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Fake {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

/// What the next answers are instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 500 with an index of 1, at once.
    NoLeader,
    /// 403, whatever the token.
    Denied,
    /// 200 with nothing in it: a token that may not read nodes.
    Blind,
    /// The connection ends in the middle of the body.
    Reset,
    /// Not JSON.
    Garbled,
    /// Nobody answers.
    Silent,
    /// 200 without an index.
    NoIndex,
}

#[expect(clippy::disallowed_types, reason = "tests may lock")]
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(free_addr()).expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        shared.lock().index = 10;
        let serving = Arc::clone(&shared);
        // Ends with the process: it holds nothing but its port.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.lock().is_down {
                    continue;
                }
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { addr, shared }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Queries answer so from now on, those that block too.
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        self.shared.lock().fault = fault;
        self.shared.changed.notify_all();
    }

    /// Only this token may read.
    pub(crate) fn demand(&self, token: &str) {
        self.shared.lock().token = Some(token.to_owned());
    }

    /// Queries so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.lock().requests
    }

    pub(super) fn restart(&self) {
        let mut state = self.shared.lock();
        *state = State {
            index: 2,
            life: state.life + 1,
            ..State::default()
        };
        self.shared.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        let mut state = self.shared.lock();
        state.life += 1;
        state.is_down = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    fn serve(&self, stream: TcpStream) {
        let life = self.lock().life;
        let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
        let mut stream = stream;
        while let Some(request) = read_request(&mut reader) {
            if self.lock().life != life {
                return;
            }
            let is_query = request.method == "GET" && !request.path.starts_with("/v1/status");
            let Some(answer) = self.answer(&request, life) else {
                return;
            };
            let fault = self.lock().fault.filter(|_| is_query);
            let index = answer.index.filter(|_| fault != Some(Fault::NoIndex));
            let index = index.map_or_else(String::new, |i| format!("X-Consul-Index: {i}\r\n"));
            let head = format!(
                "HTTP/1.1 {} Fake\r\n{index}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                answer.status,
                answer.body.len()
            );
            let half = &answer.body[..answer.body.len() / 2];
            let (body, ends) = match fault {
                Some(Fault::Reset) => (half, true),
                _ => (&*answer.body, request.closes),
            };
            if stream.write_all((head + body).as_bytes()).is_err() || ends {
                return;
            }
        }
    }

    /// `None` = the connection ends without one.
    fn answer(&self, request: &Request, life: u64) -> Option<Answer> {
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').skip(1).collect();
        if request.method == "GET" && parts[0] != "status" {
            return self.query(request, &parts, life);
        }
        let mut state = self.lock();
        let done = match (&*request.method, &parts[..]) {
            (_, ["status", "leader"]) => {
                return Some(Answer {
                    status: 200,
                    index: None,
                    body: "\"127.0.0.1:1\"".to_owned(),
                });
            }
            ("PUT", ["agent", "service", "register"]) => state.register(&request.body),
            ("PUT", ["agent", "service", "deregister", id]) => state.deregister(id),
            ("PUT", ["agent", "service", "maintenance", id]) => {
                let enable = request.query.get("enable").is_some_and(|v| v == "true");
                state.change(id, |service| service.maintenance = enable)
            }
            ("PUT", ["agent", "check", "update", check]) => {
                let id = check.trim_start_matches("service:");
                let update: Value = serde_json::from_str(&request.body).unwrap_or_default();
                let status = match update["Status"].as_str() {
                    Some("passing") => "passing",
                    Some("warning") => "warning",
                    _ => "critical",
                };
                let is_ttl = state.services.get(id).is_some_and(|s| s.status.is_some());
                is_ttl && state.change(id, |service| service.status = Some(status))
            }
            ("PUT", ["agent", "check", verdict, check]) => {
                let status = match *verdict {
                    "pass" => "passing",
                    "warn" => "warning",
                    _ => "critical",
                };
                let id = check.trim_start_matches("service:");
                let is_ttl = state.services.get(id).is_some_and(|s| s.status.is_some());
                is_ttl && state.change(id, |service| service.status = Some(status))
            }
            ("PUT", ["kv", ..]) => state.put_key(&parts[1..].join("/"), &request.body),
            ("DELETE", ["kv", ..]) => state.delete_key(&parts[1..].join("/")),
            _ => false,
        };
        self.changed.notify_all();
        Some(Answer {
            status: if done { 200 } else { 500 },
            index: None,
            body: "true".to_owned(),
        })
    }

    /// A blocking query.
    fn query(&self, request: &Request, parts: &[&str], life: u64) -> Option<Answer> {
        let number = |name: &str| request.query.get(name)?.parse::<u64>().ok();
        let index = number("index").unwrap_or(0);
        let wait = request.query.get("wait").and_then(|wait| {
            let wait = wait.trim_end_matches("ms").parse().ok();
            wait.map(Duration::from_millis)
        });
        // The real one adds up to a sixteenth.
        let wait = wait.unwrap_or(Duration::from_secs(300)) * 17 / 16;
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        state.requests += 1;
        loop {
            if state.life != life {
                return None;
            }
            match state.fault {
                Some(Fault::NoLeader) => return Some(failure(500, "No cluster leader")),
                Some(Fault::Denied) => return Some(failure(403, "ACL not found")),
                Some(Fault::Silent) => {}
                fault => {
                    let may = state.token.is_none() || state.token == request.token;
                    if !may {
                        return Some(failure(403, "ACL not found"));
                    }
                    let mut answer = state.read(parts);
                    // Blocks while nothing is newer, and also while the index asked
                    // for is from another life.
                    let newer = answer.index.is_some_and(|now| now > index);
                    if index == 0 || newer || fault.is_some() || Instant::now() >= deadline {
                        match fault {
                            Some(Fault::Blind) => answer.body = "[]".to_owned(),
                            Some(Fault::Garbled) => answer.body = "[{\"Node\"".to_owned(),
                            _ => {}
                        }
                        return Some(answer);
                    }
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.clamp(Duration::from_millis(1), Duration::from_millis(100));
            (state, _) = self.changed.wait_timeout(state, left).expect("no panics");
        }
    }
}
