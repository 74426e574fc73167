//! TCP mode: bytes, ends and silences pass as they come.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::SendFlags;
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::support::{
    DeafOrigin, Lb, Origin, PATIENCE, Rlb, connect, free_addr, small_pages, wait_until,
};

/// One TCP frontend before these servers.
fn config(servers: &[SocketAddr], more: &str) -> String {
    config_on("127.0.0.1:0".parse().unwrap(), servers, more)
}

fn config_on(bind: SocketAddr, servers: &[SocketAddr], more: &str) -> String {
    let servers: Vec<String> = (1..)
        .zip(servers)
        .map(|(n, addr)| format!("{{ name = \"s{n}\", address = \"{addr}\" }}"))
        .collect();
    format!(
        "[global]\nworkers = 2\nadmin = \"\"\n{more}\n[[listen]]\nname = \"db\"\nmode = \"tcp\"\n\
         bind = \"{bind}\"\nserver = [{}]\n",
        servers.join(", ")
    )
}

fn timeouts(what: &str) -> String {
    format!("[defaults.timeouts]\n{what}\n")
}

/// `len` bytes that differ from each other and from those of another seed.
pub(crate) fn send_pattern(mut to: impl Write, seed: u32, len: usize) -> [u8; 32] {
    let block: Vec<u8> = (0..65_521_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8)
        .collect();
    let (mut hash, mut left) = (Sha256::new(), len);
    while left > 0 {
        let part = &block[..left.min(block.len())];
        to.write_all(part).unwrap();
        hash.update(part);
        left -= part.len();
    }
    hash.finalize().into()
}

/// All that comes until FIN: how much, and its hash.
pub(crate) fn receive(mut from: impl Read) -> (usize, [u8; 32]) {
    let (mut hash, mut len, mut bytes) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        match from.read(&mut bytes).unwrap() {
            0 => return (len, hash.finalize().into()),
            n => {
                hash.update(&bytes[..n]);
                len += n;
            }
        }
    }
}

/// An origin that sends back what it gets, and FIN for FIN.
fn echo() -> Origin {
    Origin::raw(|stream, _| {
        let (mut from, mut to) = (&stream, &stream);
        let _ = std::io::copy(&mut from, &mut to);
    })
}

/// How a connection ended: true = orderly, false = reset.
fn ends_orderly(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) => panic!("neither FIN nor RST: {error}"),
        }
    }
}

fn reset_on_close(stream: &TcpStream) {
    socket2::SockRef::from(stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Sends `len` bytes each way at once through what `through` makes of an origin's
/// address, and compares hashes.
pub(crate) fn both_ways(through: impl FnOnce(SocketAddr) -> TcpStream, len: usize) {
    let (done, received) = mpsc::channel();
    let origin = Origin::raw(move |stream, _| {
        // One that only looked whether somebody is there.
        if !matches!(stream.peek(&mut [0]), Ok(1)) {
            return;
        }
        let sent = thread::scope(|scope| {
            let received = scope.spawn(|| receive(&stream));
            let sent = send_pattern(&stream, 2, len);
            stream.shutdown(Shutdown::Write).unwrap();
            done.send(received.join().unwrap()).unwrap();
            sent
        });
        done.send((len, sent)).unwrap();
    });
    let client = through(origin.addr());
    thread::scope(|scope| {
        let answer = scope.spawn(|| receive(&client));
        let sent = send_pattern(&client, 1, len);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(received.recv().unwrap(), (len, sent), "client to server");
        let answer = answer.join().unwrap();
        assert_eq!(answer, received.recv().unwrap(), "server to client");
    });
}

/// Sends `len` bytes to an echo and compares what comes back.
pub(crate) fn echoed_whole(client: &TcpStream, len: usize) {
    thread::scope(|scope| {
        let answer = scope.spawn(|| receive(client));
        let sent = send_pattern(client, 3, len);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer.join().unwrap(), (len, sent));
    });
}

#[test]
fn bytes_arrive_as_they_were_sent_both_ways_at_once() {
    const LEN: usize = 64 << 20;
    // Spliced with pipes for both ways, for one of them, for none.
    for pipes_max in [512, 1, 0] {
        let mut lb = None;
        let through = |origin| {
            let config = config(&[origin], &format!("pipes_max = {pipes_max}"));
            lb.insert(Lb::start_whole(&config)).connect("db")
        };
        both_ways(through, LEN);
        let lb = lb.unwrap();
        assert_eq!(lb.server("db", "s1").bytes, (LEN as u64, LEN as u64));
        assert_eq!(lb.pipes() > 0, pipes_max > 0);
        assert!(lb.pipes() <= pipes_max);
    }
}

#[test]
fn small_messages_pass_one_by_one() {
    let origin = echo();
    let lb = Lb::start_whole(&config(&[origin.addr()], ""));
    let mut client = lb.connect("db");
    for size in (1..3000).step_by(97) {
        let sent = vec![size as u8; size];
        client.write_all(&sent).unwrap();
        let mut got = vec![0; size];
        client.read_exact(&mut got).unwrap();
        assert_eq!(got, sent);
    }
    assert_eq!(lb.pipes(), 0, "a pipe for small messages");
}

#[test]
fn the_server_goes_on_after_the_client_has_finished() {
    let origin = Origin::raw(|mut stream, _| {
        let got = receive(&stream);
        // Far more than fits into buffers on the way.
        send_pattern(&stream, 2, 8 << 20);
        stream.write_all(&got.1).unwrap();
    });
    let lb = Lb::start_whole(&config(&[origin.addr()], ""));
    let client = lb.connect("db");
    let sent = send_pattern(&client, 1, 1 << 20);
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    (&client).read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), (8 << 20) + 32);
    assert_eq!(answer[8 << 20..], sent);
}

