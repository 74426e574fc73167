//! What a service manager is told and what it hands down: the manager is scripted.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::consul::{Fake, Fault};
use crate::support::real::{self, Part};
use crate::support::{
    Origin, PATIENCE, Process, RawClient, Rlb, answers, free_addr, temp_dir, wait_until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// A manager's end of NOTIFY_SOCKET.
struct Manager {
    socket: UnixDatagram,
    dir: TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = temp_dir();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        Self { socket, dir }
    }

    /// What it is told within `patience`.
    fn told_within(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut message = [0; 1024];
        let length = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..length].to_vec()).unwrap())
    }

    /// The next message that is no sign of life.
    #[track_caller]
    fn told(&self) -> String {
        loop {
            let message = self.told_within(PATIENCE).expect("a message");
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }
}

fn config(bind: impl std::fmt::Display, server: SocketAddr) -> String {
    format!(
        "[global]\nadmin = \"\"\nworkers = 2\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\nserver = \"{server}\"\n"
    )
}

#[test]
fn a_manager_is_told_the_life_of_the_process() {
    let manager = Manager::new();
    let origin = Origin::ok("hello");
    let addr = free_addr();
    let mut rlb = Rlb::with(config(addr, origin.addr()))
        .env("NOTIFY_SOCKET", manager.dir.path().join("notify"))
        .env("WATCHDOG_USEC", "100000")
        .start();
    let ready = manager.told();
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    assert!(ready.contains(&format!("MAINPID={}", rlb.pid().as_raw_nonzero())));
    // Ready means ready: the first try is answered.
    assert_eq!(
        RawClient::connect(addr).send(GET).read_response().1,
        b"hello"
    );
    assert_eq!(manager.told_within(PATIENCE).as_deref(), Some("WATCHDOG=1"));

    rlb.signal(Signal::HUP);
    let reloading = manager.told();
    let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    assert!(
        micros.is_some_and(|micros| micros.parse::<u64>().is_ok()),
        "{reloading}"
    );
    assert_eq!(manager.told(), "READY=1");

    std::fs::write(rlb.dir().join("lb.toml"), "this is not a configuration").unwrap();
    rlb.signal(Signal::HUP);
    assert!(manager.told().starts_with("RELOADING=1"));
    assert_eq!(manager.told(), "READY=1", "the old configuration goes on");

    rlb.signal(Signal::TERM);
    assert!(manager.told().starts_with("STOPPING=1"));
    assert!(rlb.wait_exit().success());
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let manager = Manager::new();
    let rlb = Rlb::with(config(free_addr(), free_addr()))
        .env("NOTIFY_SOCKET", manager.dir.path().join("notify"))
        .env("WATCHDOG_USEC", "20000")
        .env("WATCHDOG_PID", "1")
        .start();
    assert!(manager.told().starts_with("READY=1"));
    assert_eq!(manager.told_within(Duration::from_millis(200)), None);
    drop(rlb);
}

#[test]
fn a_stuck_process_does_not_feed_the_watchdog() {
    let manager = Manager::new();
    let rlb = Rlb::with(config(free_addr(), free_addr()))
        .env("NOTIFY_SOCKET", manager.dir.path().join("notify"))
        .env("WATCHDOG_USEC", "100000")
        .start();
    assert!(manager.told().starts_with("READY=1"));
    rlb.signal(Signal::STOP);
    let until = Instant::now() + PATIENCE;
    while manager.told_within(Duration::from_millis(300)).is_some() {
        assert!(Instant::now() < until, "still fed");
    }
    rlb.signal(Signal::CONT);
    assert_eq!(manager.told_within(PATIENCE).as_deref(), Some("WATCHDOG=1"));
}

