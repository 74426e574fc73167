//! A Consul agent of our own: what a balancer and those who register need, with the
//! real one's measured habits (blocking, indexes, errors that carry an index of 1), and
//! faults on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
#[expect(clippy::disallowed_types, reason = "tests may lock")]
use std::sync::Mutex;
use std::sync::{Arc, Condvar, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::free_addr;

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

#[derive(Debug, Default)]
struct State {
    /// Of the whole store.
    index: u64,
    services: BTreeMap<String, Service>,
    /// What blocked queries on a service, or on the list of services, compare with.
    touched: BTreeMap<String, u64>,
    keys: BTreeMap<String, (String, u64)>,
    keys_index: u64,
    fault: Option<Fault>,
    requests: usize,
    /// Counts restarts and stops: connections of before end.
    life: u64,
    is_down: bool,
    token: Option<String>,
}

#[derive(Debug, Clone)]
struct Service {
    body: Value,
    /// Of its TTL check, if it has one.
    status: Option<&'static str>,
    maintenance: bool,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    body: String,
    token: Option<String>,
    closes: bool,
}

struct Answer {
    status: u16,
    index: Option<u64>,
    body: String,
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

impl State {
    fn touch(&mut self, name: &str) {
        self.index += 1;
        self.touched.insert(name.to_owned(), self.index);
        self.touched.insert(String::new(), self.index);
    }

    fn register(&mut self, body: &str) -> bool {
        let Ok(mut body) = serde_json::from_str::<Value>(body) else {
            return false;
        };
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        let id = body["ID"].as_str().unwrap_or(&name).to_owned();
        body["ID"] = json!(id);
        let check = body["Check"].clone();
        let initial = match check["Status"].as_str() {
            Some("passing") => "passing",
            _ => "critical",
        };
        let before = self.services.get(&id);
        let status = (!check["TTL"].is_null())
            .then(|| before.and_then(|service| service.status).unwrap_or(initial));
        let maintenance = before.is_some_and(|service| service.maintenance);
        if before.is_some_and(|before| before.body == body) {
            return true;
        }
        self.services.insert(
            id,
            Service {
                body,
                status,
                maintenance,
            },
        );
        self.touch(&name);
        true
    }

    fn deregister(&mut self, id: &str) -> bool {
        let Some(service) = self.services.remove(id) else {
            return false;
        };
        self.touch(service.body["Name"].as_str().unwrap_or_default());
        true
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Service)) -> bool {
        let Some(service) = self.services.get_mut(id) else {
            return false;
        };
        let before = (service.status, service.maintenance);
        change(service);
        // The same verdict again wakes nobody.
        if before != (service.status, service.maintenance) {
            let name = service.body["Name"].as_str().unwrap_or_default().to_owned();
            self.touch(&name);
        }
        true
    }

    fn put_key(&mut self, key: &str, value: &str) -> bool {
        if self.keys.get(key).is_none_or(|(known, _)| known != value) {
            self.index += 1;
            self.keys_index = self.index;
            self.keys
                .insert(key.to_owned(), (value.to_owned(), self.index));
        }
        true
    }

    fn delete_key(&mut self, key: &str) -> bool {
        if self.keys.remove(key).is_some() {
            self.index += 1;
            self.keys_index = self.index;
        }
        true
    }

    fn read(&self, parts: &[&str]) -> Answer {
        let (index, status, body) = match parts {
            ["health", "service", name] => {
                let of = |service: &&Service| service.body["Name"] == **name;
                let entries = self.services.values().filter(of).map(Service::entry);
                let index = self.touched.get(*name).copied();
                (index, 200, json!(entries.collect::<Vec<_>>()))
            }
            ["catalog", "services"] => {
                let mut names = BTreeMap::from([("consul".to_owned(), Vec::new())]);
                for service in self.services.values() {
                    let name = service.body["Name"].as_str().unwrap_or_default();
                    let tags = service.body["Tags"].as_array().cloned().unwrap_or_default();
                    let known = names.entry(name.to_owned()).or_default();
                    known.extend(
                        tags.into_iter()
                            .filter_map(|t| Some(t.as_str()?.to_owned())),
                    );
                }
                (self.touched.get("").copied(), 200, json!(names))
            }
            ["kv", ..] => {
                let prefix = parts[1..].join("/");
                let under = self.keys.iter().filter(|(key, _)| key.starts_with(&prefix));
                let pairs: Vec<_> = under.map(|(key, (value, _))| pair(key, value)).collect();
                let index = Some(self.keys_index.max(2));
                match pairs.is_empty() {
                    true => (index, 404, Value::Null),
                    false => (index, 200, json!(pairs)),
                }
            }
            _ => (None, 404, Value::Null),
        };
        Answer {
            status,
            index: Some(index.unwrap_or(2)),
            body: if body.is_null() {
                String::new()
            } else {
                body.to_string()
            },
        }
    }
}

impl Service {
    /// As the health endpoint shows it.
    fn entry(&self) -> Value {
        let id = self.body["ID"].as_str().unwrap_or_default();
        let mut checks = vec![json!({
            "CheckID": "serfHealth", "Name": "Serf Health Status", "Status": "passing",
            "Notes": "", "Output": "Agent alive and reachable",
        })];
        if let Some(status) = self.status {
            checks.push(json!({
                "CheckID": format!("service:{id}"), "Name": "Service check",
                "Status": status, "Notes": "", "Output": "",
            }));
        }
        if self.maintenance {
            checks.push(json!({
                "CheckID": format!("_service_maintenance:{id}"),
                "Name": "Service Maintenance Mode", "Status": "critical",
                "Notes": "moving", "Output": "",
            }));
        }
        let weights = match &self.body["Weights"] {
            Value::Null => json!({ "Passing": 1, "Warning": 1 }),
            weights => weights.clone(),
        };
        json!({
            "Node": { "Node": "fake", "Address": "127.0.0.1" },
            "Service": {
                "ID": id, "Service": self.body["Name"], "Tags": self.body["Tags"],
                "Address": self.body["Address"].as_str().unwrap_or_default(),
                "Port": self.body["Port"], "Meta": self.body["Meta"], "Weights": weights,
            },
            "Checks": checks,
        })
    }
}

fn failure(status: u16, body: &str) -> Answer {
    Answer {
        status,
        index: Some(1),
        body: body.to_owned(),
    }
}

fn pair(key: &str, value: &str) -> Value {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if value.is_empty() {
        return json!({ "Key": key, "Value": null });
    }
    let mut text = String::new();
    for three in value.as_bytes().chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            match i <= three.len() {
                true => text.push(char::from(LETTERS[(bits >> (18 - 6 * i) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    json!({ "Key": key, "Value": text })
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut token, mut closes) = (0, None, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        match &*name.to_ascii_lowercase() {
            "content-length" => length = value.trim().parse().ok()?,
            "connection" => closes = value.trim() == "close",
            "x-consul-token" => token = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Some(Request {
        method,
        path: path.to_owned(),
        query: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        token,
        closes,
    })
}
