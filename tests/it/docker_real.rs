//! Real containers that come, go and restart under load.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::docker::endpoint;
use crate::support::real::{self, Compose, RealDocker};
use crate::support::{PATIENCE, RawClient, Rlb, free_addr, temp_dir, wait_until};

/// What traffic met: how often each status came, and connections that were cut.
#[derive(Debug, Default)]
struct Met {
    ok: usize,
    failed: Vec<String>,
}

/// Kept connections, every other one with POST; each request takes its server 20 ms.
fn traffic_while(addr: SocketAddr, host: &str, act: impl FnOnce()) -> Met {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let client = |number| scope.spawn(move || client(addr, host, number, stop));
        let clients: Vec<_> = (0..8).map(client).collect();
        act();
        stop.store(true, Ordering::Relaxed);
        let mut met = Met::default();
        for client in clients {
            let one = client.join().expect("a client that is content");
            met.ok += one.ok;
            met.failed.extend(one.failed);
        }
        eprintln!(
            "{} requests, failed: {:?}",
            met.ok + met.failed.len(),
            met.failed
        );
        met
    })
}

fn client(addr: SocketAddr, host: &str, number: usize, stop: &AtomicBool) -> Met {
    let (mut met, mut kept) = (Met::default(), None);
    while !stop.load(Ordering::Relaxed) {
        let mut client = kept.take().unwrap_or_else(|| RawClient::connect(addr));
        let head = format!("/?ms=20 HTTP/1.1\r\nHost: {host}\r\n");
        client.send(match number % 2 {
            0 => format!("GET {head}\r\n"),
            _ => format!("POST {head}Content-Length: 4\r\n\r\nbody"),
        });
        let (head, _) = client.read_response();
        match head.status() {
            200 => met.ok += 1,
            _ => met.failed.push(head.first_line().to_owned()),
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
    admin: std::path::PathBuf,
}

impl<'a> Bench<'a> {
    fn before(docker: &'a RealDocker) -> Self {
        let addr = free_addr();
        let admin = docker.socket().with_file_name("admin.sock");
        let config = format!(
            "[global]\nworkers = 2\nadmin = \"{}\"\n\
             [discovery.docker]\nendpoint = \"{}\"\nconventions = [\"rlb\", \"interlock\"]\n\
             [[frontend]]\nname = \"web\"\nbind = \"{addr}\"\ndiscovered_routes = true\n",
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
    let mut took = Duration::MAX;
    let met = traffic_while(lb.addr, "demo.interlock.com", || {
        run("api-1", "api");
        let started = Instant::now();
        wait_until(PATIENCE, "the second site", || {
            lb.ask("api.interlock.com") == "api-1"
        });
        took = started.elapsed();
    });
    assert!(met.failed.is_empty(), "{met:?}\n{}", lb.rlb.stderr());
    eprintln!("reachable {took:?} after start");
    assert!(took < Duration::from_secs(1), "{took:?}");
    docker.docker(["stop", "demo-1", "demo-2"]);
    wait_until(PATIENCE, "503", || lb.ask("demo.interlock.com") == "503");
    wait_until(PATIENCE, "the backend leaves", || {
        !lb.ctl(&["show", "backend"]).contains("demo_interlock_com")
    });
    assert_eq!(lb.ask("api.interlock.com"), "api-1");
}

#[test]
fn published_ports_of_containers_are_servers() {
    let Some(docker) = real::docker() else { return };
    docker.docker([
        "run",
        "-d",
        "-P",
        "--name",
        "pub-1",
        "--hostname",
        "pub-1",
        "web",
    ]);
    docker.docker([
        "run",
        "-d",
        "--name",
        "hidden",
        "--label",
        "rlb.backend=pub",
        "web",
    ]);
    let (addr, admin) = (free_addr(), docker.socket().with_file_name("admin.sock"));
    let config = format!(
        "[global]\nadmin = \"{}\"\n[discovery.docker]\nendpoint = \"{}\"\naddress = \"published\"\n\
         [[listen]]\nname = \"pub\"\nbind = \"{addr}\"\nsource = [{{ docker = \"pub-1\" }}, {{ docker = \"hidden\" }}]\n",
        admin.display(),
        endpoint(&docker.socket())
    );
    let rlb = Rlb::with(config).ready_on(addr).start();
    let lb = Bench {
        docker: &docker,
        rlb,
        addr,
        admin,
    };
    wait_until(PATIENCE, "the published one", || lb.ask("any") == "pub-1");
    let sources = lb.ctl(&["show", "sources"]);
    assert!(sources.contains("pub-1 127.0.0.1:"), "{sources}");
    assert!(
        sources.contains("left out: hidden: no published TCP port"),
        "{sources}"
    );
}

/// The image as it is shipped, and the compose file of the demo, unedited.
#[test]
fn the_demo_runs_under_compose() {
    let Some(docker) = real::docker() else { return };
    build_rlb(&docker);
    let both = [docker.compose_1(), docker.compose_2()];
    for compose in both.into_iter().flatten() {
        demo_under(&docker, &compose);
    }
}

fn demo_under(docker: &RealDocker, compose: &Compose) {
    let demo = temp_dir();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/compose.yaml");
    let port = free_addr();
    // On a machine of its own nobody has these ports.
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.replace("\"80:80\"", &format!("\"{}:80\"", port.port()));
    let socket = format!("{}:/var/run/docker.sock", docker.socket().display());
    let text = text.replace("/var/run/docker.sock:/var/run/docker.sock", &socket);
    std::fs::write(demo.path().join("compose.yaml"), text).unwrap();
    // Compose 1 wants to see what it is not asked to build.
    std::fs::create_dir(demo.path().join("web")).unwrap();
    let run = |args: &[&str]| {
        let all = ["-p", "demo"].iter().chain(args);
        docker.compose(compose, demo.path(), all)
    };
    run(&["up", "-d", "--no-build", "--scale", "web=5"]);
    let started = Instant::now();
    let who = || {
        let mut who: Vec<_> = (0..10).filter_map(|_| try_ask(port.port())).collect();
        who.sort();
        who.dedup();
        who
    };
    wait_until(PATIENCE, "five hostnames", || who().len() == 5);
    eprintln!("five hostnames {:?} after up", started.elapsed());
    let lb = docker.docker([
        "ps",
        "-q",
        "--filter",
        "label=com.docker.compose.service=lb",
    ]);
    let lb = lb.trim();
    let servers = docker.docker(["exec", lb, "/rlb", "ctl", "show", "servers", "conn"]);
    assert_eq!(servers.matches("web/demo").count(), 5, "{servers}");
    docker.docker(["exec", lb, "/rlb", "healthcheck"]);
    run(&["down", "-t", "5"]);
}

/// Docker takes the connection before anybody listens behind it.
fn try_ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// The shipped Dockerfile from its last stage on, over a binary that is there: no
/// registry, no compiler.
fn build_rlb(docker: &RealDocker) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let context = temp_dir();
    let image = context.path().join("image");
    for directory in ["etc/rlb", "own/run/rlb", "own/var/lib/rlb"] {
        std::fs::create_dir_all(image.join(directory)).unwrap();
    }
    std::fs::copy(
        root.join("config/docker.toml"),
        image.join("etc/rlb/lb.toml"),
    )
    .unwrap();
    let built = std::env::var_os("RLB_STATIC_BINARY");
    let binary = match &built {
        Some(path) => Path::new(path),
        None => Path::new(env!("CARGO_BIN_EXE_rlb")),
    };
    std::fs::copy(binary, image.join("rlb")).unwrap();
    if built.is_none() {
        // A test's binary is not static: its libraries come along.
        let listed = Command::new("ldd").arg(binary).output().unwrap();
        for word in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
            if word.starts_with('/') {
                let place = image.join("own").join(word.trim_start_matches('/'));
                std::fs::create_dir_all(place.parent().unwrap()).unwrap();
                std::fs::copy(word, place).unwrap();
            }
        }
    }
    let dockerfile = std::fs::read_to_string(root.join("Dockerfile")).unwrap();
    let (_, last) = dockerfile
        .split_once("\nFROM scratch\n")
        .expect("its last stage");
    let last = last
        .replace("--from=build ", "")
        .replace(" /image/", " image/");
    std::fs::write(
        context.path().join("Dockerfile"),
        format!("FROM scratch\n{last}"),
    )
    .unwrap();
    docker.build("rlb", context.path());
    let size = docker.docker(["image", "inspect", "-f", "{{.Size}}", "rlb"]);
    let size: u64 = size.trim().parse().unwrap();
    eprintln!("image: {:.2} MiB", size as f64 / f64::from(1 << 20));
    if built.is_some() {
        assert!(size <= 8 << 20, "{size}");
    }
}
