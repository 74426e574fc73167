//! Many at once, on several workers.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Bench, answer, get, request};
use crate::support::{Origin, PlayedOrigin, RawClient, dawdle};

/// A server that counts what it has at once.
struct Counting {
    origin: Origin,
    most: Arc<AtomicUsize>,
}

impl Counting {
    /// Each answer takes `work`.
    fn start(work: Duration) -> Self {
        let now = AtomicUsize::new(0);
        let most: Arc<AtomicUsize> = Arc::default();
        let peak = Arc::clone(&most);
        let origin = Origin::raw(move |mut stream, _| {
            let mut head = Vec::new();
            let mut bytes = [0; 4096];
            loop {
                match stream.read(&mut bytes) {
                    Ok(n @ 1..) => head.extend_from_slice(&bytes[..n]),
                    _ => return,
                }
                if !head.ends_with(b"\r\n\r\n") {
                    continue;
                }
                head.clear();
                let at_once = now.fetch_add(1, Ordering::SeqCst) + 1;
                peak.fetch_max(at_once, Ordering::SeqCst);
                dawdle(work);
                now.fetch_sub(1, Ordering::SeqCst);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                if stream.write_all(answer).is_err() {
                    return;
                }
            }
        });
        Self { origin, most }
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

#[test]
fn first_come_first_served_whatever_worker_they_are_on() {
    for workers in [1, 2, 4] {
        let origin = PlayedOrigin::listen();
        let bench = Bench::start(workers, &[origin.addr()], "server_maxconn = 1");
        let mut clients = vec![bench.asking("/0")];
        let mut held = request(&origin);
        clients.extend((1..=12).map(|n| bench.queueing(&format!("/{n}"))));
        for n in 0..=12 {
            assert_eq!(held.1, format!("/{n}"), "{workers} workers");
            assert!(origin.poll_accept().is_none(), "one at a time");
            answer(held.0);
            if n == 12 {
                break;
            }
            held = request(&origin);
        }
        for client in &mut clients {
            assert_eq!(client.read_response().0.status(), 200);
        }
        bench.comes_to_rest();
    }
}

#[test]
fn never_more_than_the_limit_and_everybody_is_served() {
    const CLIENTS: usize = 24;
    const REQUESTS: usize = 40;
    for workers in [1, 2, 4] {
        let work = Duration::from_micros(300);
        let servers = [Counting::start(work), Counting::start(work)];
        let addrs = servers.each_ref().map(|server| server.origin.addr());
        let keys = "server_maxconn = 3\ntimeouts = { queue = \"30s\" }";
        let bench = Bench::start(workers, &addrs, keys);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = bench.lb.client();
                    for _ in 0..REQUESTS {
                        let (head, _) = client.send(get("/")).read_response();
                        assert_eq!(head.status(), 200);
                    }
                });
            }
        });
        let most = servers.each_ref().map(Counting::most);
        assert!(most.iter().all(|most| (1..=3).contains(most)), "{most:?}");
        assert!(bench.cell("BACKEND", "qmax") > 0);
        let all: u64 = ["s1", "s2"].map(|s| bench.cell(s, "stot")).iter().sum();
        assert_eq!(all, (CLIENTS * REQUESTS) as u64);
        bench.comes_to_rest();
    }
}

/// Clients that leave at every moment of a request: no place is lost.
#[test]
fn no_place_is_lost_with_those_who_leave() {
    const THREADS: usize = 8;
    const REQUESTS: usize = 300;
    let server = Counting::start(Duration::from_micros(200));
    let keys = "server_maxconn = 2\ntimeouts = { queue = \"5ms\", connect = \"5s\" }";
    let bench = Bench::start(2, &[server.origin.addr()], keys);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let bench = &bench;
            scope.spawn(move || {
                for turn in 0..REQUESTS {
                    let mut client = bench.lb.client();
                    client.send(get("/"));
                    // From at once to behind the answer.
                    match (turn * 7 + thread) % 5 {
                        0 => client.reset(),
                        n @ 1..=3 => {
                            dawdle(Duration::from_micros(150 * n as u64 * n as u64));
                            client.reset();
                        }
                        _ => {
                            client.read_response();
                        }
                    }
                }
            });
        }
    });
    bench.comes_to_rest();
    // Both places are there still.
    bench.obeys("set maxconn server web/s1 1");
    let mut client: RawClient = bench.lb.client();
    for _ in 0..10 {
        let (head, _) = client.send(get("/")).read_response();
        assert_eq!(head.status(), 200);
    }
}
