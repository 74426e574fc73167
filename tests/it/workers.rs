//! Listening: a socket for each worker, every kind of address, and who may have it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rlb::Engine;
use rlb::config::Config;

use crate::support::real::{self, Part};
use crate::support::{
    Lb, Origin, PATIENCE, RawClient, Rlb, connect, free_addr, listening_sockets, wait_until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn config(workers: usize, bind: &str, origin: &Origin) -> String {
    format!(
        "[global]\nworkers = {workers}\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = {bind}\n\
         server = \"{}\"\n",
        origin.addr()
    )
}

/// What the engine says when it does not start.
#[track_caller]
fn refusal(config: &str) -> String {
    let loaded = Config::parse("test.toml", config).unwrap();
    match Engine::start(loaded.config) {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_worker_has_a_socket_of_its_own_and_its_share() {
    let origin = Origin::ok("x");
    let lb = Lb::start_whole(&config(4, "\"127.0.0.1:0\"", &origin));
    let addr = lb.addr_of("web");
    assert_eq!(listening_sockets(addr.port()), 4);
    for _ in 0..20 {
        let clients: Vec<_> = (0..100).map(|_| connect(addr)).collect();
        drop(clients);
    }
    wait_until(PATIENCE, "2,000 are accepted", || {
        lb.per_worker_connections("web").iter().sum::<u64>() == 2000
    });
    let shares = lb.per_worker_connections("web");
    assert!(
        shares.len() == 4 && shares.iter().all(|n| *n >= 200),
        "{shares:?}"
    );
}

#[test]
fn clients_come_in_over_ipv4_ipv6_and_both() {
    let origin = Origin::ok("x");
    let (v4, both) = (free_addr().port(), free_addr().port());
    let binds = format!("[\"127.0.0.1:{v4}\", \"[::1]:0\", \"*:{both}\"]");
    let lb = Lb::start_whole(&config(2, &binds, &origin));
    let v6 = lb
        .addresses()
        .into_iter()
        .find(|addr| addr.is_ipv6() && addr.ip().is_loopback());
    let on = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
    let cases = [
        (on("127.0.0.1", v4), "127.0.0.1"),
        (v6.unwrap(), "::1"),
        (on("::1", both), "::1"),
        // Not ::ffff:127.0.0.1.
        (on("127.0.0.1", both), "127.0.0.1"),
    ];
    for (addr, seen_as) in cases {
        RawClient::connect(addr).send(GET).read_response();
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.head.fields("X-Forwarded-For"), [seen_as], "{addr}");
        assert_eq!(
            request.head.fields("X-Forwarded-Port"),
            [addr.port().to_string()]
        );
    }
}

#[test]
fn a_bind_to_every_ipv6_address_leaves_ipv4_alone() {
    let origin = Origin::ok("x");
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = v4.local_addr().unwrap().port();
    let lb = Lb::start_whole(&config(1, &format!("\"[::]:{port}\""), &origin));
    RawClient::connect(SocketAddr::new("::1".parse().unwrap(), port))
        .send(GET)
        .read_response();
    drop(lb);
}

#[test]
fn a_port_of_another_process_is_refused_with_the_remedy() {
    let origin = Origin::ok("x");
    // SO_REUSEPORT on both sides would let us in, to half of the connections.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    other
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    other.listen(1).unwrap();
    let port = other.local_addr().unwrap().as_socket().unwrap().port();
    for bind in [format!("127.0.0.1:{port}"), format!("*:{port}")] {
        let said = refusal(&config(2, &format!("\"{bind}\""), &origin));
        assert_eq!(
            said,
            format!(
                "cannot bind {bind}: the address is in use by another process (`ss -tlnp` names it); \
                 stop it or choose another port"
            )
        );
    }
    let said = refusal(&config(2, "\"192.0.2.1:80\"", &origin));
    assert!(
        said.starts_with("cannot bind 192.0.2.1:80: no interface of this host"),
        "{said}"
    );
}

#[test]
fn one_refused_bind_leaves_none_behind() {
    let origin = Origin::ok("x");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let first = free_addr();
    let binds = format!("[\"{first}\", \"{}\"]", taken.local_addr().unwrap());
    refusal(&config(2, &binds, &origin));
    assert_eq!(listening_sockets(first.port()), 0);
}

#[test]
fn a_unix_socket_has_its_mode_and_replaces_a_dead_one() {
    let origin = Origin::ok("x");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.sock");
    // Left behind by a process that is gone.
    drop(UnixListener::bind(&path).unwrap());
    let bind = format!(
        "{{ address = \"unix:{}\", mode = \"0600\" }}",
        path.display()
    );
    let lb = Lb::start_whole(&config(2, &bind, &origin));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(files(dir.path()), ["web.sock"]);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(GET.as_bytes()).unwrap();
    let mut start = [0; 12];
    client.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");

    let said = refusal(&config(1, &bind, &origin));
    assert!(said.contains("in use by another process"), "{said}");
    assert!(
        UnixStream::connect(&path).is_ok(),
        "the living one is untouched"
    );
    drop(lb);
    assert!(!path.exists(), "a socket nobody listens on is taken away");
}

#[test]
fn a_socket_file_that_another_process_took_over_is_left() {
    let origin = Origin::ok("x");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.sock");
    let lb = Lb::start_whole(&config(1, &format!("\"unix:{}\"", path.display()), &origin));
    let successor = dir.path().join("new");
    let _listener = UnixListener::bind(&successor).unwrap();
    fs::rename(&successor, &path).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    drop(lb);
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
}

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn connections_to_a_unix_socket_are_spread_over_the_workers() {
    let origin = Origin::ok("x");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.sock");
    let lb = Lb::start_whole(&config(2, &format!("\"unix:{}\"", path.display()), &origin));
    for _ in 0..20 {
        let clients: Vec<UnixStream> = (0..50)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        for mut client in &clients {
            client.write_all(GET.as_bytes()).unwrap();
            client.read_exact(&mut [0; 12]).unwrap();
        }
    }
    let shares = lb.per_worker_connections("web");
    assert!(
        shares.len() == 2 && shares.iter().all(|n| *n >= 100),
        "{shares:?}"
    );
}

#[test]
fn an_abstract_socket_is_served() {
    let origin = Origin::ok("x");
    let name = format!("rlb-it-{}", std::process::id());
    let lb = Lb::start_whole(&config(2, &format!("\"unix:@{name}\""), &origin));
    let mut client = abstract_client(&name);
    client.write_all(GET.as_bytes()).unwrap();
    client.read_exact(&mut [0; 12]).unwrap();
    let said = refusal(&config(1, &format!("\"unix:@{name}\""), &origin));
    assert!(said.contains("in use by another process"), "{said}");

    // Other options, then another frontend: one socket, which nobody finds closed.
    let backlog = format!("{{ address = \"unix:@{name}\", backlog = 7 }}");
    lb.apply(&config(2, &backlog, &origin)).unwrap();
    let answered = |mut client: UnixStream| {
        client.write_all(GET.as_bytes()).unwrap();
        client.read_exact(&mut [0; 12]).unwrap();
    };
    answered(abstract_client(&name));
    let renamed = config(2, &backlog, &origin).replace("\"web\"", "\"other\"");
    lb.apply(&renamed).unwrap();
    for _ in 0..20 {
        answered(abstract_client(&name));
    }
    drop(lb);
}

fn abstract_client(name: &str) -> UnixStream {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    UnixStream::connect_addr(&address).unwrap()
}

#[test]
fn an_inherited_socket_is_served_by_all_workers() {
    let origin = Origin::ok("x");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let bind = format!("\"fd@{}\"", listener.as_raw_fd());
    let rlb = Rlb::with(config(2, &bind, &origin)).ready_on(addr).start();
    drop(listener);
    RawClient::connect(addr).send(GET).read_response();
    drop(rlb);
    assert_eq!(listening_sockets(addr.port()), 0);
}

#[test]
fn a_descriptor_nobody_gave_us_is_refused() {
    let origin = Origin::ok("x");
    let said = refusal(&config(1, "\"fd@4000\"", &origin));
    assert_eq!(
        said,
        "cannot bind fd@4000: descriptor 4000 was not inherited"
    );
    let file = tempfile::tempfile().unwrap();
    let said = refusal(&config(1, &format!("\"fd@{}\"", file.as_raw_fd()), &origin));
    assert!(said.contains("socket"), "{said}");
}

#[test]
fn a_bind_may_be_tied_to_an_interface() {
    let origin = Origin::ok("x");
    let bind = |interface| format!("{{ address = \"127.0.0.1:0\", interface = \"{interface}\" }}");
    let lb = Lb::start_whole(&config(2, &bind("lo"), &origin));
    RawClient::connect(lb.addr_of("web"))
        .send(GET)
        .read_response();
    let said = refusal(&config(2, &bind("nope0"), &origin));
    assert_eq!(
        said,
        "cannot bind 127.0.0.1:0: there is no interface \"nope0\" (`ip link` lists them)"
    );
}

#[test]
fn the_kernel_has_the_options_of_the_file() {
    let Some(ss) = real::tool(Part::Ss) else {
        return;
    };
    let origin = Origin::ok("x");
    let bind = "{ address = \"127.0.0.1:0\", backlog = 77, keepalive = \"30s\" }";
    let lb = Lb::start_whole(&config(2, bind, &origin));
    let port = format!("sport = :{}", lb.addr_of("web").port());
    let said = ss.run(["-Htlno", &port]).stdout;
    let backlogs: BTreeSet<_> = said.lines().map(|l| l.split_whitespace().nth(2)).collect();
    assert_eq!(backlogs, BTreeSet::from([Some("77")]), "{said}");
    let client = connect(lb.addr_of("web"));
    let said = ss.run(["-Htnoi", "state", "established", &port]).stdout;
    assert!(said.contains("timer:(keepalive,"), "{said}");
    drop(client);
}

#[test]
fn pinned_workers_have_a_core_each() {
    let origin = Origin::ok("x");
    let addr = free_addr();
    let text =
        config(2, &format!("\"{addr}\""), &origin).replace("[global]", "[global]\npin = true");
    let rlb = Rlb::with(text).ready_on(addr).start();
    let mut cores = Vec::new();
    wait_until(PATIENCE, "two workers on one core each", || {
        cores = worker_cores(&rlb);
        cores.len() == 2 && cores.iter().all(|core| core.parse::<usize>().is_ok())
    });
    if std::thread::available_parallelism().unwrap().get() > 1 {
        assert_ne!(cores[0], cores[1]);
    }
}

fn worker_cores(rlb: &Rlb) -> Vec<String> {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let tasks = fs::read_dir(rlb.proc("task")).unwrap();
    let tasks = tasks.map(|task| task.unwrap().path());
    let workers = tasks.filter(|task| read(task.join("comm")).starts_with("worker-"));
    let cores = workers.filter_map(|task| {
        let status = read(task.join("status"));
        let mut lines = status.lines();
        let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Some(list.trim().to_owned())
    });
    cores.collect()
}
