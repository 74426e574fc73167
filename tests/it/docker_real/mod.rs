//! Real containers that come, go and restart under load.

mod demos;
mod engines;
mod image;
mod rolling;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::support::docker::endpoint;
use crate::support::real::{self, RealDocker};
use crate::support::{PATIENCE, RawClient, Rlb, free_addr, wait_until};

/// What traffic met.
#[derive(Default)]
struct Met {
    ok: usize,
    failed: Vec<Failed>,
}

/// A request that was answered, but not with 200.
struct Failed {
    status: u16,
    sent: SystemTime,
    answered: SystemTime,
}

impl fmt::Debug for Met {
    /// How often each status came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut statuses = BTreeMap::from([(200, self.ok)]);
        for failed in &self.failed {
            *statuses.entry(failed.status).or_default() += 1;
        }
        statuses.fmt(f)
    }
}

/// Kept connections, every other one with POST; each request takes its server 20 ms.
/// A connection that is cut panics.
fn traffic_while(addr: SocketAddr, host: &str, act: impl FnOnce()) -> Met {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let client = |number| scope.spawn(move || client(addr, host, number, stop));
        let clients: Vec<_> = (0..8).map(client).collect();
        let stopping = StopOnDrop(stop);
        act();
        drop(stopping);
        let mut met = Met::default();
        for client in clients {
            let one = client.join().expect("a client that is content");
            met.ok += one.ok;
            met.failed.extend(one.failed);
        }
        eprintln!("requests: {met:?}");
        met
    })
}

/// Clients end with what they accompany, also where that panics.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn client(addr: SocketAddr, host: &str, number: usize, stop: &AtomicBool) -> Met {
    let (mut met, mut kept) = (Met::default(), None);
    while !stop.load(Ordering::Relaxed) {
        let mut client = kept.take().unwrap_or_else(|| RawClient::connect(addr));
        let sent = SystemTime::now();
        let head = format!("/?ms=20 HTTP/1.1\r\nHost: {host}\r\n");
        client.send(match number % 2 {
            0 => format!("GET {head}\r\n"),
            _ => format!("POST {head}Content-Length: 4\r\n\r\nbody"),
        });
        let (head, _) = client.read_response();
        match head.status() {
            200 => met.ok += 1,
            status => met.failed.push(Failed {
                status,
                sent,
                answered: SystemTime::now(),
            }),
        }
        if head.field("connection") != Some("close") {
            kept = Some(client);
        }
    }
    met
}

/// rlb on the host, before an engine.
struct Bench<'a> {
    docker: &'a RealDocker,
    rlb: Rlb,
    addr: SocketAddr,
    admin: PathBuf,
}

impl<'a> Bench<'a> {
    fn before(docker: &'a RealDocker) -> Self {
        let addr = free_addr();
        let admin = docker.socket().with_file_name("admin.sock");
        let config = format!(
            "[global]\nworkers = 2\nadmin = \"{}\"\n\
             [discovery.docker]\nendpoint = \"{}\"\nconventions = [\"rlb\", \"interlock\"]\n\
             [[frontend]]\nname = \"web\"\nbind = \"{addr}\"\ndiscovered_routes = true\n\
             stats = {{ path = \"/haproxy?stats\" }}\n",
            admin.display(),
            endpoint(&docker.socket())
        );
        let rlb = Rlb::with(config)
            .env("RUST_LOG", "info")
            .ready_on(addr)
            .start();
        Self {
            docker,
            rlb,
            addr,
            admin,
        }
    }

