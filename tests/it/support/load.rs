//! Many requests at once; each carries a number that its answer must bring back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Answer, Origin, RawClient};

/// How often each status came.
pub(crate) type Statuses = BTreeMap<u16, usize>;

impl Origin {
    /// One that answers with the target it was asked for.
    pub(crate) fn echoing_target() -> Self {
        Self::answering(|request| Answer::Keep(echoed(request.head.first_line())))
    }
}

/// The answer of an origin that echoes targets.
pub(crate) fn echoed(request_line: &str) -> Vec<u8> {
    let mut words = request_line.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        target.len()
    );
    match method {
        Some("HEAD") => head.into_bytes(),
        _ => (head + target).into_bytes(),
    }
}

/// Sends `requests` requests over `clients` kept connections. Panics at an answer to
/// another's request and at a connection that ends without having said so.
#[track_caller]
pub(crate) fn load(addr: SocketAddr, clients: usize, requests: usize) -> Statuses {
    let next = AtomicUsize::new(0);
    load_while(addr, clients, || {
        next.fetch_add(1, Ordering::Relaxed) < requests
    })
}

/// The same, as long as `more` says.
#[track_caller]
pub(crate) fn load_while(
    addr: SocketAddr,
    clients: usize,
    more: impl Fn() -> bool + Sync,
) -> Statuses {
    let number = AtomicUsize::new(0);
    let (more, number) = (&more, &number);
    thread::scope(|scope| {
        let client = |_| scope.spawn(move || client(addr, more, number));
        let clients: Vec<_> = (0..clients).map(client).collect();
        let mut all = Statuses::new();
        for client in clients {
            for (status, count) in client.join().expect("a client that is content") {
                *all.entry(status).or_default() += count;
            }
        }
        all
    })
}

fn client(addr: SocketAddr, more: impl Fn() -> bool, number: &AtomicUsize) -> Statuses {
    let (mut statuses, mut kept) = (Statuses::new(), None);
    while more() {
        let target = format!("/{}", number.fetch_add(1, Ordering::Relaxed));
        let mut client = kept.take().unwrap_or_else(|| RawClient::connect(addr));
        client.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let (head, body) = client.read_response();
        *statuses.entry(head.status()).or_default() += 1;
        if head.status() == 200 {
            assert_eq!(body, target.as_bytes(), "an answer to another's request");
        }
        if head.field("connection") != Some("close") {
            kept = Some(client);
        }
    }
    statuses
}
