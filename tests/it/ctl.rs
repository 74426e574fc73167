//! `rlb ctl` and `rlb healthcheck` against a running rlb.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::support::{Answer, Origin, PATIENCE, RawClient, Rlb, free_addr, free_ports, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";

struct Running {
    rlb: Rlb,
    bind: std::net::SocketAddr,
}

impl Running {
    /// One backend `web` with `s1` at `origin`; the socket lies beside the file.
    fn in_front_of(origin: std::net::SocketAddr, dir: &Path) -> Self {
        let bind = free_addr();
        let rlb = Rlb::with(config(bind, origin, &dir.join("admin.sock")))
            .env("PLANTED_TOKEN", "planted-token-value")
            .env("PLANTED", "planted-plain-value")
            .ready_on(bind)
            .start();
        Self { rlb, bind }
    }

    fn file(&self) -> PathBuf {
        self.rlb.dir().join("lb.toml")
    }
}

fn config(bind: std::net::SocketAddr, origin: std::net::SocketAddr, socket: &Path) -> String {
    format!(
        "[global]\ndrain_timeout = \"5s\"\nadmin = \"{}\"\n\
         [[frontend]]\nname = \"www\"\nbind = \"{bind}\"\ndefault_backend = \"web\"\n\
         [[frontend.route]]\nheader = {{ name = \"x-key\", value = \"${{PLANTED:-nothing}}\" }}\nbackend = \"web\"\n\
         [[backend]]\nname = \"web\"\nserver = [{{ name = \"s1\", address = \"{origin}\" }}]\n",
        socket.display()
    )
}

