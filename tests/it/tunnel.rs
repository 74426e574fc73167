//! Bulk through what a 101 has made of an HTTP connection.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread;

use crate::support::{Lb, Origin, PATIENCE, connect, read_until, wait_until};
use crate::tcp::{receive, send_pattern};

const UPGRADE: &str =
    "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: bulk\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bulk\r\n\r\n";

fn head(mut from: impl Read) -> String {
    let head = read_until(&mut from, b"\r\n\r\n").unwrap();
    String::from_utf8(head).unwrap()
}

#[test]
fn bulk_flows_both_ways_to_its_last_byte() {
    const LEN: usize = 24 << 20;
    let (done, received) = mpsc::channel();
    let origin = Origin::raw(move |stream, _| {
        head(&stream);
        thread::scope(|scope| {
            let got = scope.spawn(|| receive(&stream));
            // The first bytes leave with the head of the answer.
            let mut first = SWITCHING.as_bytes().to_vec();
            first.extend_from_slice(b"first");
            (&stream).write_all(&first).unwrap();
            let sent = send_pattern(&stream, 2, LEN);
            stream.shutdown(Shutdown::Write).unwrap();
            done.send((got.join().unwrap(), sent)).unwrap();
        });
    });
    let lb = Lb::before(origin.addr());
    let client = connect(lb.addr());
    (&client).write_all(UPGRADE.as_bytes()).unwrap();
    assert!(head(&client).starts_with("HTTP/1.1 101 "));
    let mut first = [0; 5];
    (&client).read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first");
    let (answer, sent) = thread::scope(|scope| {
        let answer = scope.spawn(|| receive(&client));
        let sent = send_pattern(&client, 1, LEN);
        client.shutdown(Shutdown::Write).unwrap();
        (answer.join().unwrap(), sent)
    });
    let (got, sent_back) = received.recv_timeout(PATIENCE).unwrap();
    assert_eq!((got, answer), ((LEN, sent), (LEN, sent_back)));
    assert!(lb.pipes() > 0, "bulk is spliced");
    wait_until(PATIENCE, "the session ends", || lb.connections() == 0);
}