#[test]
fn the_client_goes_on_after_the_server_has_finished() {
    let (done, received) = mpsc::channel();
    let origin = Origin::raw(move |mut stream, _| {
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        done.send(receive(&stream)).unwrap();
    });
    let lb = Lb::start_whole(&config(&[origin.addr()], ""));
    let client = lb.connect("db");
    let mut greeting = Vec::new();
    (&client).read_to_end(&mut greeting).unwrap();
    assert_eq!(greeting, b"hello");
    let sent = send_pattern(&client, 1, 8 << 20);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(received.recv().unwrap(), (8 << 20, sent));
    wait_until(PATIENCE, "the session ends", || lb.connections() == 0);
    assert_eq!(lb.server("db", "s1").aborts, (0, 0));
}

#[test]
fn a_reset_of_one_side_resets_the_other() {
    let (ended, end) = mpsc::channel();
    let origin = Origin::raw(move |mut stream, number| {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        if number == 0 {
            return reset_on_close(&stream);
        }
        ended.send(ends_orderly(&mut stream)).unwrap();
    });
    let lb = Lb::start_whole(&config(&[origin.addr()], ""));
    let talk = || {
        let mut client = lb.connect("db");
        client.read_exact(&mut [0]).unwrap();
        client.write_all(b"y").unwrap();
        client
    };
    assert!(!ends_orderly(&mut talk()), "the server's reset");
    let client = talk();
    reset_on_close(&client);
    drop(client);
    assert!(!end.recv().unwrap(), "the client's reset");
    wait_until(PATIENCE, "both are counted", || {
        lb.server("db", "s1").aborts == (1, 1)
    });
}

#[test]
fn idle_sessions_are_cut_and_busy_ones_are_not() {
    let origin = echo();
    // Far more than a busy machine makes us late with a beat.
    let more = timeouts("tunnel = \"2s\"");
    let lb = Lb::start_whole(&config(&[origin.addr()], &more));
    let mut connect = |_| {
        let mut client = lb.connect("db");
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
        client
    };
    let mut idle: Vec<TcpStream> = (0..100).map(&mut connect).collect();
    let mut busy: Vec<TcpStream> = (0..100).map(&mut connect).collect();
    let begun = Instant::now();
    // A byte every 100 ms, alternately from the client alone and from both.
    let mut beats = 0;
    wait_until(PATIENCE, "three times as long of talk", || {
        if begun.elapsed() >= beats * Duration::from_millis(100) {
            beats += 1;
            for client in &mut busy {
                client.write_all(b"x").unwrap();
            }
        }
        begun.elapsed() > Duration::from_secs(6) && lb.connections() <= 100
    });
    assert_eq!(lb.connections(), 100);
    for client in &mut idle {
        assert!(!ends_orderly(client), "cut means reset");
    }
    for client in &mut busy {
        client.read_exact(&mut vec![0; beats as usize]).unwrap();
    }
    assert_eq!(
        lb.server("db", "s1").aborts.0,
        100,
        "by the client's silence"
    );
}

#[test]
fn a_half_closed_session_has_its_own_timeout() {
    // The server never answers the FIN: it waits for a reset.
    let silent = Origin::raw(|stream, _| {
        let mut reset = [PollFd::new(&stream, PollFlags::empty())];
        let _ = poll(&mut reset, None);
    });
    let more = timeouts("tunnel = \"1h\"\nhalf_closed = \"200ms\"");
    let lb = Lb::start_whole(&config(&[silent.addr()], &more));
    let mut client = lb.connect("db");
    client.write_all(b"x").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let begun = Instant::now();
    assert!(!ends_orderly(&mut client));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(200), "{waited:?}");
    wait_until(PATIENCE, "it is the server's silence", || {
        lb.server("db", "s1").aborts == (0, 1)
    });
}

