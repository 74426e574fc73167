//! Checks, as the origin and as the engine see them; a run with sick origins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Answer, Lb, Origin, PATIENCE, RawClient, echoed, free_addr, load, load_while, wait_until,
};

fn config(workers: usize, addr: SocketAddr, more: &str) -> String {
    format!(
        "[global]\nworkers = {workers}\nadmin = \"\"\n[[listen]]\nname = \"web\"\n\
         bind = \"127.0.0.1:0\"\nserver = {{ name = \"s1\", address = \"{addr}\" }}\n{more}\n"
    )
}

/// An origin whose status a test turns; 0 = silence.
fn turning() -> (Origin, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let turned = Arc::clone(&status);
    let origin = Origin::answering(move |_| match turned.load(Ordering::Relaxed) {
        0 => Answer::Silence,
        status => {
            Answer::Close(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes())
        }
    });
    (origin, status)
}

#[track_caller]
fn wait_for(lb: &Lb, status: &str, check: &str) {
    wait_until(PATIENCE, &format!("{status} by {check}"), || {
        let server = lb.server("web", "s1");
        server.status == status && server.check == check
    });
}

#[test]
fn an_origin_is_asked_once_per_interval_whatever_the_workers() {
    let origin = Origin::ok("");
    let check = "check = { host = \"shop.example\", interval = \"100ms\" }";
    let begun = Instant::now();
    let lb = Lb::start_whole(&config(4, origin.addr(), check));
    wait_until(PATIENCE, "five checks", || origin.requests().len() >= 5);
    let intervals = begun.elapsed().as_millis() / 100;
    let requests = origin.requests();
    assert!(requests.len() as u128 <= intervals + 1, "{intervals}");
    for request in &requests {
        assert_eq!(request.head.first_line(), "HEAD / HTTP/1.1");
        assert_eq!(request.head.fields("Host"), ["shop.example"]);
    }
    assert_eq!(lb.server("web", "s1").check, "L7OK/200");
}

#[test]
fn a_server_goes_after_exactly_fall_and_comes_after_exactly_rise() {
    let (origin, status) = turning();
    let check = "check = { interval = \"60ms\", timeout = \"5s\", fall = 3, rise = 4 }";
    let lb = Lb::start_whole(&config(2, origin.addr(), check));
    wait_for(&lb, "UP", "L7OK/200");
    let turn = |to| {
        status.store(to, Ordering::Relaxed);
        origin.requests().len()
    };
    let before = turn(500);
    wait_for(&lb, "UP 2/3", "L7STS/500");
    wait_for(&lb, "UP 1/3", "L7STS/500");
    wait_for(&lb, "DOWN", "L7STS/500");
    assert_eq!(origin.requests().len() - before, 3);
    let before = turn(204);
    for health in 1..4 {
        wait_for(&lb, &format!("DOWN {health}/4"), "L7OK/204");
    }
    wait_for(&lb, "UP", "L7OK/204");
    assert_eq!(origin.requests().len() - before, 4);
}

#[test]
fn silence_is_a_timeout_and_a_closed_port_a_failed_connect() {
    let (origin, status) = turning();
    let check = "check = { interval = \"50ms\", timeout = \"100ms\", fall = 1, rise = 1 }";
    let lb = Lb::start_whole(&config(2, origin.addr(), check));
    wait_for(&lb, "UP", "L7OK/200");
    status.store(0, Ordering::Relaxed);
    wait_for(&lb, "DOWN", "L7TOUT");
    status.store(200, Ordering::Relaxed);
    wait_for(&lb, "UP", "L7OK/200");
    drop(origin);
    wait_for(&lb, "DOWN", "L4CON");
}

#[test]
fn a_connect_check_asks_for_no_more_than_a_connect() {
    let origin = Origin::raw(|_, _| ());
    let check =
        "check = { type = \"tcp\", interval = \"50ms\", timeout = \"5s\", fall = 1, rise = 1 }";
    let lb = Lb::start_whole(&config(2, origin.addr(), check));
    wait_for(&lb, "UP", "L4OK");
    let addr = origin.addr();
    drop(origin);
    wait_for(&lb, "DOWN", "L4CON");
    let _back = Origin::raw_at(addr, |_, _| ());
    wait_for(&lb, "UP", "L4OK");
}

#[test]
fn refused_connects_count_when_asked_to() {
    let more = |observe| {
        format!(
            "retries = 0\nobserve_connect = {observe}\n\
             check = {{ type = \"tcp\", interval = \"1m\", fast_interval = \"1m\", fall = 3 }}"
        )
    };
    for observe in [true, false] {
        let origin = Origin::echoing_target();
        let lb = Lb::start_whole(&config(2, origin.addr(), &more(observe)));
        wait_for(&lb, "UP", "L4OK");
        drop(origin);
        // Connects only: what is pooled was closed with the origin.
        assert_eq!(load(lb.addr_of("web"), 1, 2).get(&503), Some(&2));
        if observe {
            wait_for(&lb, "UP 1/3", "L4CON");
            load(lb.addr_of("web"), 1, 1);
            wait_for(&lb, "DOWN", "L4CON");
        } else {
            load(lb.addr_of("web"), 1, 1);
            assert_eq!(lb.server("web", "s1").status, "UP");
        }
        assert_eq!(lb.server("web", "s1").connect_errors, 3);
    }
}