/// `rlb ARGS`, with the socket in RLB_ADMIN.
fn rlb(socket: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rlb"))
        .args(args)
        .env("RLB_ADMIN", socket)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn commands_are_done_refused_or_not_reached() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::ok("hello");
    let running = Running::in_front_of(origin.addr(), dir.path());
    let socket = dir.path().join("admin.sock");
    let ctl = |args: &[&str]| rlb(&socket, &[&["ctl"], args].concat());

    assert_eq!(done(&ctl(&["set", "weight", "web/s1", "7"])), "");
    assert_eq!(done(&ctl(&["get weight web/s1"])), "7 (initial 1)\n");
    assert!(done(&ctl(&["show", "stat"])).starts_with("# pxname,svname,"));
    let servers = done(&ctl(&["show", "servers", "web"]));
    let rows: Vec<&str> = servers.lines().collect();
    assert!(rows[0].starts_with("# pxname,svname,") && rows[1].starts_with("web,s1,"));
    assert!(rows[2..].iter().all(|row| row.is_empty()), "{servers}");
    assert!(done(&ctl(&["--json", "show", "drain"])).starts_with('['));
    let file = running.file();
    let by_file = Command::new(env!("CARGO_BIN_EXE_rlb"))
        .args(["ctl", "-f"])
        .arg(&file)
        .args(["show", "cli", "level"])
        .env_remove("RLB_ADMIN")
        .output()
        .unwrap();
    assert_eq!(done(&by_file), "admin\n");

    let refused = ctl(&["set", "weight", "web/nope", "7"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        (text(&refused.stdout), text(&refused.stderr)),
        (String::new(), "error: No such server.\n".into())
    );

    let unknown = ctl(&["shwo", "info"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(text(&unknown.stdout), "");
    let said = text(&unknown.stderr);
    assert!(
        said.starts_with("error: Unknown command: 'shwo', but maybe"),
        "{said}"
    );
    assert!(said.contains("  show info "), "{said}");

    let nobody = rlb(&dir.path().join("none"), &["ctl", "show", "info"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(text(&nobody.stderr).contains("is rlb running"));
    for usage in [
        &["ctl"][..],
        &["ctl", "--wait", "show", "info"],
        &["ctl", "--json", "get weight web/s1"],
        &["ctl", "drain"],
    ] {
        assert_eq!(rlb(&socket, usage).status.code(), Some(2), "{usage:?}");
    }
}

#[test]
fn a_refused_file_shows_its_diagnostics() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::ok("hello");
    let running = Running::in_front_of(origin.addr(), dir.path());
    let socket = dir.path().join("admin.sock");
    let good = std::fs::read_to_string(running.file()).unwrap();
    std::fs::write(
        running.file(),
        good.replace("default_backend", "default_bakend"),
    )
    .unwrap();
    let refused = rlb(&socket, &["ctl", "reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let words = text(&refused.stderr);
    assert!(
        words.contains("default_bakend") && words.contains("lb.toml"),
        "{words}"
    );
    std::fs::write(
        running.file(),
        good.replace("name = \"s1\"", "name = \"s9\""),
    )
    .unwrap();
    // Whoever follows the file may have been faster: then nothing changed.
    done(&rlb(&socket, &["ctl", "reload"]));
    assert_eq!(
        done(&rlb(&socket, &["ctl", "get weight web/s9"])),
        "1 (initial 1)\n"
    );
}

#[test]
fn a_drain_waits_for_the_last_session() {
    let dir = tempfile::tempdir().unwrap();
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::cell::RefCell::new(Some(wait));
    let origin = Origin::raw({
        let wait = std::sync::Arc::new(Held(wait.borrow_mut().take().unwrap().into()));
        move |mut stream, _| {
            let mut head = [0; 1024];
            let _ = std::io::Read::read(&mut stream, &mut head);
            wait.wait();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let running = Running::in_front_of(origin.addr(), dir.path());
    let socket = dir.path().join("admin.sock");
    let mut client = RawClient::connect(running.bind);
    client.send(GET);
    wait_until(PATIENCE, "the request is at the origin", || {
        origin.connections() == 1
    });

    let late = rlb(&socket, &["ctl", "drain", "web/s1", "--wait=200ms"]);
    assert_eq!(late.status.code(), Some(1));
    assert_eq!(
        text(&late.stderr),
        "error: 1 session left on web/s1; it stays in drain\n"
    );
    assert!(done(&rlb(&socket, &["ctl", "show", "drain"])).contains("s1"));

    let waiting = Command::new(env!("CARGO_BIN_EXE_rlb"))
        .args(["ctl", "drain", "web/s1", "--wait"])
        .env("RLB_ADMIN", &socket)
        .spawn()
        .unwrap();
    release.send(()).unwrap();
    assert_eq!(client.read_response().1, b"ok");
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert_eq!(client.send(GET).read_head().status(), 503);
}

/// Answers when told to.
#[expect(clippy::disallowed_types, reason = "tests may lock")]
struct Held(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Held {
    fn wait(&self) {
        let _ = self.0.lock().unwrap().recv();
    }
}

#[test]
fn health_is_told_and_readiness_ends_with_the_drain() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|_| Answer::Silence);
    let mut running = Running::in_front_of(origin.addr(), dir.path());
    let socket = dir.path().join("admin.sock");
    let health = |args: &[&str]| {
        rlb(&socket, &[&["healthcheck"], args].concat())
            .status
            .code()
    };
    assert_eq!(health(&[]), Some(0));
    assert_eq!(health(&["--ready"]), Some(0));

    let mut client = RawClient::connect(running.bind);
    client.send(GET);
    wait_until(PATIENCE, "the request is at the origin", || {
        origin.requests().len() == 1
    });
    running.rlb.signal(Signal::TERM);
    wait_until(PATIENCE, "it drains", || health(&["--ready"]) == Some(1));
    assert_eq!(health(&[]), Some(0));
    let info = done(&rlb(&socket, &["ctl", "show", "info"]));
    assert!(info.contains("\nStopping: 1\n"), "{info}");
    assert_eq!(
        done(&rlb(&socket, &["ctl", "set", "weight", "web/s1", "3"])),
        ""
    );

    running.rlb.signal(Signal::TERM);
    running.rlb.wait_exit();
    assert_eq!(health(&[]), Some(2));
    assert!(!socket.exists());
}

#[test]
fn no_secret_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::ok("hello");
    let running = Running::in_front_of(origin.addr(), dir.path());
    let socket = dir.path().join("admin.sock");
    let ask = |command: &str| done(&rlb(&socket, &["ctl", command]));
    let env = ask("show env");
    assert!(
        env.contains("PLANTED_TOKEN=***\n") && env.contains("PLANTED=***\n"),
        "{env}"
    );
    let explained = ask("explain GET / X-Key:planted-plain-value");
    assert!(
        explained.contains("route 1: header x-key: ***"),
        "{explained}"
    );
    let good = std::fs::read_to_string(running.file()).unwrap();
    let bad = good.replace("name = \"s1\"", "name = \"${PLANTED_TOKEN} x\"");
    std::fs::write(running.file(), bad).unwrap();
    let refused = rlb(&socket, &["ctl", "reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let commands = [
        "show env",
        "show env json",
        "show info",
        "show stat",
        "show servers state",
        "show servers conn",
        "show sess",
        "show overrides",
        "show generations",
        "show drain",
        "show backend",
        "explain GET /",
        "show cli sockets",
        "help",
    ];
    let mut told = commands.map(ask).concat() + &text(&refused.stderr);
    told += &running.rlb.stderr();
    assert!(!told.contains("planted-"), "{told}");
}

/// Who answers the next nine requests to the demo.
fn nine(client: &mut RawClient) -> String {
    let names = (0..9).map(|_| char::from(client.send(GET).read_response().1[1]));
    names.collect()
}

#[test]
fn the_demo_offers_commands_whose_effect_is_seen() {
    let port = free_ports(16).to_string();
    let demo = Rlb::demo(&["--port", &port]);
    wait_until(PATIENCE, "the demo says what to try", || {
        demo.stdout().contains("Ctrl-C")
    });
    let words = demo.stdout();
    let http = words.split("curl http://").nth(1).unwrap();
    let address = http.split('/').next().unwrap().parse().unwrap();
    let mut client = RawClient::connect(address);
    let started_as = concat!(env!("CARGO_BIN_EXE_rlb"), " ctl -s ");
    let lines: Vec<&str> = words.lines().filter(|l| l.contains(started_as)).collect();
    assert_eq!(lines.len(), 3);
    // The explanations stand in one column, beside their command or below it.
    let column = words
        .lines()
        .find_map(|line| line.find("what the origin is told"));
    for what in [
        "again and again",
        "curl meets",
        "and s1 again",
        "six of nine",
    ] {
        let line = words.lines().find(|line| line.contains(what)).unwrap();
        assert_eq!(line.find(what), column, "{line}");
    }
    let expected: [fn(&str) -> bool; 3] = [
        |nine| !nine.contains('1'),
        |nine| nine.contains('1'),
        |nine| nine.matches('3').count() == 6,
    ];
    for (line, holds) in lines.into_iter().zip(expected) {
        let args: Vec<&str> = line.split_whitespace().skip(1).collect();
        // What explains the line stands behind its command.
        let end = args
            .iter()
            .position(|w| matches!(*w, "curl" | "and" | "six"));
        let args = &args[..end.unwrap_or(args.len())];
        done(&rlb(Path::new(""), args));
        let nine = nine(&mut client);
        assert!(holds(&nine), "{line}: {nine}");
    }
}
