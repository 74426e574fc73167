//! Servers from Docker: the same tests against the fake and the real one, some against
//! Podman, and what only a fake can be made to do.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::docker::{Docker, FakeDocker, endpoint};
use crate::support::{Origin, PATIENCE, RawClient, Rlb, free_addr, real, wait_until};

/// Each of these runs twice.
macro_rules! against_both {
    ($($name:ident),* $(,)?) => {
        mod fake {
            use super::*;
            $(#[test] fn $name() { super::$name(Docker::Fake(FakeDocker::start())); })*
        }
        mod real_docker {
            use super::*;
            $(#[test] fn $name() {
                let Some(docker) = real::docker() else { return };
                super::$name(Docker::Real(docker));
            })*
        }
    };
}

against_both!(
    a_container_that_announces_a_host_makes_its_site_and_takes_it_along,
    members_are_in_and_out_within_milliseconds,
    a_signal_that_does_not_stop_changes_nothing,
    a_paused_container_gets_no_request,
    an_engine_that_ends_keeps_its_members,
    interlock_data_makes_a_site,
);

/// Podman tells of no signal before it is sent, and does not list who is paused.
macro_rules! against_podman {
    ($($name:ident),* $(,)?) => {
        mod real_podman {
            use super::*;
            $(#[test] fn $name() {
                let Some(podman) = real::podman() else { return };
                super::$name(Docker::Podman(podman));
            })*
        }
    };
}

against_podman!(
    a_container_that_announces_a_host_makes_its_site_and_takes_it_along,
    a_signal_that_does_not_stop_changes_nothing,
    an_engine_that_ends_keeps_its_members,
    interlock_data_makes_a_site,
);

/// rlb before an engine, with a frontend that takes what is announced.
struct Bench {
    rlb: Rlb,
    addr: SocketAddr,
}

impl Bench {
    fn start(socket: &Path, more: &str) -> Self {
        let addr = free_addr();
        let dir = socket.parent().unwrap().join("admin.sock");
        let config = format!(
            "[global]\nworkers = 2\nadmin = \"{}\"\n\
             [discovery.docker]\nendpoint = \"{}\"\nconventions = [\"rlb\", \"interlock\"]\n\
             [[frontend]]\nname = \"web\"\nbind = \"{addr}\"\ndiscovered_routes = true\n{more}\n",
            dir.display(),
            endpoint(socket)
        );
        let rlb = Rlb::with(config)
            .env("RUST_LOG", "info")
            .ready_on(addr)
            .start();
        Self { rlb, addr }
    }

    fn before(docker: &Docker) -> Self {
        Self::start(&docker.socket(), "")
    }

    /// The body of one answer, on a connection of its own; other statuses as text.
    fn ask(&self, host: &str) -> String {
        let mut client = RawClient::connect(self.addr);
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
        let (head, body) = client.read_response();
        match head.status() {
            200 => String::from_utf8(body).unwrap().trim().to_owned(),
            status => status.to_string(),
        }
    }

    /// All who answer, in order.
    fn who(&self, host: &str) -> Vec<String> {
        let mut all: Vec<_> = (0..12).map(|_| self.ask(host)).collect();
        all.sort();
        all.dedup();
        all
    }

    #[track_caller]
    fn wait_for(&self, host: &str, expected: &[&str]) {
        wait_until(PATIENCE, &format!("{host}: {expected:?}"), || {
            self.who(host) == expected
        });
    }

