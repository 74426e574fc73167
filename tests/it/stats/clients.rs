//! Programs that were made for HAProxy, on our socket and page.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::get;
use crate::support::real::{self, Part, Python};
use crate::support::{PATIENCE, Process, Rlb, answers, free_addr, temp_dir, wait_until};

/// A process with a socket and a page, for clients that are processes themselves.
struct Steered {
    rlb: Rlb,
    socket: PathBuf,
    stats: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Steered {
    fn start() -> Self {
        let dir = temp_dir();
        let (socket, stats, web) = (dir.path().join("admin.sock"), free_addr(), free_addr());
        let rlb = Rlb::with(format!(
            "[global]\nworkers = 1\nadmin = \"{}\"\n\
             [stats]\nbind = \"{stats}\"\nauth = \"ann:secret\"\n\
             [[listen]]\nname = \"web\"\nbind = \"{web}\"\nserver = [\n\
             {{ name = \"s1\", address = \"127.0.0.1:1\", weight = 10 }},\n\
             {{ name = \"s2\", address = \"127.0.0.1:2\", disabled = true }},\n]\n",
            socket.display()
        ));
        Self {
            rlb: rlb.ready_on(stats).start(),
            socket,
            stats,
            _dir: dir,
        }
    }

    fn status(&self, server: &str) -> String {
        let (_, csv) = get(self.stats, "/haproxy_stats;csv", super::ANN);
        super::cell(&csv, "web", server, "status")
    }

    fn socket(&self) -> &str {
        self.socket.to_str().unwrap()
    }
}

#[test]
fn hatop_shows_the_servers_and_leaves_when_told() {
    let Some(hatop) = real::tool(Part::Hatop) else {
        return;
    };
    let rlb = Steered::start();
    let (mut shown, mut keys) = hatop.in_terminal(["-s", rlb.socket(), "-i", "1"]);
    wait_until(PATIENCE, "hatop shows both servers", || {
        let text = shown.stdout();
        text.contains("s1") && text.contains("s2") && text.contains("MAINT")
    });
    keys.write_all(b"q").unwrap();
    shown.wait_exit();
    let text = shown.stdout() + &shown.stderr();
    assert!(!text.contains("Traceback"), "{text}");
    drop(rlb.rlb);
}

#[test]
fn prometheus_haproxy_exporter_reads_page_and_socket() {
    let Some(exporter) = real::tool(Part::Exporter) else {
        return;
    };
    let rlb = Steered::start();
    let page = format!("http://ann:secret@{}/haproxy_stats;csv", rlb.stats);
    for uri in [page, format!("unix:{}", rlb.socket())] {
        let listens = free_addr();
        let mut running: Process = exporter.start([
            format!("--haproxy.scrape-uri={uri}"),
            format!("--web.listen-address={listens}"),
        ]);
        running.wait_ready(|| answers(listens));
        let lines = [
            "haproxy_up 1",
            "haproxy_exporter_csv_parse_failures_total 0",
            "haproxy_server_up{backend=\"web\",server=\"s1\"} 1",
            "haproxy_server_up{backend=\"web\",server=\"s2\"} 0",
            "haproxy_server_weight{backend=\"web\",server=\"s1\"} 10",
            "haproxy_frontend_current_sessions{frontend=\"web\"} 0",
        ];
        // Who looked whether it listens may still be counted.
        wait_until(PATIENCE, &format!("{uri} is read: {lines:?}"), || {
            let (_, metrics) = get(listens, "/metrics", "");
            let has = |line: &&str| metrics.lines().any(|other| other == *line);
            lines.iter().all(has)
        });
    }
}

const HAPROXYADMIN: &str = r#"
import sys, haproxyadmin
from haproxyadmin import haproxy
hap = haproxy.HAProxy(socket_file=sys.argv[1])
assert [b.name for b in hap.backends()] == ["web"], hap.backends()
assert [f.name for f in hap.frontends()] == ["web"], hap.frontends()
s = hap.server("s1", backend="web")[0]
assert (int(s.weight), s.status) == (10, "no check"), (s.weight, s.status)
assert s.setweight(3) and int(s.weight) == 3
assert s.setweight("50%") and int(s.weight) == 5
assert s.setstate(haproxyadmin.STATE_DISABLE) and s.status == "MAINT", s.status
assert s.setstate(haproxyadmin.STATE_ENABLE) and s.status == "no check", s.status
s.address = "127.0.0.9"
assert s.address == "127.0.0.9", s.address
s.port = 77
assert int(s.port) == 77, s.port
assert int(hap.totalrequests) == 0 and int(s.metric("stot")) == 0
assert hap.clearcounters()
frontend = hap.frontend("web")
assert frontend.disable() and frontend.status == "PAUSED", frontend.status
assert frontend.enable() and frontend.status == "OPEN", frontend.status
print("all of it")
"#;

#[test]
fn haproxyadmin_steers() {
    let Some(python) = real::python(&["haproxyadmin==0.2.4"], false) else {
        return;
    };
    let rlb = Steered::start();
    let said = python
        .program("python")
        .run(["-c", HAPROXYADMIN, rlb.socket()]);
    assert_eq!(said.stdout, "all of it\n", "{}", said.stderr);
}

const VALIDATE: &str = r#"
import json, sys, jsonschema
schema, *answers = [json.loads(line) for line in sys.stdin if line.strip()]
jsonschema.Draft4Validator.check_schema(schema)
for answer in answers:
    jsonschema.Draft4Validator(schema).validate(answer)
try:
    jsonschema.Draft4Validator(schema).validate([{"field": 1}])
except jsonschema.ValidationError:
    print(len(answers), "are as it says")
"#;

#[test]
fn json_is_what_its_schema_says() {
    let Some(python) = real::python(&["jsonschema"], false) else {
        return;
    };
    let rlb = Steered::start();
    let (head, schema) = get(rlb.stats, "/haproxy_stats;json-schema", super::ANN);
    assert_eq!(head.field("content-type"), Some("application/json"));
    let (_, stat) = get(rlb.stats, "/haproxy_stats;json", super::ANN);
    let ask = |command: &str| {
        let mut stream = UnixStream::connect(&rlb.socket).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    assert_eq!(ask("show schema json").trim(), schema.trim());
    let dir = temp_dir();
    let all = dir.path().join("all");
    std::fs::write(&all, [schema, stat, ask("show info json")].join("\n")).unwrap();
    let script = format!("import sys; sys.stdin = open({all:?})\n{VALIDATE}");
    let said = python.program("python").run(["-c", &script]);
    assert_eq!(said.stdout, "2 are as it says\n", "{}", said.stderr);
}

#[test]
fn ansible_module_steers() {
    let Some(python) = real::python(&["ansible"], true) else {
        return;
    };
    let rlb = Steered::start();
    for (wish, status) in [
        ("state=drain", "DRAIN"),
        ("state=disabled shutdown_sessions=true", "MAINT"),
        ("state=enabled weight=20", "no check"),
    ] {
        let said = ansible(
            &python,
            &format!("{wish} host=s1 backend=web socket={}", rlb.socket()),
        );
        assert!(said.contains("localhost | CHANGED"), "{wish}: {said}");
        assert_eq!(rlb.status("s1"), status, "{wish}");
    }
}

fn ansible(python: &Python, arguments: &str) -> String {
    let ansible = python.program("ansible");
    // The one Ansible itself runs in: the first in PATH may be a shim of another.
    let interpreter = "ansible_python_interpreter={{ansible_playbook_python}}";
    let module = "community.general.haproxy";
    let args = [
        "localhost",
        "-c",
        "local",
        "-e",
        interpreter,
        "-m",
        module,
        "-a",
        arguments,
    ];
    let said = ansible.run_long(args);
    said.stdout + &said.stderr
}
