//! Configurations that change under load: nobody is refused, reset or forgotten.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Lb, Origin, PATIENCE, Rlb, connect, free_addr, listening_sockets, load, load_while, wait_until,
};

const CLOSING: &str = "GET /x HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

fn config(binds: &[SocketAddr], origins: &[&Origin], more: &str) -> String {
    let binds: Vec<String> = binds.iter().map(|addr| format!("\"{addr}\"")).collect();
    let servers = (1..).zip(origins);
    let servers: Vec<String> = servers
        .map(|(n, origin)| format!("{{ name = \"s{n}\", address = \"{}\" }}", origin.addr()))
        .collect();
    format!(
        "[global]\nworkers = 2\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = [{}]\n\
         server = [{}]\n{more}\n",
        binds.join(", "),
        servers.join(", ")
    )
}

#[test]
fn descriptors_and_sockets_do_not_grow_over_200_changes_of_binds() {
    let origin = Origin::echoing_target();
    let (first, second) = (free_addr(), free_addr());
    let both = config(&[first, second], &[&origin], "");
    let other = both.replace(&format!("\"{second}\""), &long(second));
    // A process of its own: in ours other tests open and close at the same time.
    let rlb = Rlb::with(config(&[first], &[&origin], ""))
        .env("RLB_LOG", "info")
        .ready_on(first)
        .start();
    let mut before = 0;
    for round in 0..50 {
        // Another bind, other options of it, it alone, and back.
        rlb.reload(&both);
        rlb.reload(&other);
        load(second, 1, 1);
        rlb.reload(&config(&[second], &[&origin], ""));
        rlb.reload(&config(&[first], &[&origin], ""));
        if round == 4 {
            before = rlb.descriptors();
        }
    }
    assert_eq!(
        [first, second].map(|addr| listening_sockets(addr.port())),
        [2, 0]
    );
    // Connections of the clients above may still be closing.
    wait_until(PATIENCE, "as many descriptors as before", || {
        rlb.descriptors() <= before
    });
    load(first, 2, 10);
}

/// The long form of a bind, with an option that makes it another one.
fn long(addr: SocketAddr) -> String {
    format!("{{ address = \"{addr}\", backlog = 1000 }}")
}

#[test]
fn an_address_may_change_to_every_address_and_back() {
    let origin = Origin::echoing_target();
    let one = free_addr();
    let every = SocketAddr::from(([0, 0, 0, 0], one.port()));
    let lb = Lb::start_whole(&config(&[one], &[&origin], ""));
    for addr in [every, one, every] {
        lb.apply(&config(&[addr], &[&origin], "")).unwrap();
        load(one, 2, 10);
        assert_eq!(listening_sockets(one.port()), 2);
    }
}

#[test]
fn a_refused_change_leaves_everything_as_it_was() {
    let origin = Origin::echoing_target();
    let (addr, taken) = (
        free_addr(),
        std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let lb = Lb::start_whole(&config(&[addr], &[&origin], ""));
    let fresh = free_addr();
    let binds = [fresh, taken.local_addr().unwrap()];
    let error = lb.apply(&config(&binds, &[&origin], "")).unwrap_err();
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    assert_eq!(load(addr, 2, 10)[&200], 10);
    assert_eq!(listening_sockets(fresh.port()), 0);
}

/// Fresh connections, one request each, as long as `more` says; those served are added
/// to `all`. A refused connect counts for `refused`, anything else is a failure.
fn knock(addr: SocketAddr, refused: Option<&AtomicUsize>, more: &AtomicBool, all: &AtomicUsize) {
    let mut served = 0;
    while more.load(Ordering::Relaxed) {
        // A SYN that meets a closing listener is dropped and sent again after 1 s.
        let stream = match (
            TcpStream::connect_timeout(&addr, Duration::from_millis(60)),
            refused,
        ) {
            (Ok(stream), _) => stream,
            (Err(_), Some(refused)) => {
                refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            (Err(error), None) => panic!("{addr}: {error}"),
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        (&stream).write_all(CLOSING.as_bytes()).unwrap();
        (&stream)
            .read_to_string(&mut answer)
            .unwrap_or_else(|error| panic!("{addr}, after {served}: {error}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{addr}: {answer:?}");
        served += 1;
        all.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_bind_that_closes_and_opens_40_times_loses_nobody() {
    let origin = Origin::echoing_target();
    let (stays, comes_and_goes) = (free_addr(), free_addr());
    let lb = Lb::start_whole(&config(&[stays], &[&origin], ""));
    let more = AtomicBool::new(true);
    let [refused, steady, moving] = [(); 3].map(|()| AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| knock(stays, None, &more, &steady));
        }
        for _ in 0..6 {
            scope.spawn(|| knock(comes_and_goes, Some(&refused), &more, &moving));
        }
        for round in 1..=40 {
            lb.apply(&config(&[stays, comes_and_goes], &[&origin], ""))
                .unwrap();
            wait_until(PATIENCE, "clients come in over it", || {
                moving.load(Ordering::Relaxed) > round * 10
            });
            lb.apply(&config(&[stays], &[&origin], "")).unwrap();
        }
        more.store(false, Ordering::Relaxed);
    });
    println!(
        "{steady:?} served on the one that stays, {moving:?} on the other, {refused:?} refused"
    );
    assert!(steady.load(Ordering::Relaxed) > 100);
}

#[test]
fn a_frontend_that_leaves_still_serves_who_was_in_its_queue() {
    let origin = Origin::echoing_target();
    let (stays, goes) = (free_addr(), free_addr());
    let without = config(&[stays], &[&origin], "");
    let with = format!(
        "{without}\n[[listen]]\nname = \"other\"\nbind = \"{goes}\"\nserver = \"{}\"\n",
        origin.addr()
    );
    let lb = Lb::start_whole(&without);
    let (more, refused) = (AtomicBool::new(true), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| knock_gone(goes, &refused, &more));
        }
        for _ in 0..20 {
            lb.apply(&with).unwrap();
            load(goes, 1, 10);
            lb.apply(&without).unwrap();
        }
        more.store(false, Ordering::Relaxed);
    });
    assert_eq!(listening_sockets(goes.port()), 0);
}