    fn ctl(&self, words: &[&str]) -> String {
        let config = std::fs::read_to_string(self.rlb.dir().join("lb.toml")).unwrap();
        let (_, behind) = config.split_once("admin = \"").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_rlb"))
            .arg("ctl")
            .args(words)
            .env("RLB_ADMIN", behind.split('"').next().unwrap())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn sources(&self) -> String {
        self.ctl(&["show", "sources"])
    }
}

const HOST: [(&str, &str); 1] = [("rlb.host", "demo.test")];

fn a_container_that_announces_a_host_makes_its_site_and_takes_it_along(docker: Docker) {
    let lb = Bench::before(&docker);
    assert_eq!(lb.ask("demo.test"), "503");
    docker.run("web-1", &HOST, &[]);
    docker.run("web-2", &HOST, &[]);
    docker.run("db-1", &[], &[]);
    lb.wait_for("demo.test", &["web-1", "web-2"]);
    assert!(lb.ctl(&["show", "backend"]).contains("demo_test"));
    wait_until(PATIENCE, "the reason", || {
        lb.sources().contains("left out: db-1: no rlb.enable label")
    });
    docker.stop("web-1");
    lb.wait_for("demo.test", &["web-2"]);
    docker.stop("web-2");
    lb.wait_for("demo.test", &["503"]);
    wait_until(PATIENCE, "the backend goes", || {
        !lb.ctl(&["show", "backend"]).contains("demo_test")
    });
}

/// From the event, as the engine tells a client of its own, to the first answer of a
/// new member and to the last one of a member that is told to stop.
fn members_are_in_and_out_within_milliseconds(docker: Docker) {
    let lb = Bench::before(&docker);
    docker.run("web-1", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1"]);
    let log = || lb.rlb.stderr();
    let (mut ins, mut outs) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let name = format!("new-{round}");
        let events = Events::open(&docker.socket());
        docker.run(&name, &HOST, &[]);
        let usable = format!("/{name} is UP");
        wait_until(PATIENCE, &usable, || log().contains(&usable));
        ins.push(events.until(&log(), "start", &usable));
        let drained = format!("/{name}: state ready -> drain");
        docker.stop(&name);
        wait_until(PATIENCE, &drained, || log().contains(&drained));
        outs.push(events.until(&log(), "kill", &drained));
    }
    ins.sort();
    outs.sort();
    eprintln!("start to usable: {ins:?}; kill to drained: {outs:?}");
}

/// The engine's events as another client sees them, by wall clock.
#[expect(clippy::disallowed_types, reason = "tests may lock")]
struct Events(std::sync::Arc<std::sync::Mutex<Vec<(String, f64)>>>);

impl Events {
    fn open(socket: &Path) -> Self {
        use std::io::{BufRead as _, BufReader, Write as _};
        let seen = Self(Default::default());
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        let filters = "%7B%22type%22%3A%5B%22container%22%5D%7D";
        let ask = format!("GET /events?filters={filters} HTTP/1.1\r\nHost: d\r\n\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines();
        // Subscribed once the head is there.
        lines.next().unwrap().unwrap();
        let log = std::sync::Arc::clone(&seen.0);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) {
                    let action = event["Action"].as_str().unwrap_or_default().to_owned();
                    log.lock().unwrap().push((action, now()));
                }
            }
        });
        seen
    }

    /// From an event to the line in rlb's log that follows from it.
    #[track_caller]
    fn until(&self, log: &str, action: &str, line: &str) -> Duration {
        let mut event = None;
        wait_until(PATIENCE, action, || {
            let seen = self.0.lock().unwrap();
            event = seen.iter().find(|(seen, _)| seen == action).map(|e| e.1);
            event.is_some()
        });
        let event = event.expect("waited for");
        let line = log
            .lines()
            .find(|text| text.contains(line))
            .expect("waited for");
        Duration::from_secs_f64((time_of(line) - event).max(0.0))
    }
}

fn now() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs_f64() % 3600.0
}

/// The time within the hour of `2026-11-20T22:05:01.646109Z  INFO ...`.
fn time_of(line: &str) -> f64 {
    let time = line.split(['T', 'Z']).nth(1).expect("a line of the log");
    let mut parts = time
        .split(':')
        .map(|part| part.parse::<f64>().expect("a number"));
    let (_, minutes, seconds) = (parts.next(), parts.next().unwrap(), parts.next().unwrap());
    minutes * 60.0 + seconds
}

