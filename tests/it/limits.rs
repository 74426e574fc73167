//! Limits of connections, descriptors and memory.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use crate::support::{
    Answer, Lb, Origin, PATIENCE, RawClient, Rlb, connect, free_addr, load, raise_descriptor_limit,
    small_pages, wait_until,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn listen(name: &str, bind: SocketAddr, origin: &Origin, more: &str) -> String {
    format!(
        "[[listen]]\nname = \"{name}\"\nbind = \"{bind}\"\nserver = \"{}\"\n{more}\n",
        origin.addr()
    )
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn global(more: &str) -> String {
    format!("[global]\nadmin = \"\"\n{more}\n")
}

/// A client that has sent its request; the answer may be long in coming.
fn asking(addr: SocketAddr) -> TcpStream {
    let mut client = connect(addr);
    client.write_all(GET).unwrap();
    client
}

/// Whether its answer is there.
fn is_answered(client: &TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let mut byte = [0];
    match client.peek(&mut byte) {
        Ok(n) => n == 1,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            false
        }
    }
}

fn answered(clients: &[TcpStream]) -> usize {
    clients.iter().filter(|client| is_answered(client)).count()
}

/// Eight clients before a limit of three: three are served, the others wait in the
/// kernel's queue and come in as places become free.
#[track_caller]
fn eight_before_three(lb: &Lb) {
    let mut clients: Vec<TcpStream> = (0..8).map(|_| asking(lb.addr_of("web"))).collect();
    for served in 0..8 {
        wait_until(PATIENCE, "three have come in", || {
            answered(&clients) == clients.len().min(3)
        });
        assert!(lb.connections() <= 3, "after {served}");
        let first = clients.iter().position(is_answered).unwrap();
        drop(clients.remove(first));
    }
}

#[test]
fn beyond_the_global_limit_clients_wait_in_the_queue() {
    let origin = Origin::ok("x");
    for workers in [1, 2] {
        let global = global(&format!("workers = {workers}\nmaxconn = 3"));
        let lb = Lb::start_whole(&(global + &listen("web", any(), &origin, "")));
        eight_before_three(&lb);
    }
}

#[test]
fn beyond_a_frontends_limit_its_own_clients_wait() {
    let origin = Origin::ok("x");
    let config = |maxconn: &str| {
        let web = listen("web", any(), &origin, maxconn);
        global("workers = 2") + &web + &listen("other", any(), &origin, "")
    };
    let lb = Lb::start_whole(&config("maxconn = 3"));
    eight_before_three(&lb);
    wait_until(PATIENCE, "all have gone", || lb.connections() == 0);

    let clients: Vec<TcpStream> = (0..8).map(|_| asking(lb.addr_of("web"))).collect();
    wait_until(PATIENCE, "three have come in", || answered(&clients) == 3);
    RawClient::connect(lb.addr_of("other"))
        .send(GET)
        .read_response();
    // A limit that is raised lets those in that wait.
    lb.apply(&config("maxconn = 5")).unwrap();
    wait_until(PATIENCE, "five have come in", || answered(&clients) == 5);
    lb.apply(&config("")).unwrap();
    wait_until(PATIENCE, "all have come in", || answered(&clients) == 8);
}

#[test]
fn short_connections_pass_a_full_frontend_quickly() {
    let origin = Origin::ok("/");
    let web = listen(
        "web",
        any(),
        &origin,
        "maxconn = 2\nkeep_alive_requests = 1",
    );
    let lb = Lb::start_whole(&(global("workers = 2") + &web));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mut client = RawClient::connect(lb.addr_of("web"));
                    client.send(GET).read_response();
                    assert_eq!(client.read_until_close(), b"");
                }
            });
        }
    });
    // A place that is free wakes who waits: with a timer alone 800 would take 40 s.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn waiting_at_the_limit_and_without_descriptors_does_not_spin() {
    let origin = Origin::ok("x");
    let addr = free_addr();
    let config = global("workers = 2\nmaxconn = 10") + &listen("web", addr, &origin, "");
    let rlb = Rlb::with(config).ready_on(addr).start();
    let descriptors = rlb.descriptors() as u64;
    let clients: Vec<TcpStream> = (0..30).map(|_| asking(addr)).collect();
    wait_until(PATIENCE, "ten are served", || answered(&clients) == 10);
    is_calm(&rlb);
    drop(clients);
    RawClient::connect(addr).send(GET).read_response();

    // Descriptors run out in spite of the limit: something else has taken them.
    let left = Rlimit {
        current: Some(descriptors + 6),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(Some(rlb.pid()), Resource::Nofile, left).unwrap();
    let clients: Vec<TcpStream> = (0..30).map(|_| asking(addr)).collect();
    is_calm(&rlb);
    assert!(answered(&clients) < 10);
    drop(clients);
    prlimit(Some(rlb.pid()), Resource::Nofile, before).unwrap();
    assert_eq!(RawClient::connect(addr).send(GET).read_response().1, b"x");
}