#[test]
fn without_a_check_nothing_is_asked() {
    let origin = Origin::ok("");
    let lb = Lb::start_whole(&config(2, origin.addr(), ""));
    assert_eq!(lb.server("web", "s1").status, "no check");
    RawClient::connect(lb.addr_of("web"))
        .send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .read_response();
    assert_eq!((origin.connections(), origin.requests().len()), (1, 1));
}

/// Killed, paused and slow origins beside healthy ones, for `RLB_SOAK_SECONDS` (5 by
/// default). No answer goes to another's request; on the backend of healthy servers
/// no request fails, and on the mixed one only what a sick server had in hand.
#[test]
fn sick_origins_harm_nobody_else() {
    let seconds = std::env::var("RLB_SOAK_SECONDS").map_or(5, |s| s.parse().unwrap());
    let healthy = [Origin::echoing_target(), Origin::echoing_target()];
    let slow = Origin::answering(|request| {
        // A busy server, not a sleeping one: other requests wait behind it.
        let until = Instant::now() + Duration::from_millis(20);
        while Instant::now() < until {
            thread::yield_now();
        }
        Answer::Keep(echoed(request.head.first_line()))
    });
    let (paused, unanswered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let pausing = {
        let (paused, unanswered) = (Arc::clone(&paused), Arc::clone(&unanswered));
        Origin::answering(move |request| {
            if !paused.load(Ordering::Relaxed) {
                return Answer::Keep(echoed(request.head.first_line()));
            }
            unanswered.fetch_add(1, Ordering::Relaxed);
            Answer::Silence
        })
    };
    let killed_at = free_addr();
    let servers = |addrs: &[SocketAddr]| {
        let addrs: Vec<String> = addrs.iter().map(|addr| format!("\"{addr}\"")).collect();
        addrs.join(", ")
    };
    let pure = [healthy[0].addr(), healthy[1].addr()];
    let mixed = [pure[0], pure[1], slow.addr(), pausing.addr(), killed_at];
    let lb = Lb::start_whole(&format!(
        "[global]\nworkers = 2\nadmin = \"\"\n[defaults]\nobserve_connect = true\n\
         check = {{ interval = \"100ms\", timeout = \"1s\", fall = 2, rise = 1 }}\n\
         [defaults.timeouts]\nserver = \"2s\"\n\
         [[listen]]\nname = \"pure\"\nbind = \"127.0.0.1:0\"\nserver = [{}]\n\
         [[listen]]\nname = \"mixed\"\nbind = \"127.0.0.1:0\"\nserver = [{}]\n",
        servers(&pure),
        servers(&mixed)
    ));
    let until = Instant::now() + Duration::from_secs(seconds);
    let more = || Instant::now() < until;
    const CLIENTS: usize = 4;
    let (pure, mixed, kills) = thread::scope(|scope| {
        let pure = scope.spawn(|| load_while(lb.addr_of("pure"), CLIENTS, more));
        let mixed = scope.spawn(|| load_while(lb.addr_of("mixed"), CLIENTS, more));
        let mut kills = 0;
        while more() {
            let origin = Origin::answering_at(killed_at, |request| {
                Answer::Keep(echoed(request.head.first_line()))
            });
            wait_for_turn(until, || origin.requests().len() > 20);
            drop(origin);
            kills += 1;
            paused.store(true, Ordering::Relaxed);
            wait_for_turn(until, || unanswered.load(Ordering::Relaxed) >= kills);
            paused.store(false, Ordering::Relaxed);
        }
        (pure.join().unwrap(), mixed.join().unwrap(), kills)
    });
    println!("healthy: {pure:?}, mixed: {mixed:?}, {kills} kills, {unanswered:?} unanswered");
    assert!(pure.len() == 1 && pure[&200] > 100, "{pure:?}");
    let failed: usize = mixed
        .iter()
        .filter(|(s, _)| **s != 200)
        .map(|(_, n)| n)
        .sum();
    let in_hand = kills * CLIENTS + unanswered.load(Ordering::Relaxed);
    assert!(
        kills > 1 && failed <= in_hand,
        "{failed} of {in_hand}: {mixed:?}"
    );
    assert!(
        mixed[&200] > failed && !mixed.contains_key(&503),
        "{mixed:?}"
    );
}

/// Waits, but not beyond the end of the run.
fn wait_for_turn(until: Instant, condition: impl Fn() -> bool) {
    let left = until.saturating_duration_since(Instant::now());
    let deadline = Instant::now() + left;
    wait_until(PATIENCE + left, "a turn of the run", || {
        condition() || Instant::now() >= deadline
    });
}
