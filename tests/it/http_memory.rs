//! Memory stays flat whatever the peers do not read (HTTP.md 4.11).

use std::time::Duration;

use crate::support::{Lb, Origin, PATIENCE, PlayedOrigin, RawClient, Rlb, free_addr, wait_until};

/// Resident KiB of the process.
fn resident(rlb: &Rlb) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", rlb.pid().as_raw_nonzero()));
    let status = status.expect("a running child");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let digits = line.expect("a field of every kernel").trim();
    digits.split(' ').next().unwrap().parse().expect("a number")
}

#[test]
fn peers_that_never_read_do_not_fill_the_memory() {
    const EACH: usize = 40;
    let origin = PlayedOrigin::listen();
    let addr = free_addr();
    let rlb = Rlb::with(format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = \"{addr}\"\nserver = \"{}\"\n",
        origin.addr()
    ))
    .ready_on(addr)
    .start();
    let before = resident(&rlb);
    let block = vec![b'x'; 8 << 20];
    let impatient = Duration::from_millis(20);
    let mut open: Vec<RawClient> = Vec::new();
    for n in 0..EACH {
        let mut client = RawClient::connect(addr);
        let chunked = ["Content-Length: 1000000000", "Transfer-Encoding: chunked"][n % 2];
        // Nobody reads the answer.
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        let mut server = origin.accept();
        server.read_head();
        server.send(format!("HTTP/1.1 200 OK\r\n{chunked}\r\n\r\n3b9aca00\r\n"));
        server.send_until_full(&block, impatient);
        open.extend([client, server]);
        // Nobody reads the request.
        let mut client = RawClient::connect(addr);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: test\r\n{chunked}\r\n\r\n3b9aca00\r\n"
        ));
        let mut server = origin.accept();
        server.read_head();
        client.send_until_full(&block, impatient);
        open.extend([client, server]);
    }
    // At most one large buffer each.
    let grown = resident(&rlb).saturating_sub(before);
    assert!(
        grown < 2 * EACH * 300 + 20_000,
        "{grown} KiB for {} bodies",
        2 * EACH
    );
}

#[test]
fn pieces_of_one_byte_do_not_pile_up() {
    // A peer's CVE: memory for each chunk of one byte.
    let origin = Origin::ok("hello");
    let lb = Lb::before(origin.addr());
    let mut client = lb.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..50 {
        client.send("1\r\nx\r\n".repeat(1_000));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.read_response().1, b"hello");
    wait_until(PATIENCE, "the request", || origin.requests().len() == 1);
    // Joined by what was read together: far fewer than came.
    let chunks = origin.requests()[0]
        .body
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        / 2;
    assert!(chunks < 25_000, "{chunks} chunks");
}