/// Uses next to no CPU for half a second.
#[track_caller]
fn is_calm(rlb: &Rlb) {
    let (begun, before) = (Instant::now(), rlb.cpu_time());
    wait_until(PATIENCE, "half a second", || {
        begun.elapsed() > Duration::from_millis(500)
    });
    let used = rlb.cpu_time() - before;
    assert!(used < Duration::from_millis(100), "{used:?} of CPU");
}

#[test]
fn two_thousand_clients_that_say_nothing_are_sent_away() {
    let origin = Origin::ok("x");
    let web = listen(
        "web",
        any(),
        &origin,
        "[listen.timeouts]\nhttp_request = \"2s\"",
    );
    let lb = Lb::start_whole(&(global("workers = 2") + &web));
    let mut clients: Vec<TcpStream> = (0..2000).map(|_| connect(lb.addr_of("web"))).collect();
    RawClient::connect(lb.addr_of("web"))
        .send(GET)
        .read_response();
    for client in &mut clients {
        assert_eq!(client.read(&mut [0; 64]).unwrap(), 0);
    }
    assert!(origin.requests().len() == 1 && origin.connections() == 1);
}

/// Starts an rlb of one worker whose memory is counted in pages of 4 KiB.
fn weighed(addr: SocketAddr, origin: &Origin) -> Rlb {
    raise_descriptor_limit();
    small_pages();
    let config = global("workers = 1") + &listen("web", addr, origin, "");
    Rlb::with(config).ready_on(addr).start()
}

/// Resident bytes for each of `count` connections, from the second half of them.
/// `settled` returns once rlb has read all they sent.
fn slope(
    rlb: &Rlb,
    count: usize,
    mut connect: impl FnMut() -> RawClient,
    mut settled: impl FnMut(usize),
) -> usize {
    let mut clients: Vec<RawClient> = (0..count / 2).map(|_| connect()).collect();
    settled(clients.len());
    let half = rlb.resident();
    clients.extend((0..count / 2).map(|_| connect()));
    settled(clients.len());
    rlb.resident().saturating_sub(half) / (count / 2)
}

/// A release binary is held to the goals, any other to something generous.
fn goal(release: usize, other: usize) -> usize {
    if cfg!(debug_assertions) {
        other
    } else {
        release
    }
}

#[test]
fn an_idle_connection_is_small() {
    let origin = Origin::ok("x");
    let addr = free_addr();
    let rlb = weighed(addr, &origin);
    let connect = || {
        let mut client = RawClient::connect(addr);
        client.send(GET).read_response();
        client
    };
    let each = slope(&rlb, 4000, connect, |_| ());
    println!("idle keep-alive connection: {each} bytes resident");
    assert!(each <= goal(1434, 4096), "{each}");
}

/// A client that sends these bytes and waits.
fn sending(addr: SocketAddr, bytes: &str) -> RawClient {
    let mut client = RawClient::connect(addr);
    client.send(bytes);
    client
}

#[test]
fn half_a_head_is_small() {
    let origin = Origin::ok("x");
    let addr = free_addr();
    let rlb = weighed(addr, &origin);
    let half = "GET / HTTP/1.1\r\nHost: test\r\nCookie: ".to_owned() + &"x".repeat(500);
    // The worker takes what comes in order: an answer says that all before was read.
    let mut last = RawClient::connect(addr);
    let connect = || sending(addr, &half);
    let each = slope(&rlb, 1000, connect, |_| {
        (0..2).for_each(|_| drop(last.send(GET).read_response()));
    });
    println!("half a head of {} bytes: {each} bytes resident", half.len());
    assert!(each <= goal(2048 + half.len(), 6144), "{each}");
}

#[test]
fn an_exchange_that_waits_for_its_origin_is_small() {
    let origin = Origin::answering(|_| Answer::Silence);
    let addr = free_addr();
    let rlb = weighed(addr, &origin);
    let connect = || sending(addr, "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let each = slope(&rlb, 600, connect, |asked| {
        wait_until(PATIENCE, "the origin has all", || {
            origin.requests().len() == asked
        });
    });
    println!("exchange that waits for its origin: {each} bytes resident");
    assert!(each <= goal(4096, 8192), "{each}");
}

#[test]
fn a_budget_of_one_accepts_all_the_same() {
    let origin = Origin::echoing_target();
    let web = listen("web", any(), &origin, "");
    let lb = Lb::start_whole(&(global("workers = 1\naccept_budget = 1") + &web));
    assert_eq!(load(lb.addr_of("web"), 50, 500)[&200], 500);
}