/// rlb with `listener` as descriptors 3 and 4, announced as systemd does.
fn activated(config: &str, listener: TcpListener) -> Process {
    let dir = temp_dir();
    let file = dir.path().join("lb.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(r#"LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" -f "$1" 3<&0 4<&0 </dev/null"#)
        .arg(env!("CARGO_BIN_EXE_rlb"))
        .arg(file);
    let stdin = Stdio::from(OwnedFd::from(listener));
    Process::start_with_stdin(&mut command, dir, stdin)
}

#[test]
fn an_activated_socket_is_served_and_an_unused_one_closed() {
    let origin = Origin::ok("hello");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut rlb = activated(&config("fd@3", origin.addr()), listener);
    assert_eq!(
        RawClient::connect(addr).send(GET).read_response().1,
        b"hello"
    );
    wait_until(PATIENCE, "the unused one is warned about", || {
        rlb.stderr().contains("no bind is \"fd@4\"")
    });
    assert!(!rlb.stderr().contains("fd@3\""), "{}", rlb.stderr());
    rlb.signal(Signal::TERM);
    assert!(rlb.wait_exit().success());
    assert!(!answers(addr), "nobody holds it any more");
}

#[test]
fn an_activated_socket_leaves_and_comes_back() {
    let origin = Origin::ok("hello");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let rlb = activated(&config("fd@3", origin.addr()), listener);
    assert_eq!(
        RawClient::connect(addr).send(GET).read_response().1,
        b"hello"
    );
    let other = free_addr();
    let file = rlb.dir().join("lb.toml");
    std::fs::write(&file, config(other, origin.addr())).unwrap();
    rlb.signal(Signal::HUP);
    wait_until(PATIENCE, "the other bind is open", || answers(other));
    std::fs::write(&file, config("fd@3", origin.addr())).unwrap();
    rlb.signal(Signal::HUP);
    wait_until(PATIENCE, "the other bind is closed", || !answers(other));
    assert_eq!(
        RawClient::connect(addr).send(GET).read_response().1,
        b"hello"
    );
}

#[test]
fn a_descriptor_that_was_not_inherited_is_a_sentence() {
    let dir = temp_dir();
    let file = dir.path().join("lb.toml");
    std::fs::write(&file, config("fd@77", free_addr())).unwrap();
    let errors = dir.path().join("errors");
    let status = Command::new(env!("CARGO_BIN_EXE_rlb"))
        .arg("-f")
        .arg(&file)
        .stderr(File::create(&errors).unwrap())
        .status()
        .unwrap();
    let said = std::fs::read_to_string(errors).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("descriptor 77 was not inherited"), "{said}");
}

fn unit_file() -> String {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rlb.service");
    std::fs::read_to_string(unit).unwrap()
}

#[test]
fn systemd_understands_every_line_of_the_unit_file() {
    let Some(analyze) = real::tool(Part::SystemdAnalyze) else {
        return;
    };
    let dir = temp_dir();
    let unit = dir.path().join("rlb.service");
    let complaints = |text: &str| {
        std::fs::write(&unit, text).unwrap();
        let args = ["verify".as_ref(), "--man=no".as_ref(), unit.as_os_str()];
        let said = analyze.run(args);
        said.stdout + &said.stderr
    };
    // It looks whether what is to be started is there.
    let sound = unit_file().replace("/usr/local/bin/rlb", env!("CARGO_BIN_EXE_rlb"));
    assert_eq!(complaints(&sound), "");
    let unsound = sound.replace("WatchdogSec", "WatchdogSeconds");
    assert!(complaints(&unsound).contains("WatchdogSeconds"));
}

/// A source that is silent at the start is waited for, but not for ever.
#[test]
fn a_manager_is_told_ready_when_each_source_answered_or_the_time_is_over() {
    let start = |fake: &Fake, ready_timeout: &str| {
        let (manager, bind) = (Manager::new(), free_addr());
        let text = format!(
            "[global]\nworkers = 1\nadmin = \"\"\nready_timeout = \"{ready_timeout}\"\n\
             [discovery.consul]\naddress = \"http://{}\"\n\
             [[listen]]\nname = \"web\"\nbind = \"{bind}\"\nsource = {{ consul = \"web\" }}\n",
            fake.addr()
        );
        let rlb = Rlb::with(text)
            .env("NOTIFY_SOCKET", manager.dir.path().join("notify"))
            .ready_on(bind)
            .start();
        (manager, rlb)
    };
    let fake = Fake::start();
    fake.fail(Some(Fault::Silent));
    let (manager, _rlb) = start(&fake, "1h");
    let too_early = manager.told_within(Duration::from_millis(500));
    assert_eq!(
        too_early, None,
        "its listener is open, its servers are not known"
    );
    fake.fail(None);
    assert!(manager.told().starts_with("READY=1\n"));

    let fake = Fake::start();
    fake.fail(Some(Fault::Silent));
    let (manager, rlb) = start(&fake, "300ms");
    assert!(manager.told().starts_with("READY=1\n"));
    wait_until(PATIENCE, "who is silent is told", || {
        rlb.stderr().contains("ready_timeout is over")
    });
}

#[test]
fn the_unit_file_notifies_and_drains() {
    let text = unit_file();
    for line in [
        "Type=notify",
        "NotifyAccess=all",
        "NoNewPrivileges=yes",
        "KillMode=mixed",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
}
