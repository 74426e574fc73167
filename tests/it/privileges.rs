//! Started as root, run as a user. Skipped, in words, where the tests are not root.

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{Origin, PATIENCE, RawClient, Rlb, answers, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
/// CAP_NET_BIND_SERVICE is bit 10.
const NET_BIND_SERVICE: u64 = 1 << 10;
/// `nobody`, by number: some images have no such name.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can become somebody else");
    }
    root
}

/// An address below 1024 that nobody listens on.
fn low_addr(not: Option<SocketAddr>) -> SocketAddr {
    let mut ports = (700..1024).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let free = |addr: &SocketAddr| Some(*addr) != not && TcpListener::bind(addr).is_ok();
    ports.find(free).expect("a free port below 1024")
}

fn config(global: &str, binds: &[SocketAddr], server: SocketAddr) -> String {
    let binds: Vec<_> = binds.iter().map(|bind| format!("\"{bind}\"")).collect();
    format!(
        "[global]\nadmin = \"\"\n{global}\n[[listen]]\nname = \"web\"\nbind = [{}]\nserver = \"{server}\"\n",
        binds.join(", ")
    )
}

/// Fields of a line of /proc/PID/status, for each thread.
fn status(rlb: &Rlb, name: &str) -> Vec<Vec<String>> {
    let tasks = format!("/proc/{}/task", rlb.pid().as_raw_nonzero());
    let tasks = std::fs::read_dir(tasks).expect("a running process");
    let text = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")));
    let line = |text: String| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect()
    };
    text.map(|text| line(text.unwrap())).collect()
}

#[test]
fn a_user_keeps_low_ports_and_nothing_else() {
    if !is_root() {
        return;
    }
    let origin = Origin::ok("hello");
    let first = low_addr(None);
    let second = low_addr(Some(first));
    let global = format!("user = \"{NOBODY}\"\ngroup = \"{NOBODY}\"\nworkers = 2");
    let rlb = Rlb::with(config(&global, &[first], origin.addr()))
        .ready_on(first)
        .start();
    assert_eq!(
        RawClient::connect(first).send(GET).read_response().1,
        b"hello"
    );
    for name in ["Uid:", "Gid:"] {
        for thread in status(&rlb, name) {
            assert_eq!(thread, vec![NOBODY.to_string(); 4], "{name}");
        }
    }
    for name in ["CapEff:", "CapPrm:"] {
        for thread in status(&rlb, name) {
            let set = u64::from_str_radix(&thread[0], 16).unwrap();
            assert_eq!(set, NET_BIND_SERVICE, "{name}");
        }
    }
    assert!(status(&rlb, "NoNewPrivs:").iter().all(|is| is[0] == "1"));

    // The directory of the test is root's alone; the user has to read the file again.
    std::fs::set_permissions(rlb.dir(), Permissions::from_mode(0o755)).unwrap();
    let text = config(&global, &[first, second], origin.addr());
    std::fs::write(rlb.dir().join("lb.toml"), text).unwrap();
    rlb.signal(Signal::HUP);
    wait_until(PATIENCE, "the second low port is open", || answers(second));
    assert_eq!(
        RawClient::connect(second).send(GET).read_response().1,
        b"hello"
    );
}

#[test]
fn an_account_that_is_not_there_is_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lb.toml");
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    for (global, words) in [
        ("user = \"nobody-of-this-name\"", "no such user"),
        ("group = \"nobody-of-this-name\"", "no such group"),
    ] {
        std::fs::write(&file, config(global, &[bind], server)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_rlb"))
            .arg("-f")
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(words) && said.contains("nobody-of-this-name"),
            "{said}"
        );
    }
}

#[test]
fn only_root_may_become_another() {
    if !is_root() {
        return;
    }
    use std::os::unix::process::CommandExt;
    // A copy: the build may lie where only root looks.
    let dir = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let (file, program) = (dir.path().join("lb.toml"), dir.path().join("rlb"));
    std::fs::copy(env!("CARGO_BIN_EXE_rlb"), &program).unwrap();
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    std::fs::write(&file, config("user = \"root\"", &[bind], server)).unwrap();
    let output = Command::new(&program)
        .arg("-f")
        .arg(&file)
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("only root may become another"), "{said}");
}