fn a_signal_that_does_not_stop_changes_nothing(docker: Docker) {
    let lb = Bench::before(&docker);
    // PID 1 of a container ignores what it does not ask for.
    docker.run("web-1", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1"]);
    docker.signal("web-1", 1);
    // Behind it in the same stream: when this is seen, the signal was.
    docker.run("web-2", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1", "web-2"]);
    assert!(!lb.rlb.stderr().contains("drain"), "{}", lb.rlb.stderr());
}

fn a_paused_container_gets_no_request(docker: Docker) {
    let lb = Bench::before(&docker);
    docker.run("web-1", &HOST, &[]);
    docker.run("web-2", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1", "web-2"]);
    docker.pause("web-1");
    wait_until(PATIENCE, "paused", || lb.sources().contains("is paused"));
    assert_eq!(lb.who("demo.test"), ["web-2"]);
    docker.unpause("web-1");
    lb.wait_for("demo.test", &["web-1", "web-2"]);
}

fn an_engine_that_ends_keeps_its_members(mut docker: Docker) {
    let lb = Bench::before(&docker);
    docker.run("web-1", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1"]);
    docker.go_down();
    wait_until(PATIENCE, "lost", || lb.sources().contains("LOST"));
    assert_eq!(lb.who("demo.test"), ["web-1"]);
    docker.come_up();
    docker.run("web-2", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1", "web-2"]);
    assert!(!lb.sources().contains("LOST"));
}

fn interlock_data_makes_a_site(docker: Docker) {
    let lb = Bench::before(&docker);
    let data = r#"{"hostname":"demo","domain":"interlock.com","backend_options":["x"],"ssl_backend":true}"#;
    docker.run("web-1", &[], &[("INTERLOCK_DATA", data)]);
    lb.wait_for("demo.interlock.com", &["web-1"]);
    assert!(lb.ctl(&["show", "backend"]).contains("demo_interlock_com"));
    let log = lb.rlb.stderr();
    let warning =
        "web-1: of its Interlock words nothing is done with: backend_options, ssl_backend";
    assert_eq!(log.matches(warning).count(), 1, "{log}");
}

#[test]
fn a_source_of_the_file_needs_no_label() {
    let fake = FakeDocker::start();
    let more = "default_backend = \"nodes\"\n[[backend]]\nname = \"nodes\"\nsource = [{ docker = \"web\" }]";
    let lb = Bench::start(&fake.socket(), more);
    let service = [
        ("com.docker.compose.project", "demo"),
        ("com.docker.compose.service", "web"),
    ];
    fake.run("demo-web-1", &service, &[]);
    fake.run("demo-web-2", &service, &[]);
    lb.wait_for("anything", &["demo-web-1", "demo-web-2"]);
    assert!(
        lb.ctl(&["show", "servers", "conn"])
            .contains("nodes/demo-web-2")
    );
}

#[test]
fn sources_and_server_files_tell_how_they_are_and_when_they_were_heard() {
    let (fake, stats) = (FakeDocker::start(), free_addr());
    let nodes = fake.socket().with_file_name("nodes.toml");
    std::fs::write(&nodes, "server = [\"127.0.0.1:9\"]").unwrap();
    let more = format!(
        "default_backend = \"nodes\"\n[[backend]]\nname = \"nodes\"\ncheck = false\n\
         source = [{{ file = {nodes:?} }}]\n[stats]\nbind = \"{stats}\"\n"
    );
    let lb = Bench::start(&fake.socket(), &more);
    fake.run("web-1", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1"]);
    let metric = |name: &str, source: &str| -> Option<f64> {
        let mut client = RawClient::connect(stats);
        client.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let text = String::from_utf8(client.read_response().1).unwrap();
        let series = format!("rlb_source_{name}{{source=\"{source}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series))?;
        Some(value.parse().unwrap())
    };
    let file = format!("file:{}", nodes.display());
    for source in ["docker:*", &file] {
        assert_eq!(metric("up", source), Some(1.0), "{source}");
        assert_eq!(metric("servers", source), Some(1.0), "{source}");
        let age = metric("last_success_age_seconds", source);
        assert!(age.is_some_and(|age| age < 60.0), "{source}: {age:?}");
    }
    fake.go_down();
    std::fs::write(&nodes, "serve = []").unwrap();
    for source in ["docker:*", &file] {
        wait_until(PATIENCE, source, || metric("up", source) == Some(0.0));
        assert_eq!(metric("servers", source), Some(1.0), "{source}");
    }
    // It grows for as long as nothing good is heard.
    for source in ["docker:*", &file] {
        let age = || metric("last_success_age_seconds", source).unwrap();
        let before = age();
        wait_until(PATIENCE, "older", || age() > before);
    }
    let told = lb.sources();
    let row = told.lines().find(|line| line.starts_with(&file)).unwrap();
    assert!(
        row.contains(": LOST, heard ") && row.contains("a server file needs"),
        "{told}"
    );
    assert!(told.contains("  127.0.0.1:9 127.0.0.1:9 good\n"), "{told}");
}

#[test]
fn an_engine_that_refuses_the_list_changes_nothing() {
    let fake = FakeDocker::start();
    let lb = Bench::start(&fake.socket(), "");
    fake.run("web-1", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1"]);
    fake.refuse(Some((500, "no luck")));
    fake.cut_events();
    wait_until(PATIENCE, "the reason", || {
        lb.sources().contains("500: no luck")
    });
    assert_eq!(lb.ask("demo.test"), "web-1");
    fake.refuse(Some((403, "")));
    wait_until(PATIENCE, "the hint", || {
        lb.sources().contains("a socket proxy?")
    });
    fake.refuse(None);
    wait_until(PATIENCE, "up", || lb.sources().contains("docker:*: up"));
}

#[test]
fn what_happened_while_the_stream_was_cut_is_seen() {
    let fake = FakeDocker::start();
    let lb = Bench::start(&fake.socket(), "");
    fake.run("web-1", &HOST, &[]);
    fake.run("web-2", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1", "web-2"]);
    fake.remove_silently("web-1");
    fake.cut_events();
    lb.wait_for("demo.test", &["web-2"]);
}

#[test]
fn a_container_is_inspected_once() {
    let fake = FakeDocker::start();
    let lb = Bench::start(&fake.socket(), "");
    fake.run("web-1", &HOST, &[]);
    for round in 0..4 {
        fake.run(&format!("other-{round}"), &HOST, &[]);
        wait_until(PATIENCE, "in", || {
            lb.sources().contains(&format!("other-{round}"))
        });
    }
    assert_eq!(fake.inspections("web-1"), 1);
}

#[test]
fn a_new_container_at_an_old_address_is_another_server() {
    let fake = FakeDocker::start();
    let lb = Bench::start(&fake.socket(), "");
    let origin = Origin::ok("old");
    let addr = origin.addr();
    fake.run_listed("web-1", &HOST, &[], origin, &[addr.port()]);
    lb.wait_for("demo.test", &["old"]);
    let id = |sources: &str| sources.matches("web-1").count();
    assert_eq!(id(&lb.sources()), 1);
    fake.stop("web-1");
    lb.wait_for("demo.test", &["503"]);
    let again = Origin::answering_at(addr, |_| {
        crate::support::Answer::Keep(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew".to_vec())
    });
    fake.run_listed("web-1", &HOST, &[], again, &[addr.port()]);
    lb.wait_for("demo.test", &["new"]);
}

#[test]
fn two_exposed_ports_and_a_typing_error_are_told() {
    let fake = FakeDocker::start();
    let lb = Bench::start(&fake.socket(), "");
    fake.run_listed("web-4", &HOST, &[], Origin::ok("x"), &[80, 8080]);
    fake.run("web-5", &[("rlb.hots", "demo.test")], &[]);
    wait_until(PATIENCE, "the reason", || {
        lb.sources()
            .contains("left out: web-4: two exposed ports 80, 8080: set rlb.port")
    });
    wait_until(PATIENCE, "the warning", || {
        let meant = "web-5: unknown label rlb.hots: did you mean rlb.host?";
        lb.rlb.stderr().contains(meant)
    });
}

#[test]
fn two_engines_are_one_set_and_the_loss_of_one_keeps_its_members() {
    let (one, two) = (FakeDocker::start(), FakeDocker::start());
    let addr = free_addr();
    let admin = one.socket().parent().unwrap().join("admin.sock");
    let config = format!(
        "[global]\nadmin = \"{}\"\n[discovery.docker]\nendpoint = [\"{}\", \"{}\"]\n\
         [[frontend]]\nname = \"web\"\nbind = \"{addr}\"\ndiscovered_routes = true\n",
        admin.display(),
        endpoint(&one.socket()),
        endpoint(&two.socket())
    );
    let rlb = Rlb::with(config).ready_on(addr).start();
    let lb = Bench { rlb, addr };
    // Two engines never make the same id; these would.
    one.run("nobody", &[], &[]);
    one.run("a", &HOST, &[]);
    two.run("b", &HOST, &[]);
    lb.wait_for("demo.test", &["a", "b"]);
    two.go_down();
    wait_until(PATIENCE, "lost", || lb.sources().contains("LOST"));
    one.run("c", &HOST, &[]);
    lb.wait_for("demo.test", &["a", "b", "c"]);
    assert!(lb.sources().contains("LOST"));
}

#[test]
fn rlb_names_itself_where_the_socket_is_not_its_own() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let fake = FakeDocker::start();
    let dir = fake.socket().parent().unwrap().to_owned();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&dir, open).unwrap();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o660);
    std::fs::set_permissions(fake.socket(), closed).unwrap();
    let addr = free_addr();
    let config = format!(
        "[global]\nadmin = \"\"\n[discovery.docker]\nendpoint = \"{}\"\n\
         [[frontend]]\nname = \"web\"\nbind = \"{addr}\"\ndiscovered_routes = true\n",
        endpoint(&fake.socket())
    );
    let rlb = Rlb::with(config).user(65534).ready_on(addr).start();
    let said = "permission denied: the socket has mode 0660 of uid 0 and gid 0, \
                rlb runs as uid 65534 and gid 65534; give it the socket's group (in a container: group_add)";
    wait_until(PATIENCE, "the hint", || rlb.stderr().contains(said));
}

/// The second is as long as a test may take to see something that must not happen.
#[test]
fn a_container_that_outlives_its_signal_serves_again() {
    let fake = FakeDocker::start();
    let addr = free_addr();
    let admin = fake.socket().parent().unwrap().join("admin.sock");
    let config = format!(
        "[global]\nadmin = \"{}\"\n[discovery.docker]\nendpoint = \"{}\"\nstop_grace = \"1s\"\n\
         [[frontend]]\nname = \"web\"\nbind = \"{addr}\"\ndiscovered_routes = true\n",
        admin.display(),
        endpoint(&fake.socket())
    );
    let rlb = Rlb::with(config).ready_on(addr).start();
    let lb = Bench { rlb, addr };
    fake.run("web-1", &HOST, &[]);
    fake.run("web-2", &HOST, &[]);
    lb.wait_for("demo.test", &["web-1", "web-2"]);
    fake.signal("web-1", 15);
    lb.wait_for("demo.test", &["web-2"]);
    lb.wait_for("demo.test", &["web-1", "web-2"]);
}