    fn ctl(&self, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rlb"));
        command.arg("ctl").args(words).env("RLB_ADMIN", &self.admin);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// Servers that pass their checks, of one backend.
    fn usable(&self, backend: &str) -> usize {
        let text = self.ctl(&["--raw", "show", "stat"]);
        let rows = text
            .lines()
            .filter(|row| row.starts_with(&format!("{backend},")));
        rows.filter(|row| row.contains(",UP,") && !row.contains(",BACKEND,"))
            .count()
    }

    #[track_caller]
    fn wait_usable(&self, backend: &str, count: usize) {
        wait_until(
            PATIENCE * 2,
            &format!("{count} usable in {backend}"),
            || self.usable(backend) == count,
        );
    }

    fn ask(&self, host: &str) -> String {
        self.ask_for("/", host)
    }

    fn ask_for(&self, target: &str, host: &str) -> String {
        let mut client = RawClient::connect(self.addr);
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
        let (head, body) = client.read_response();
        match head.status() {
            200 => String::from_utf8(body).unwrap().trim().to_owned(),
            status => status.to_string(),
        }
    }

    fn run(&self, name: &str) {
        self.docker.run(name, &[("rlb.host", "demo.test")], &[]);
    }

    /// Containers come and go side by side, as compose has them.
    fn all(&self, names: &[String], act: impl Fn(&str) + Sync) {
        let act = &act;
        thread::scope(|scope| {
            for name in names {
                scope.spawn(move || act(name));
            }
        });
    }
}

#[test]
fn scaling_and_restarting_lose_no_request() {
    let Some(docker) = real::docker() else { return };
    let lb = Bench::before(&docker);
    let names: Vec<String> = (1..=5).map(|number| format!("web-{number}")).collect();
    lb.all(&names, |name| lb.run(name));
    lb.wait_usable("demo_test", 5);

    // 5 -> 1 -> 5 -> 2 -> 5; the addresses of those that went are used again.
    let met = traffic_while(lb.addr, "demo.test", || {
        for kept in [1, 2] {
            lb.all(&names[kept..], |name| drop(docker.docker(["stop", name])));
            lb.wait_usable("demo_test", kept);
            lb.all(&names[kept..], |name| {
                docker.docker(["rm", name]);
                lb.run(name);
            });
            lb.wait_usable("demo_test", 5);
        }
    });
    assert!(
        met.failed.is_empty() && met.ok > 100,
        "{met:?}\n{}",
        lb.rlb.stderr()
    );

    let met = traffic_while(lb.addr, "demo.test", || {
        for name in &names {
            docker.docker(["restart", name]);
            lb.wait_usable("demo_test", 5);
        }
    });
    assert!(met.failed.is_empty(), "{met:?}\n{}", lb.rlb.stderr());

    let met = traffic_while(lb.addr, "demo.test", || {
        for name in &names {
            let server = format!("demo_test/{name}");
            lb.ctl(&["drain", &server, "--wait"]);
            docker.docker(["restart", name]);
            wait_until(PATIENCE, "it is back", || {
                lb.ctl(&["set", "server", &server, "state", "ready"]);
                lb.usable("demo_test") == 5
            });
        }
    });
    assert!(met.failed.is_empty(), "{met:?}\n{}", lb.rlb.stderr());
}

#[test]
fn a_killed_container_costs_only_what_it_was_doing() {
    let Some(docker) = real::docker() else { return };
    let lb = Bench::before(&docker);
    for name in ["web-1", "web-2", "web-3"] {
        lb.run(name);
    }
    lb.wait_usable("demo_test", 3);
    let met = traffic_while(lb.addr, "demo.test", || {
        docker.docker(["kill", "web-2"]);
        lb.wait_usable("demo_test", 2);
        docker.docker(["start", "web-2"]);
        lb.wait_usable("demo_test", 3);
    });
    // Eight clients over three servers: a third of them each, and some luck.
    assert!(met.failed.len() <= 6, "{met:?}\n{}", lb.rlb.stderr());
    let met = traffic_while(lb.addr, "demo.test", || {
        docker.docker(["pause", "web-3"]);
        lb.wait_usable("demo_test", 2);
        docker.docker(["unpause", "web-3"]);
        lb.wait_usable("demo_test", 3);
    });
    // What it was doing it finishes when it goes on.
    assert!(met.failed.is_empty(), "{met:?}\n{}", lb.rlb.stderr());
}

#[test]
fn the_story_of_interlock() {
    let Some(docker) = real::docker() else { return };
    let lb = Bench::before(&docker);
    let data = |host: &str| format!(r#"{{"hostname":"{host}","domain":"interlock.com"}}"#);
    let run = |name: &str, host: &str| docker.run(name, &[], &[("INTERLOCK_DATA", &data(host))]);
    run("demo-1", "demo");
    run("demo-2", "demo");
    lb.wait_usable("demo_interlock_com", 2);
    // The schedule in force may be one of before the second was up.
    wait_until(PATIENCE, "they take turns", || {
        let who: Vec<_> = (0..4).map(|_| lb.ask("demo.interlock.com")).collect();
        who[0] != who[1] && who[..2] == who[2..]
    });
    // A machine may be too busy for one of them, not for each.
    let mut took = Vec::new();
    let met = traffic_while(lb.addr, "demo.interlock.com", || {
        for host in ["api", "api2", "api3", "api4"] {
            let name = format!("{host}-1");
            run(&name, host);
            let started = Instant::now();
            wait_until(PATIENCE, "another site", || {
                lb.ask(&format!("{host}.interlock.com")) == name
            });
            took.push(started.elapsed());
            if took.last() < Some(&Duration::from_secs(1)) {
                return;
            }
        }
    });
    assert!(met.failed.is_empty(), "{met:?}\n{}", lb.rlb.stderr());
    eprintln!("reachable {took:?} after start");
    assert!(took.last() < Some(&Duration::from_secs(1)), "{took:?}");
    let listed = lb.ask_for("/haproxy?stats;csv", "demo.interlock.com");
    for server in ["demo-1", "demo-2"] {
        assert!(
            listed.contains(&format!("\ndemo_interlock_com,{server},")),
            "{listed}"
        );
    }
    assert!(listed.contains("\napi_interlock_com,api-1,"), "{listed}");
    docker.docker(["stop", "demo-1", "demo-2"]);
    wait_until(PATIENCE, "503", || lb.ask("demo.interlock.com") == "503");
    wait_until(PATIENCE, "the backend leaves", || {
        !lb.ctl(&["show", "backend"]).contains("demo_interlock_com")
    });
    assert_eq!(lb.ask("api.interlock.com"), "api-1");
}