#[test]
fn a_side_that_never_reads_leaves_memory_flat() {
    const SESSIONS: usize = 4;
    // One half of the sessions has a server that only sends, the other half one that never reads.
    let origin = Origin::raw(|stream, number| {
        stream
            .set_write_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        if number % 2 == 0 {
            let _ = std::io::copy(&mut std::io::repeat(7), &mut &stream);
        }
        // Waits for the end without reading.
        let mut end = [PollFd::new(&stream, PollFlags::RDHUP)];
        let _ = poll(&mut end, None);
    });
    let addr = free_addr();
    let config = config_on(addr, &[origin.addr()], "");
    small_pages();
    let rlb = Rlb::with(config).ready_on(addr).start();
    let before = rlb.resident();
    let clients: Vec<TcpStream> = (0..SESSIONS).map(|_| connect(addr)).collect();
    for client in &clients {
        client
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        // Until nothing more fits anywhere on the way.
        let _ = std::io::copy(&mut std::io::repeat(7), &mut &*client);
    }
    let grown = rlb.resident().saturating_sub(before);
    // A buffer for each direction of each session, what the allocator keeps in hand,
    // and not the tens of megabytes that were sent.
    assert!(grown < 4 << 20, "{grown} bytes more");
}

#[test]
fn nobody_to_serve_is_a_reset() {
    let mut lb = Lb::start_whole(&config(&[free_addr()], ""));
    assert!(!ends_orderly(&mut lb.connect("db")), "refused");
    assert_eq!(lb.server("db", "s1").connect_errors, 1);
    let disabled = "[global]\nadmin = \"\"\n[[listen]]\nname = \"db\"\nmode = \"tcp\"\n\
         bind = \"127.0.0.1:0\"\nserver = { name = \"s1\", address = \"127.0.0.1:9\", disabled = true }\n";
    lb = Lb::start_whole(disabled);
    assert!(!ends_orderly(&mut lb.connect("db")), "in maintenance");
}

#[test]
fn a_refused_connect_goes_to_another_server_at_once() {
    let origin = Origin::raw(|mut stream, _| stream.write_all(b"here").unwrap());
    let lb = Lb::start_whole(&config(&[free_addr(), origin.addr()], ""));
    let begun = Instant::now();
    for _ in 0..20 {
        let mut answer = Vec::new();
        lb.connect("db").read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"here");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "HAProxy waits 1 s between tries, that would be 20 s"
    );
    let (refusing, serving) = (lb.server("db", "s1"), lb.server("db", "s2"));
    // The second try takes the other server's ticket: the refusing one is next again.
    // A retry, in HAProxy's counting, asks the same server again.
    assert_eq!((refusing.retries, refusing.redispatches), (0, 20));
    // Attempts, as HAProxy counts connects; econ only when there was no way left.
    assert_eq!((refusing.connects, refusing.connect_errors), (20, 0));
    assert_eq!((serving.connects, serving.sessions), (20, 20));
}

#[test]
fn a_server_that_does_not_answer_its_connect_is_left_for_another() {
    let full = DeafOrigin::listen();
    let origin = Origin::raw(|mut stream, _| stream.write_all(b"here").unwrap());
    let lb = Lb::start_whole(&config(
        &[full.addr(), origin.addr()],
        &timeouts("connect = \"200ms\""),
    ));
    for _ in 0..2 {
        let mut answer = Vec::new();
        lb.connect("db").read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"here");
    }
    assert_eq!(lb.server("db", "s1").redispatches, 2);
}

#[test]
fn urgent_data_passes_in_its_place_and_hangs_nobody() {
    let origin = echo();
    let addr = free_addr();
    let rlb = Rlb::with(config_on(addr, &[origin.addr()], ""))
        .ready_on(addr)
        .start();
    let mut client = connect(addr);
    client.write_all(b"hello").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    for round in 0..5 {
        // The proxy finds all of it at once: a read ends at the mark, bytes lie behind it.
        rlb.signal(Signal::STOP);
        client.write_all(b"before").unwrap();
        assert_eq!(rustix::net::send(&client, b"!", SendFlags::OOB).unwrap(), 1);
        client.write_all(b"behind").unwrap();
        rlb.signal(Signal::CONT);
        let mut got = [0; 13];
        client
            .read_exact(&mut got)
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(&got, b"before!behind");
    }
}

#[test]
fn urgent_data_passes_within_bulk_too() {
    let (done, received) = mpsc::channel();
    let origin = Origin::raw(move |stream, _| done.send(receive(&stream)).unwrap());
    let lb = Lb::start_whole(&config(&[origin.addr()], ""));
    let client = lb.connect("db");
    let (mut hash, block) = (Sha256::new(), vec![5; 1 << 20]);
    for _ in 0..32 {
        (&client).write_all(&block).unwrap();
        while rustix::net::send(&client, b"!", SendFlags::OOB) != Ok(1) {}
        hash.update(&block);
        hash.update(b"!");
    }
    client.shutdown(Shutdown::Write).unwrap();
    let expected = (32 * (block.len() + 1), hash.finalize().into());
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), expected);
}
