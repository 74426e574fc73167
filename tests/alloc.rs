//! No allocation per request on the steady path of HTTP/1.1.
//!
//! Counted in a binary of its own and over the whole process, so that neither a worker nor
//! control can hide one: client and origin work on buffers of their own and allocate nothing
//! while requests are counted.

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use rlb::config::Config;
use rlb::{Engine, StopKind};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: test\r\nUser-Agent: alloc\r\nAccept: */*\r\n\r\n";
const POST: &[u8] = b"POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &[u8] =
    b"POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
const STICKY: &[u8] =
    b"GET /a HTTP/1.1\r\nHost: test\r\nCookie: a=b; SERVERID=c1; c=d\r\nAccept: */*\r\n\r\n";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: alloc\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nworld";
const CHUNKED_ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n";

/// One test, so that nothing else runs in the process.
#[test]
fn requests_on_kept_connections_allocate_nothing() {
    for (request, answer) in [
        (GET, ANSWER),
        (POST, ANSWER),
        (CHUNKED, ANSWER),
        (GET, CHUNKED_ANSWER),
        (GET, sized_answer(16 << 10)),
        (GET, sized_answer(60 << 10)),
    ] {
        let name = String::from_utf8_lossy(request).into_owned();
        let allocations = allocations_of(1_000, request, answer, "");
        assert_eq!(allocations, 0, "in 1,000 requests: {name}");
    }
    // One client that is kept, and one that is given a cookie by each answer.
    for (request, answer) in [(STICKY, ANSWER), (GET, ANSWER)] {
        let name = String::from_utf8_lossy(request).into_owned();
        let allocations = allocations_of(1_000, request, answer, "cookie = { maxidle = \"1h\" }\n");
        assert_eq!(allocations, 0, "in 1,000 requests with a cookie: {name}");
    }
    // The thread that writes the log allocates for each chunk of lines, and nobody for
    // a line: 50 looks a second, with a few allocations each.
    let log = "[[log]]\ntarget = \"file:/dev/null\"\n";
    let start = Instant::now();
    let allocations = allocations_of(20_000, GET, ANSWER, log);
    let looks = start.elapsed().as_millis() as usize / 20 + 50;
    assert!(allocations < 20 * looks, "{allocations} in {looks} looks");
    assert!(allocations < 10_000, "{allocations} for 20,000 lines");
}

fn sized_answer(body: usize) -> &'static [u8] {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n");
    let answer = format!("{head}{}world", "x".repeat(body - 5));
    answer.leak().as_bytes()
}

fn allocations_of(
    requests: usize,
    request: &'static [u8],
    answer: &'static [u8],
    more: &str,
) -> usize {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = origin.local_addr().unwrap();
    let config = format!(
        "[global]\nworkers = 1\nadmin = \"\"\n\
         [[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nserver = {{ address = \"{server}\", cookie = \"c1\" }}\n\
         forwarded = {{ rfc7239 = true, via = \"lb\", request_id = \"X-Request-Id\" }}\n{more}"
    );
    let engine = Engine::start(Config::parse("alloc.toml", &config).unwrap().config).unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = origin.accept().unwrap();
        let body: &[u8] = match request {
            GET | STICKY => b"\r\n\r\n",
            POST => b"hello",
            _ => b"0\r\n\r\n",
        };
        let mut buffer = [0; 4096];
        while read_until(&mut stream, &mut buffer, body) {
            stream.write_all(answer).unwrap();
        }
    });
    let mut client = TcpStream::connect(engine.addresses()[0].1).unwrap();
    let mut buffer = vec![0; 64 << 10];
    let end = &answer[answer.len() - 5..];
    let mut exchange = |times: usize| {
        for _ in 0..times {
            client.write_all(request).unwrap();
            assert!(read_until(&mut client, &mut buffer, end), "no answer");
        }
    };
    // Pools fill, both connections come up.
    exchange(100);
    let before = ALLOCATOR.stats();
    assert_ne!(before.allocations, 0, "nothing is counted");
    exchange(requests);
    let after = ALLOCATOR.stats();
    drop(client);
    engine.stop(StopKind::Now);
    engine.wait();
    serving.join().unwrap();
    (after.allocations - before.allocations) + (after.reallocations - before.reallocations)
}

/// Reads one message by its last bytes; false = the peer has closed.
fn read_until(stream: &mut TcpStream, buffer: &mut [u8], end: &[u8]) -> bool {
    let mut len = 0;
    loop {
        match stream.read(&mut buffer[len..]) {
            Ok(n @ 1..) => len += n,
            _ => return false,
        }
        if buffer[..len].ends_with(end) {
            return true;
        }
    }
}
