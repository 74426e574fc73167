//! A target that hangs costs its own lines, and nobody's time.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{ask, lines_of, number, stat, took};
use crate::support::{Origin, PATIENCE, RawClient, Rlb, free_addr, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";

/// Two logs, one of them to a target that takes nothing or stops taking.
fn behind(hung: &str, good: &Path, socket: &Path, origin: &Origin) -> (Rlb, RawClient) {
    let addr = free_addr();
    let rlb = Rlb::with(format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n\
         [[log]]\ntarget = \"{hung}\"\n\
         [[log]]\ntarget = \"{hung}\"\nwhat = \"events\"\n\
         [[log]]\ntarget = \"file:{}\"\n\
         [[listen]]\nname = \"web\"\nbind = \"{addr}\"\n\
         server = [{{ name = \"s1\", address = \"{}\" }}]\n",
        socket.display(),
        good.display(),
        origin.addr()
    ));
    let rlb = rlb.ready_on(addr).start();
    let client = RawClient::connect(addr);
    (rlb, client)
}

fn dropped(socket: &Path) -> u64 {
    let info = ask(socket, "show info");
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("DroppedLogs: "));
    line.unwrap().parse().unwrap()
}

/// Requests until the hung target has lost lines, none of them late; the other target
/// gets every line.
fn lose(hung: &str, good: &Path, socket: &Path) {
    let origin = Origin::ok("hello");
    let (mut rlb, mut client) = behind(hung, good, socket, &origin);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1500));
    let mut sent = 0;
    let mut slowest = Duration::ZERO;
    while dropped(socket) == 0 {
        for _ in 0..500 {
            slowest = slowest.max(took(|| drop(client.send(&long).read_response())));
        }
        sent += 500;
        assert!(sent < 50_000, "nothing is lost");
    }
    // Many times what a request takes; a hung target would take for ever.
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    // Control does not wait for it either, though it has events to tell.
    let changing = took(|| {
        for state in ["drain", "ready"] {
            assert_eq!(
                ask(socket, &format!("set server web/s1 state {state}")).trim(),
                ""
            );
        }
    });
    assert!(changing < Duration::from_secs(10), "{changing:?}");
    client.send(GET).read_response();
    let lines = lines_of(good, sent + 1);
    assert_eq!(lines.len(), sent + 1, "the other log has all of them");
    let requests = number(&stat(socket), "web", "FRONTEND", "req_tot");
    assert_eq!(requests as usize, sent + 1);
    drop(client);
    let ended = took(|| {
        rlb.signal(rustix::process::Signal::TERM);
        rlb.wait_exit();
    });
    assert!(ended < PATIENCE, "{ended:?}");
}

#[test]
fn a_pipe_that_nobody_reads_stalls_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let (good, socket) = (dir.path().join("good.log"), dir.path().join("sock"));
    // Its open hangs already.
    lose(&format!("file:{}", fifo.display()), &good, &socket);
}

#[test]
fn a_syslog_daemon_that_hangs_stalls_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (devlog, good, socket) = (
        dir.path().join("devlog"),
        dir.path().join("good.log"),
        dir.path().join("sock"),
    );
    let _daemon = UnixDatagram::bind(&devlog).unwrap();
    lose(&format!("syslog:{}", devlog.display()), &good, &socket);
}

#[test]
fn a_target_that_comes_back_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, good, socket) = (
        dir.path().join("later/access.log"),
        dir.path().join("good.log"),
        dir.path().join("sock"),
    );
    let origin = Origin::ok("hello");
    let target = format!("file:{}", missing.display());
    let (rlb, mut client) = behind(&target, &good, &socket, &origin);
    client.send(GET).read_response();
    wait_until(PATIENCE, "the loss", || dropped(&socket) > 0);
    assert!(
        rlb.stderr().contains("No such file or directory"),
        "{}",
        rlb.stderr()
    );
    std::fs::create_dir(missing.parent().unwrap()).unwrap();
    let is_written = || {
        client.send(GET).read_response();
        missing.exists()
    };
    wait_until(PATIENCE, "the file", is_written);
}
