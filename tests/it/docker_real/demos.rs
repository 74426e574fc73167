//! The demos as they are shipped, under both composes, used as their first lines say.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use super::image::{build_program, build_rlb};
use super::traffic_while;
use crate::support::consul::ask;
use crate::support::docker::endpoint;
use crate::support::real::{self, Compose, Part, RealDocker};
use crate::support::{PATIENCE, RawClient, free_addr, temp_dir, wait_until};

#[test]
fn the_demo_runs_under_compose() {
    let Some(docker) = real::docker() else { return };
    build_rlb(&docker);
    for compose in docker.composes() {
        let demo = Demo::new(&docker, &compose, "");
        demo.compose(&["up", "-d", "--no-build", "--scale", "web=5"]);
        let started = Instant::now();
        demo.wait_for(5);
        eprintln!("five hostnames {:?} after up", started.elapsed());
        let servers = demo.exec_lb(&["ctl", "show", "servers"]);
        assert_eq!(servers.matches("web,demo").count(), 5, "{servers}");
        demo.exec_lb(&["healthcheck"]);
        demo.compose(&["down", "-t", "5"]);
    }
}

#[test]
fn the_demo_with_consul_is_scaled_under_load() {
    let (Some(docker), Some(consul)) = (real::docker(), real::consul_program()) else {
        return;
    };
    build_rlb(&docker);
    build_program(&docker, "hashicorp/consul", &consul);
    for compose in docker.composes() {
        let demo = Demo::new(&docker, &compose, "consul");
        demo.compose(&["up", "-d", "--no-build", "--scale", "web=5"]);
        demo.wait_for(5);
        let csv = demo.stats("/haproxy_stats;csv", "Basic YWRtaW46YWRtaW4=");
        let up = csv.1.lines().filter(|row| row.starts_with("web,"));
        let up = up.filter(|row| row.contains(",UP,") && !row.contains(",BACKEND,"));
        assert_eq!(up.count(), 5, "{csv:?}");
        let page = demo.stats("/haproxy_stats", "Basic YWRtaW46YWRtaW4=");
        assert!(page.0 == 200 && page.1.contains("<html"), "{page:?}");
        assert_eq!(demo.stats("/haproxy_stats", "Basic YWRtaW46bm8=").0, 401);
        let met = traffic_while(demo.at(80), "localhost", || {
            for count in [2, 5, 1] {
                let scale = format!("web={count}");
                demo.compose(&["up", "-d", "--no-build", "--scale", &scale]);
                demo.wait_for(count);
            }
        });
        assert!(met.failed.is_empty() && met.ok > 10, "{met:?}");
        demo.compose(&["down", "-t", "5"]);
    }
}

#[test]
fn the_canary_follows_the_key() {
    let (Some(docker), Some(consul)) = (real::docker(), real::consul_program()) else {
        return;
    };
    let Some(curl) = real::tool(Part::Curl) else {
        return;
    };
    build_rlb(&docker);
    build_program(&docker, "hashicorp/consul", &consul);
    build_program(&docker, "curlimages/curl", curl.path());
    for compose in docker.composes() {
        let demo = Demo::new(&docker, &compose, "canary");
        demo.compose(&["up", "-d", "--no-build"]);
        demo.wait_for(2);
        let new = demo.hostnames("goat-2");
        let of_new = || {
            let who = demo.who(100);
            assert_eq!(who.values().sum::<usize>(), 100, "{who:?}");
            let new = who.iter().filter(|(name, _)| new.contains(name));
            new.map(|(_, count)| count).sum::<usize>()
        };
        assert_eq!(of_new(), 20);
        // The share is the group's, however many there are.
        demo.compose(&["up", "-d", "--no-build", "--scale", "goat-1=3"]);
        demo.wait_for(4);
        assert_eq!(of_new(), 20);

        let met = traffic_while(demo.at(80), "localhost", || {
            demo.put_weights("{\"0.0.1\":0,\"0.0.2\":100}");
            wait_until(PATIENCE, "only the second version", || of_new() == 100);
        });
        assert!(met.failed.is_empty(), "{met:?}");
        demo.put_weights("{\"0.0.1\":99,\"0.0.2\":1}");
        wait_until(PATIENCE, "one in a hundred", || of_new() == 1);
        demo.compose(&["down", "-t", "5"]);
    }
}

