//! Docker's API as far as rlb looks at it, with the habits of the real one: an event
//! comes before the list shows what it tells of.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
#[expect(clippy::disallowed_types, reason = "tests may lock")]
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::temp_dir;
use crate::support::{Origin, dawdle, read_until};

/// An engine on a Unix socket of its own.
#[derive(Debug)]
pub(crate) struct FakeDocker {
    dir: TempDir,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "tests may lock")]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    containers: Vec<Container>,
    /// Streams of events that are open.
    listeners: Vec<UnixStream>,
    /// Every list is answered with this status.
    refusal: Option<(u16, String)>,
    /// Ids that were asked for.
    inspected: Vec<String>,
    made: u64,
    is_down: bool,
}

#[derive(Debug)]
struct Container {
    id: String,
    listed: Value,
    env: Vec<String>,
    _origin: Origin,
}

/// The list is later than its events by this.
const LATE: Duration = Duration::from_millis(100);

impl FakeDocker {
    pub(crate) fn start() -> Self {
        let dir = temp_dir();
        let fake = Self {
            shared: Arc::default(),
            dir,
        };
        fake.listen();
        fake
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no test panics in here")
    }

    fn listen(&self) {
        let _ = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).expect("temporary directory");
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                if shared.state.lock().expect("ours").is_down {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
    }

    pub(crate) fn run(&self, name: &str, labels: &[(&str, &str)], env: &[(&str, &str)]) {
        let origin = Origin::ok(name);
        let port = origin.addr().port();
        self.run_listed(name, labels, env, origin, &[port]);
    }

    /// One that exposes these ports; the first is the origin's.
    pub(crate) fn run_listed(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        env: &[(&str, &str)],
        origin: Origin,
        ports: &[u16],
    ) {
        let id = {
            let mut state = self.state();
            state.made += 1;
            format!("{:064x}", state.made)
        };
        let labels: serde_json::Map<String, Value> = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), json!(v)))
            .collect();
        let ports: Vec<_> = ports
            .iter()
            .map(|port| json!({"PrivatePort": port, "Type": "tcp"}))
            .collect();
        let listed = json!({
            "Id": id, "Names": [format!("/{name}")], "Image": "web", "Created": 1_700_000_000,
            "Labels": labels, "State": "running", "Status": "Up 1 second", "Ports": ports,
            "HostConfig": {"NetworkMode": "bridge"},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "127.0.0.1"}}},
        });
        let container = Container {
            id: id.clone(),
            listed,
            env: env.iter().map(|(k, v)| format!("{k}={v}")).collect(),
            _origin: origin,
        };
        self.state().containers.push(container);
        self.event(&id, "start", json!({}));
    }

    pub(crate) fn stop(&self, name: &str) {
        self.signal(name, 15);
        // It ends what it does.
        dawdle(LATE);
        let id = self.id(name);
        self.event(&id, "die", json!({"exitCode": "0"}));
        dawdle(LATE);
        // It serves until then: nobody may have noticed an end of its own.
        self.state()
            .containers
            .retain(|container| container.id != id);
        self.event(&id, "stop", json!({}));
    }

    pub(crate) fn signal(&self, name: &str, signal: u8) {
        let id = self.id(name);
        self.event(&id, "kill", json!({"signal": signal.to_string()}));
    }

    pub(crate) fn set_state(&self, name: &str, state: &str, action: &str) {
        let id = self.id(name);
        self.event(&id, action, json!({}));
        dawdle(LATE);
        let mut locked = self.state();
        let container = locked.containers.iter_mut().find(|c| c.id == id);
        container.expect("it runs").listed["State"] = json!(state);
    }

    /// From now on every list is refused; `None` = answered again.
    pub(crate) fn refuse(&self, refusal: Option<(u16, &str)>) {
        self.state().refusal = refusal.map(|(status, text)| (status, text.to_owned()));
    }

    /// Ends every stream of events.
    pub(crate) fn cut_events(&self) {
        for stream in self.state().listeners.drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Gone without an event.
    pub(crate) fn remove_silently(&self, name: &str) {
        let id = self.id(name);
        self.state()
            .containers
            .retain(|container| container.id != id);
    }

    /// How often this container was inspected.
    pub(crate) fn inspections(&self, name: &str) -> usize {
        let id = self.id(name);
        self.state()
            .inspected
            .iter()
            .filter(|other| **other == id)
            .count()
    }

    pub(crate) fn go_down(&self) {
        self.state().is_down = true;
        self.cut_events();
        // Wakes the accepting thread up.
        let _ = UnixStream::connect(self.socket());
        let _ = std::fs::remove_file(self.socket());
    }

    pub(crate) fn come_up(&self) {
        self.state().is_down = false;
        self.listen();
    }

    fn id(&self, name: &str) -> String {
        let names = json!([format!("/{name}")]);
        let state = self.state();
        let container = state.containers.iter().find(|c| c.listed["Names"] == names);
        container
            .unwrap_or_else(|| panic!("no container {name}"))
            .id
            .clone()
    }

    fn event(&self, id: &str, action: &str, mut attributes: Value) {
        attributes["image"] = json!("web");
        let event = json!({
            "Type": "container", "Action": action, "status": action, "id": id,
            "Actor": {"ID": id, "Attributes": attributes},
        });
        let line = format!("{event}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        let mut state = self.state();
        state
            .listeners
            .retain_mut(|stream| stream.write_all(chunk.as_bytes()).is_ok());
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.go_down();
    }
}

/// Requests of one connection.
fn serve(mut stream: UnixStream, shared: &Shared) {
    while let Some(path) = read_path(&mut stream) {
        let mut state = shared.state.lock().expect("ours");
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let (status, body) = match path {
            _ if state.is_down => return,
            "/_ping" => (200, "OK".to_owned()),
            "/events" => {
                assert!(query.starts_with("filters=%7B"), "{query}");
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                if stream.write_all(head.as_bytes()).is_ok() {
                    state.listeners.push(stream);
                }
                return;
            }
            "/containers/json" => match &state.refusal {
                Some((status, text)) => (*status, json!({"message": text}).to_string()),
                None => {
                    let all: Vec<_> = state.containers.iter().map(|c| &c.listed).collect();
                    (200, json!(all).to_string())
                }
            },
            path => {
                let id = path.strip_prefix("/containers/").unwrap_or_default();
                let id = id.strip_suffix("/json").unwrap_or_default().to_owned();
                let found = state.containers.iter().find(|c| c.id == id);
                let answer = match found {
                    Some(container) => {
                        let config = json!({"Env": container.env, "StopSignal": null});
                        (200, json!({"Id": id, "Config": config}).to_string())
                    }
                    None => (404, json!({"message": "No such container"}).to_string()),
                };
                state.inspected.push(id);
                answer
            }
        };
        drop(state);
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The target of the next request; none = the connection ended.
fn read_path(stream: &mut UnixStream) -> Option<String> {
    let head = read_until(stream, b"\r\n\r\n").ok()?;
    let head = String::from_utf8_lossy(&head).into_owned();
    head.split(' ').nth(1).map(str::to_owned)
}
