//! The command line, the signals and the exit codes of the binary.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::authority::{Authority, Kind};
use crate::support::{
    Answer, Origin, PATIENCE, RawClient, Rlb, answers, free_addr, free_ports, wait_until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Runs rlb to its end.
fn rlb(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rlb"))
        .args(args)
        .output()
        .expect("the binary runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file that is gone with the test.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("lb.toml");
    std::fs::write(&path, text).expect("temporary directory");
    let path = path.to_str().expect("plain text").to_owned();
    (dir, path)
}

fn config(bind: impl std::fmt::Display, server: impl std::fmt::Display) -> String {
    format!(
        "[global]\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\nserver = \"{server}\"\n"
    )
}

/// An origin whose answers wait until they are released.
fn held_origin() -> (Origin, Arc<AtomicBool>) {
    let released = Arc::new(AtomicBool::new(false));
    let release = Arc::clone(&released);
    let origin = Origin::answering(move |_| {
        wait_until(PATIENCE, "the answer is released", || {
            released.load(Ordering::Acquire)
        });
        Answer::Keep(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
    });
    (origin, release)
}

#[test]
fn a_valid_file_is_said_to_be_valid() {
    let (_dir, path) = file(&config("127.0.0.1:0", "127.0.0.1:9"));
    for args in [["-c", "-f", &path], ["check", "-f", &path]] {
        let said = rlb(&args);
        assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
        assert_eq!(stdout(&said), "Configuration file is valid\n");
    }
    assert_eq!(stdout(&rlb(&["-q", "-c", "-f", &path])), "");
}

#[test]
fn a_bad_file_shows_all_of_its_problems() {
    let (_dir, path) = file(
        "[global]\nworker = 2\n[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:70000\"\n\
         server = \"127.0.0.1:9\"\n[listen.timeouts]\nclient = \"30\"\n",
    );
    for args in [vec!["-c", "-f", &path], vec!["-f", &path]] {
        let said = rlb(&args);
        let words = stderr(&said);
        assert_eq!(said.status.code(), Some(1), "{words}");
        for expected in [
            ":2:1",
            "did you mean `workers`?",
            ":5:8",
            ":8:10",
            "3 problems",
        ] {
            assert!(words.contains(expected), "{expected} in {words}");
        }
        assert!(!words.contains('\x1b'), "coloured without a terminal");
    }
}

#[test]
fn refused_flags_say_what_replaces_them() {
    for (args, words) in [
        (vec!["-f", "x", "-D"], "systemd"),
        (vec!["-f", "x", "-sf", "1", "2"], "--takeover SOCKET"),
        (vec!["-f", "x", "-st", "1"], "--takeover SOCKET"),
        (vec!["--no-such-flag"], "Usage"),
    ] {
        let said = rlb(&args);
        assert_eq!(said.status.code(), Some(2), "{args:?}");
        assert!(stderr(&said).contains(words), "{}", stderr(&said));
    }
}

#[test]
fn versions_are_told() {
    let version = format!("rlb version {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&rlb(&["-v"])), version);
    let all = stdout(&rlb(&["-vv"]));
    for word in ["Features:", "TLS:", "tokio 1.", "Running on: Linux"] {
        assert!(all.contains(word), "{word} in {all}");
    }
}

#[test]
fn an_address_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (_dir, path) = file(&config(address, "127.0.0.1:9"));
    let said = rlb(&["-f", &path]);
    assert_eq!(said.status.code(), Some(1));
    let words = stderr(&said);
    assert!(
        words.contains(&format!("cannot bind {address}: the address is in use")),
        "{words}"
    );
    assert_eq!(words.lines().count(), 1, "{words}");
}

#[test]
fn more_connections_than_descriptors_are_refused() {
    let text =
        config("127.0.0.1:0", "127.0.0.1:9").replace("[global]", "[global]\nmaxconn = 100000000");
    let (_dir, path) = file(&text);
    let said = rlb(&["-f", &path]);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        stderr(&said).contains("LimitNOFILE=225000"),
        "{}",
        stderr(&said)
    );
}

#[test]
fn too_few_descriptors_are_refused() {
    let (_dir, path) = file(&config("127.0.0.1:0", "127.0.0.1:9"));
    let said = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" -f \"$1\""])
        .args([env!("CARGO_BIN_EXE_rlb"), &path])
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(
        stderr(&said).contains("too few file descriptors"),
        "{}",
        stderr(&said)
    );
}

#[test]
fn a_start_names_binds_backends_and_limits() {
    let (bind, page, secure) = (free_addr(), free_addr(), free_addr());
    let ca = Authority::new("ca");
    ca.put("page.pem", &ca.issue(&["a.test"], Kind::Ecdsa));
    let rlb = Rlb::with(format!(
        "{}[stats]\nbind = [\"{page}\", {{ address = \"{secure}\", tls = true }}]\n\
         tls = {{ certificates = {:?} }}\n",
        config(bind, "127.0.0.1:9"),
        ca.dir().join("page.pem"),
    ))
    .ready_on(bind)
    .start();
    wait_until(PATIENCE, "the start is told", || {
        rlb.stderr().contains("descriptors")
    });
    let words = rlb.stderr();
    assert!(
        words.contains(&format!("frontend web: http on {bind}\n")),
        "{words}"
    );
    assert!(
        words.contains("backend web: 1 server, no check\n"),
        "{words}"
    );
    for page in [format!("http://{page}"), format!("https://{secure}")] {
        let line = format!("stats page: {page}/haproxy_stats\n");
        assert!(words.contains(&line), "{words}");
    }
    assert!(words.contains("maxconn"), "{words}");
}