/// A demo in a directory of its own, its ports free ones of this machine.
struct Demo<'a> {
    docker: &'a RealDocker,
    compose: &'a Compose,
    dir: TempDir,
    name: &'static str,
    ports: BTreeMap<u16, SocketAddr>,
}

impl<'a> Demo<'a> {
    fn new(docker: &'a RealDocker, compose: &'a Compose, name: &'static str) -> Self {
        let ports = [80, 8500, 9000].map(|port| (port, free_addr()));
        let demo = Self {
            docker,
            compose,
            dir: temp_dir(),
            name,
            ports: ports.into(),
        };
        demo.copy();
        demo
    }

    /// Unedited but for what others on this machine may have: ports, Docker's socket.
    fn copy(&self) {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo");
        let (from, to) = (shipped.join(self.name), self.place());
        fs::create_dir_all(to.join("lb")).unwrap();
        // Compose 1 wants to see what it is not asked to build.
        fs::create_dir_all(self.dir.path().join("web")).unwrap();
        let mut text = fs::read_to_string(from.join("compose.yaml")).unwrap();
        for (port, free) in &self.ports {
            let (written, free) = (format!("\"{port}:{port}\""), free.port());
            text = text.replace(&written, &format!("\"{free}:{port}\""));
        }
        let socket = endpoint(&self.docker.socket()).replace("unix://", "- ");
        let text = text.replace("- /var/run/docker.sock", &socket);
        fs::write(to.join("compose.yaml"), text).unwrap();
        if let Ok(file) = fs::read(from.join("lb/lb.toml")) {
            fs::write(to.join("lb/lb.toml"), file).unwrap();
        }
    }

    fn place(&self) -> PathBuf {
        self.dir.path().join(self.name)
    }

    fn compose(&self, args: &[&str]) -> String {
        let all = ["-p", "demo"].iter().chain(args);
        self.docker.compose(self.compose, &self.place(), all)
    }

    /// Where a port of the compose file is here.
    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[&port].port()))
    }

    /// The containers of a service, by hostname.
    fn hostnames(&self, service: &str) -> Vec<String> {
        let filter = format!("label=com.docker.compose.service={service}");
        let ids = self.docker.docker(["ps", "-q", "--filter", &filter]);
        ids.lines().map(str::to_owned).collect()
    }

    fn exec_lb(&self, args: &[&str]) -> String {
        let lb = self.hostnames("lb").remove(0);
        let all = ["exec", &lb, "/rlb"]
            .into_iter()
            .chain(args.iter().copied());
        self.docker.docker(all)
    }

    /// Who answers so many requests, and how often.
    fn who(&self, requests: usize) -> BTreeMap<String, usize> {
        let mut who = BTreeMap::new();
        for name in (0..requests).filter_map(|_| try_ask(self.at(80))) {
            *who.entry(name.trim().to_owned()).or_default() += 1;
        }
        who
    }

    /// Waits until so many answer, and nobody fails.
    #[track_caller]
    fn wait_for(&self, count: usize) {
        wait_until(PATIENCE * 2, &format!("{count} hostnames"), || {
            let who = self.who(20);
            who.len() == count && who.values().sum::<usize>() == 20
        });
    }

    fn stats(&self, path: &str, authorization: &str) -> (u16, String) {
        let mut client = RawClient::connect(self.at(9000));
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\
             Connection: close\r\n\r\n"
        ));
        let (head, body) = client.read_response();
        (head.status(), String::from_utf8_lossy(&body).into_owned())
    }

    fn put_weights(&self, weights: &str) {
        let put = ask(self.at(8500), "PUT", "/v1/kv/goat", weights).unwrap();
        assert_eq!(put.0, 200, "{put:?}");
    }
}

impl Drop for Demo<'_> {
    /// What its containers said, to whoever wonders.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.compose(&["logs", "--no-color"]));
        }
    }
}

/// Docker takes the connection before anybody listens behind it.
fn try_ask(addr: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}
