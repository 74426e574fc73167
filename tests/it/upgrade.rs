//! `rlb ctl upgrade`: the running process starts its own successor, under a scripted
//! service manager.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{
    Origin, PATIENCE, Process, RawClient, answers, connect, free_addr, temp_dir, wait_until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const GET_CLOSE: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// A program of its own, so that it can be replaced, with what it needs.
struct Place {
    dir: TempDir,
    addr: SocketAddr,
    origin: Origin,
    manager: UnixDatagram,
}

impl Place {
    fn new() -> Self {
        let dir = temp_dir();
        let manager = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        let place = Self {
            dir,
            addr: free_addr(),
            origin: Origin::ok("hello"),
            manager,
        };
        fs::copy(env!("CARGO_BIN_EXE_rlb"), place.program()).unwrap();
        place.write("");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn program(&self) -> PathBuf {
        self.path("rlb")
    }

    fn write(&self, more: &str) {
        let text = format!(
            "[global]\nworkers = 2\nadmin = \"{}\"\ndrain_timeout = \"10s\"\nclose_idle_after = \"10s\"\n\
             [[listen]]\nname = \"web\"\nbind = \"{}\"\nserver = {{ name = \"s1\", address = \"{}\" }}\n{more}",
            self.path("admin.sock").display(),
            self.addr,
            self.origin.addr()
        );
        fs::write(self.path("next"), text).unwrap();
        fs::rename(self.path("next"), self.path("lb.toml")).unwrap();
    }

    /// A package manager's way: the running program's file is gone then.
    fn replace_program(&self, with: &Path) {
        fs::copy(with, self.path("rlb.new")).unwrap();
        fs::rename(self.path("rlb.new"), self.program()).unwrap();
    }

    fn replace_with_script(&self, script: &str) {
        let path = self.path("script");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.replace_program(&path);
    }

    /// By paths that its successor must find, too.
    fn start(&self) -> Process {
        let mut command = Command::new(self.program());
        command
            .current_dir(self.dir.path())
            .args(["-q", "-f", "lb.toml", "-p", "rlb.pid"])
            .env("NOTIFY_SOCKET", self.path("notify"));
        let mut process = Process::start(&mut command, temp_dir());
        process.wait_ready(|| {
            answers(self.addr) && UnixStream::connect(self.path("admin.sock")).is_ok()
        });
        process
    }

    fn ctl(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_rlb"))
            .arg("ctl")
            .args(words)
            .env("RLB_ADMIN", self.path("admin.sock"))
            .output()
            .unwrap()
    }

    /// Number of the process that answers on the admin socket.
    fn pid(&self) -> i32 {
        let info = String::from_utf8(self.ctl(&["show", "info"]).stdout).unwrap();
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid: "));
        pid.unwrap_or_else(|| panic!("{info}")).parse().unwrap()
    }

    /// What the service manager is told next.
    #[track_caller]
    fn told(&self) -> String {
        self.manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut message = [0; 1024];
        let length = self.manager.recv(&mut message).expect("a message");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    fn is_told_nothing(&self) -> bool {
        self.manager.set_nonblocking(true).unwrap();
        let nothing = self.manager.recv(&mut [0; 1024]).is_err();
        self.manager.set_nonblocking(false).unwrap();
        nothing
    }
}

/// A process that is not our child; ended when dropped.
struct Stranger(Pid);

impl Stranger {
    fn end(&self) {
        let _ = kill_process(self.0, Signal::TERM);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.end();
        let _ = kill_process(self.0, Signal::TERM);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// New connections without a pause until dropped.
fn while_connecting(addr: SocketAddr, work: impl FnOnce()) -> u64 {
    let (over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let mut client = RawClient::over(connect(addr));
                assert_eq!(client.send(GET_CLOSE).read_response().1, b"hello");
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        {
            let _over = Over(&over);
            work();
        }
        client.join().expect("every connection is served");
    });
    served.into_inner()
}

#[test]
fn the_program_that_was_replaced_takes_over_and_the_manager_is_told() {
    let place = Place::new();
    let mut old = place.start();
    let old_pid = old.pid().as_raw_nonzero().get();
    assert!(place.told().contains(&format!("MAINPID={old_pid}")));
    let mut kept = RawClient::connect(place.addr);
    assert_eq!(kept.send(GET).read_response().1, b"hello");
    let weight = place.ctl(&["set", "weight", "web/s1", "9"]);
    assert!(weight.status.success(), "{}", text(&weight.stderr));

    place.replace_program(Path::new(env!("CARGO_BIN_EXE_rlb")));
    let link = fs::read_link(old.proc("exe")).unwrap();
    assert!(link.to_string_lossy().ends_with("(deleted)"), "{link:?}");
    let mut upgraded = None;
    let served = while_connecting(place.addr, || {
        upgraded = Some(place.ctl(&["upgrade"]));
    });
    let upgraded = upgraded.unwrap();
    let said = text(&upgraded.stdout);
    assert!(upgraded.status.success(), "{}", text(&upgraded.stderr));
    assert!(served > 0);
    let successor = Stranger(Pid::from_raw(place.pid()).unwrap());
    let new_pid = successor.0.as_raw_nonzero().get();
    assert_ne!(new_pid, old_pid);
    assert_eq!(
        said.trim_end(),
        format!("process {new_pid} has taken over; process {old_pid} drains and ends")
    );

    // An orphan, by then: else a manager would not wait for its end.
    let stat = fs::read_to_string(format!("/proc/{new_pid}/stat")).unwrap();
    let parent = stat.rsplit(')').next().unwrap().split(' ').nth(2).unwrap();
    assert_ne!(parent, old_pid.to_string());
    // Both say who is the main process now; that one alone says READY.
    let told = [place.told(), place.told()];
    let main = format!("MAINPID={new_pid}");
    assert!(told.iter().all(|line| line.contains(&main)), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("READY=1\n")));
    let (head, body) = kept.send(GET).read_response();
    assert_eq!(
        (body, head.field("connection")),
        (b"hello".to_vec(), Some("close"))
    );
    assert!(old.wait_exit().success(), "{}", old.stderr());
    assert!(place.is_told_nothing(), "nothing stops, to the manager");
    assert_eq!(
        text(&place.ctl(&["get", "weight", "web/s1"]).stdout),
        "9 (initial 1)\n"
    );
    let pidfile = || fs::read_to_string(place.path("rlb.pid"));
    assert_eq!(pidfile().unwrap().trim(), new_pid.to_string());

    // A successor has a successor.
    let again = place.ctl(&["upgrade"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let last = Stranger(Pid::from_raw(place.pid()).unwrap());
    assert_ne!(last.0, successor.0);
    let lines = std::iter::repeat_with(|| place.told());
    let ready = lines.take(4).find(|line| line.starts_with("READY=1\n"));
    assert!(
        ready
            .unwrap()
            .contains(&format!("MAINPID={}", last.0.as_raw_nonzero()))
    );
    wait_until(PATIENCE, "the second is gone", || {
        let cmdline = fs::read(format!("/proc/{new_pid}/cmdline"));
        cmdline.map_or(true, |cmdline| cmdline.is_empty())
    });
    last.end();
    wait_until(PATIENCE, "the last is gone", || !answers(place.addr));
    wait_until(PATIENCE, "and its files", || {
        pidfile().is_err() && !place.path("admin.sock").exists()
    });
}

#[test]
fn a_successor_that_fails_leaves_the_old_one_and_says_why() {
    let place = Place::new();
    let old = place.start();
    let old_pid = old.pid().as_raw_nonzero().get();
    let refused = |words: &str| {
        let output = place.ctl(&["upgrade"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("everything goes on as before"), "{said}");
        assert!(said.contains(words), "{words}: {said}");
        assert_eq!(place.pid(), old_pid);
        let mut client = RawClient::connect(place.addr);
        assert_eq!(client.send(GET_CLOSE).read_response().1, b"hello");
    };

    // The new program does not like the file.
    place.write("[[nonsense]]\n");
    refused("nonsense");
    // It likes the file, and cannot do what is in it.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = taken.local_addr().unwrap();
    let more = format!("[[listen]]\nname = \"two\"\nbind = \"{bind}\"\nserver = \"127.0.0.1:9\"\n");
    place.write(&more);
    refused("in use by another process");
    place.write("");
    // It is no program, crashes at once, crashes later, is not there.
    place.replace_with_script("echo out of order >&2; exit 3");
    refused("out of order");
    let checks = "for word; do [ \"$word\" = --check ] && exit 0; done";
    place.replace_with_script(&format!("{checks}\nexit 9"));
    refused("exit status: 9");
    place.replace_with_script(&format!(
        "{checks}\nexec {} \"$@\" -f /nowhere/at/all.toml",
        env!("CARGO_BIN_EXE_rlb")
    ));
    refused("ended before it took over");
    fs::remove_file(place.program()).unwrap();
    refused("does not start");

    place.replace_program(Path::new(env!("CARGO_BIN_EXE_rlb")));
    let upgraded = place.ctl(&["upgrade"]);
    assert!(upgraded.status.success(), "{}", text(&upgraded.stderr));
    let _successor = Stranger(Pid::from_raw(place.pid()).unwrap());
}

#[test]
fn one_upgrade_at_a_time_and_a_slow_one_is_given_up() {
    let place = Place::new();
    let old = place.start();
    let started = place.path("started");
    place.replace_with_script(&format!(
        "for word; do [ \"$word\" = --check ] && exit 0; done\n: >{}\nexec sleep 60",
        started.display()
    ));
    let mut first = Command::new(env!("CARGO_BIN_EXE_rlb"))
        .args(["ctl", "upgrade"])
        .env("RLB_ADMIN", place.path("admin.sock"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(PATIENCE, "a successor was started", || started.exists());
    let second = place.ctl(&["upgrade"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another upgrade is under way"));
    wait_until(PATIENCE * 2, "it is given up", || {
        first.try_wait().unwrap().is_some()
    });
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("has not taken over in time"));
    let children = format!("{0}/task/{0}/children", old.pid().as_raw_nonzero());
    let children = fs::read_to_string(Path::new("/proc").join(children));
    assert_eq!(children.unwrap_or_default().trim(), "", "it was ended");
}