#[test]
fn a_quiet_start_says_nothing() {
    let bind = free_addr();
    let mut rlb = Rlb::with(config(bind, "127.0.0.1:9"))
        .arg("-q")
        .ready_on(bind)
        .start();
    rlb.signal(Signal::TERM);
    assert_eq!(rlb.wait_exit().code(), Some(0));
    assert_eq!(rlb.stderr(), "");
}

#[test]
fn a_drain_lets_a_request_finish() {
    let (origin, release) = held_origin();
    let bind = free_addr();
    let mut rlb = Rlb::with(config(bind, origin.addr()))
        .ready_on(bind)
        .start();
    let mut client = RawClient::connect(bind);
    client.send(GET);
    wait_until(PATIENCE, "the request arrives", || {
        origin.requests().len() == 1
    });
    rlb.signal(Signal::TERM);
    wait_until(PATIENCE, "the drain is told", || {
        rlb.stderr()
            .contains("draining 1 session, at most 30 s; again to stop now\n")
    });
    wait_until(PATIENCE, "the listener is closed", || !answers(bind));
    release.store(true, Ordering::Release);
    let (head, body) = client.read_response();
    assert_eq!((head.status(), body.as_slice()), (200, b"ok".as_slice()));
    assert_eq!(head.field("connection"), Some("close"));
    assert_eq!(rlb.wait_exit().code(), Some(0));
}

#[test]
fn a_second_signal_cuts() {
    let origin = Origin::answering(|_| Answer::Silence);
    let bind = free_addr();
    let mut rlb = Rlb::with(config(bind, origin.addr()))
        .ready_on(bind)
        .start();
    let mut client = RawClient::connect(bind);
    client.send(GET);
    wait_until(PATIENCE, "the request arrives", || {
        origin.requests().len() == 1
    });
    rlb.signal(Signal::USR1);
    wait_until(PATIENCE, "the drain is told", || {
        rlb.stderr().contains("draining 1 session")
    });
    rlb.signal(Signal::INT);
    assert_eq!(client.read_head().status(), 502);
    assert_eq!(rlb.wait_exit().code(), Some(0));
}

#[test]
fn a_hangup_reads_the_file_again() {
    let (first, second) = (Origin::ok("first"), Origin::ok("second"));
    let bind = free_addr();
    let rlb = Rlb::with(config(bind, first.addr()))
        .env("RLB_LOG", "info")
        .ready_on(bind)
        .start();
    let file = rlb.dir().join("lb.toml");
    let mut client = RawClient::connect(bind);
    assert_eq!(client.send(GET).read_response().1, b"first");

    std::fs::write(&file, "nonsense").unwrap();
    rlb.signal(Signal::HUP);
    wait_until(PATIENCE, "the file is refused", || {
        rlb.stderr().contains("the running one goes on")
    });
    assert_eq!(client.send(GET).read_response().1, b"first");

    std::fs::write(&file, config(bind, second.addr())).unwrap();
    rlb.signal(Signal::USR2);
    wait_until(PATIENCE, "the file is in force", || {
        rlb.stderr().contains("reloaded")
    });
    assert_eq!(client.send(GET).read_response().1, b"second");
}

#[test]
fn the_pid_file_lives_as_long_as_the_process() {
    let bind = free_addr();
    let dir = tempfile::tempdir().unwrap();
    let pidfile = dir.path().join("rlb.pid");
    let mut rlb = Rlb::with(config(bind, "127.0.0.1:9"))
        .arg("-p")
        .arg(&pidfile)
        .ready_on(bind)
        .start();
    let expected = format!("{}\n", rlb.pid().as_raw_nonzero());
    wait_until(PATIENCE, "the pid is written", || {
        std::fs::read_to_string(&pidfile).is_ok_and(|pid| pid == expected)
    });
    rlb.signal(Signal::TERM);
    assert_eq!(rlb.wait_exit().code(), Some(0));
    assert!(!pidfile.exists());
}

#[test]
fn the_demo_serves_and_ends_at_once() {
    // It passes over those that are taken, and has five.
    let port = free_ports(16).to_string();
    let mut demo = Rlb::demo(&["--port", &port]);
    wait_until(PATIENCE, "the demo says what to try", || {
        demo.stdout().contains("Ctrl-C")
    });
    let words = demo.stdout();
    let addresses: Vec<std::net::SocketAddr> = words
        .split_whitespace()
        .filter_map(|word| {
            word.strip_prefix("http://")?
                .split('/')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    let (http, tcp) = (addresses[0], addresses[2]);
    assert_ne!(http, tcp);
    let mut client = RawClient::connect(http);
    let names: Vec<u8> = (0..8)
        .map(|_| client.send(GET).read_response().1[1])
        .collect();
    assert_eq!(names.iter().filter(|name| **name == b'1').count(), 4);
    let (_, body) = RawClient::connect(tcp).send(GET).read_response();
    assert!(body.starts_with(b"s"));

    demo.signal(Signal::INT);
    let asked = std::time::Instant::now();
    assert_eq!(demo.wait_exit().code(), Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn the_demo_prints_a_file_that_can_be_served() {
    let printed = rlb(&["demo", "--print-config"]);
    assert_eq!(printed.status.code(), Some(0));
    let (_dir, path) = file(&stdout(&printed));
    assert_eq!(rlb(&["check", "-f", &path]).status.code(), Some(0));
}