/// Whoever was let in gets an answer: of an origin, or that nobody serves here any more.
fn knock_gone(addr: SocketAddr, refused: &AtomicUsize, more: &AtomicBool) {
    while more.load(Ordering::Relaxed) {
        let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(60)) else {
            refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        (&stream).write_all(CLOSING.as_bytes()).unwrap();
        (&stream)
            .read_to_string(&mut answer)
            .unwrap_or_else(|error| panic!("{addr}: {error}"));
        let told = ["HTTP/1.1 200", "HTTP/1.1 503"]
            .iter()
            .any(|s| answer.starts_with(s));
        assert!(told, "{answer:?}");
    }
}

#[test]
fn changes_fail_no_request_on_kept_connections() {
    let origins: Vec<Origin> = (0..4).map(|_| Origin::echoing_target()).collect();
    let addr = free_addr();
    let variants = [
        config(&[addr], &[&origins[0], &origins[1]], ""),
        config(
            &[addr],
            &[&origins[1], &origins[2], &origins[3]],
            "retries = 5",
        ),
        config(
            &[addr],
            &[&origins[3]],
            "check = true\n[listen.timeouts]\nkeep_alive = \"20s\"",
        ),
        // The same frontend with a route, to another backend.
        format!(
            "[global]\nworkers = 2\nadmin = \"\"\n[[frontend]]\nname = \"web\"\nbind = \"{addr}\"\n\
             default_backend = \"b\"\nroute = {{ path_prefix = \"/1\", backend = \"a\" }}\n\
             [[backend]]\nname = \"a\"\nserver = {{ address = \"{}\", weight = 7 }}\n\
             [[backend]]\nname = \"b\"\nserver = \"{}\"\n",
            origins[0].addr(),
            origins[2].addr()
        ),
    ];
    let lb = Lb::start_whole(&variants[0]);
    let more = AtomicBool::new(true);
    let statuses = thread::scope(|scope| {
        let load = scope.spawn(|| load_while(addr, 8, || more.load(Ordering::Relaxed)));
        for round in 1..=100 {
            lb.apply(&variants[round % variants.len()]).unwrap();
        }
        wait_until(PATIENCE, "every origin has served", || {
            origins.iter().all(|origin| origin.connections() > 0)
        });
        more.store(false, Ordering::Relaxed);
        load.join().unwrap()
    });
    assert!(statuses.len() == 1 && statuses[&200] > 100, "{statuses:?}");
}

#[test]
fn a_tcp_session_outlives_changes_around_it() {
    let origin = Origin::raw(|stream, _| {
        let (mut from, mut to) = (&stream, &stream);
        let _ = std::io::copy(&mut from, &mut to);
    });
    let addr = free_addr();
    let with = |more: &str| {
        format!(
            "[global]\nworkers = 2\nadmin = \"\"\n[[listen]]\nname = \"db\"\nmode = \"tcp\"\n\
             bind = \"{addr}\"\nserver = [{{ name = \"s1\", address = \"{}\" }}{more}]\n",
            origin.addr()
        )
    };
    let lb = Lb::start_whole(&with(""));
    let mut client = connect(addr);
    for round in 0..20 {
        let servers = if round % 2 == 0 {
            ", \"127.0.0.1:9\""
        } else {
            ""
        };
        lb.apply(&with(servers)).unwrap();
        client.write_all(&[round]).unwrap();
        let mut echoed = [0];
        client.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, [round]);
    }
}

#[test]
fn sessions_of_a_frontend_that_left_have_the_time_to_drain_and_no_more() {
    let origin = Origin::raw(|stream, _| {
        let (mut from, mut to) = (&stream, &stream);
        let _ = std::io::copy(&mut from, &mut to);
    });
    let with = |name: &str| {
        format!(
            "[global]\nworkers = 2\nadmin = \"\"\ndrain_timeout = \"2s\"\n[[frontend]]\n\
             name = \"{name}\"\nmode = \"tcp\"\nbind = \"127.0.0.1:0\"\ndefault_backend = \"db\"\n\
             [[backend]]\nname = \"db\"\nmode = \"tcp\"\nserver = \"{}\"\n",
            origin.addr()
        )
    };
    let lb = Lb::start_whole(&with("one"));
    let mut client = connect(lb.addr());
    let begun = Instant::now();
    lb.apply(&with("another")).unwrap();
    // It is idle, but not between two requests: it stays until its time is up.
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let end = client.read(&mut [0]).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    wait_until(PATIENCE, "it is gone", || lb.connections() == 0);
}
