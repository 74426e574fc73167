//! Every request carries a number, and every answer must carry it back: an answer to
//! another's request fails the test.
//!
//! Two backends behind one frontend: `/calm` is served by servers that are slow at times and
//! never fail, so no request to it may; `/rough` by servers that are killed and paused all
//! the time, so that requests may fail there, but none may get a wrong answer and no POST may
//! arrive twice. Some seconds; `RLB_SOAK_SECONDS=60` makes it a minute.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Lb, Origin, PATIENCE, dawdle, free_addr};

#[test]
fn every_answer_carries_the_number_of_its_request() {
    let seconds = std::env::var("RLB_SOAK_SECONDS").map_or(3, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let (posts, posted) = mpsc::channel();
    let paused = Arc::new(AtomicBool::new(false));
    let calm: Vec<Origin> = (0..3)
        .map(|_| origin(any_port(), &posts, &Arc::default()))
        .collect();
    let rough: Vec<SocketAddr> = (0..3).map(|_| free_addr()).collect();
    let lb = Lb::start_whole(&config(
        &calm.iter().map(Origin::addr).collect::<Vec<_>>(),
        &rough,
    ));
    let addr = lb.addr();
    let counts = Counts::default();
    let numbers = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| trouble(&rough, &posts, &paused, until));
        for _ in 0..6 {
            scope.spawn(|| {
                while Instant::now() < until {
                    client(addr, "/calm", &numbers, &counts, until);
                }
            });
            scope.spawn(|| {
                while Instant::now() < until {
                    client(addr, "/rough", &numbers, &counts, until);
                }
            });
        }
    });
    drop((lb, calm, posts));
    let mut seen = HashSet::new();
    // Threads of origins that still run hold the other end: what is here is here.
    for number in posted.try_iter() {
        assert!(seen.insert(number), "POST {number} arrived twice");
    }
    let answered = counts.answered.load(Ordering::Relaxed);
    let failed = counts.failed.load(Ordering::Relaxed);
    println!("{answered} answered, {failed} failed in {seconds} s");
    assert!(answered > 200 * seconds, "only {answered} answered");
    assert!(failed < answered / 2, "{failed} of the rough ones failed");
}

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    /// Of the rough backend: 502, 503, 504, or cut.
    failed: AtomicU64,
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn config(calm: &[SocketAddr], rough: &[SocketAddr]) -> String {
    let list = |servers: &[SocketAddr]| {
        let quoted: Vec<String> = servers
            .iter()
            .map(|server| format!("\"{server}\""))
            .collect();
        quoted.join(", ")
    };
    format!(
        r#"
[global]
workers = 2
admin = ""
[[frontend]]
name = "web"
bind = "127.0.0.1:0"
default_backend = "calm"
[[frontend.route]]
path_prefix = "/rough"
backend = "rough"
[[backend]]
name = "calm"
server = [{}]
[[backend]]
name = "rough"
timeouts = {{ server = "200ms", connect = "200ms" }}
server = [{}]
"#,
        list(calm),
        list(rough)
    )
}

/// Kills a server and starts it again, or makes all of them pause, over and over.
fn trouble(rough: &[SocketAddr], posts: &Sender<u64>, paused: &Arc<AtomicBool>, until: Instant) {
    let mut running: Vec<Option<Origin>> = rough
        .iter()
        .map(|addr| Some(origin(*addr, posts, paused)))
        .collect();
    for turn in 0.. {
        if Instant::now() >= until {
            return;
        }
        dawdle(Duration::from_millis(50));
        let server = turn % running.len();
        match turn % 4 {
            0 | 2 => {
                running[server] = None;
                dawdle(Duration::from_millis(20));
                running[server] = Some(origin(rough[server], posts, paused));
            }
            1 => {
                paused.store(true, Ordering::Release);
                dawdle(Duration::from_millis(250));
                paused.store(false, Ordering::Release);
            }
            _ => {}
        }
    }
}

/// Answers with the number it was asked for, in a way that the number chooses.
fn origin(addr: SocketAddr, posts: &Sender<u64>, paused: &Arc<AtomicBool>) -> Origin {
    let (posts, paused) = (posts.clone(), Arc::clone(paused));
    Origin::raw_at(addr, move |stream, _| {
        let mut wire = Wire::over(stream);
        while let Some((head, body)) = wire.request() {
            let number = number_of(&head).expect("every request has a number");
            if head.starts_with("POST") {
                if body != post_body(number).as_bytes() {
                    // Which no client accepts.
                    let _ = wire.stream.write_all(b"HTTP/1.1 500 Foreign Body\r\n\r\n");
                    return;
                }
                // The test may be over.
                let _ = posts.send(number);
            }
            while paused.load(Ordering::Acquire) {
                dawdle(Duration::from_millis(5));
            }
            if number.is_multiple_of(97) {
                dawdle(Duration::from_millis(10));
            }
            let answer = answer(number, head.starts_with("HEAD"));
            // In two pieces, now and then between the two parts of a line.
            let (first, second) = answer.split_at(number as usize % answer.len());
            let sent =
                wire.stream.write_all(first).is_ok() && wire.stream.write_all(second).is_ok();
            if !sent || is_close_delimited(number) || number % 31 == 5 {
                return;
            }
        }
    })
}

fn answer(number: u64, head: bool) -> Vec<u8> {
    let body = answer_body(number);
    let mut answer = match number {
        // Delimited by the close that follows.
        n if n % 23 == 4 => format!("HTTP/1.1 200 OK\r\nX-Number: {n}\r\nConnection: close\r\n\r\n"),
        n if n % 31 == 5 => {
            format!("HTTP/1.1 200 OK\r\nX-Number: {n}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())
        }
        n if n % 5 == 1 => format!(
            "HTTP/1.1 103 Early Hints\r\nX-Number: {n}\r\n\r\nHTTP/1.1 200 OK\r\nX-Number: {n}\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        n => format!("HTTP/1.1 200 OK\r\nX-Number: {n}\r\nContent-Length: {}\r\n\r\n", body.len()),
    }
    .into_bytes();
    if head {
        return answer;
    }
    if number % 5 == 1 && !is_close_delimited(number) && number % 31 != 5 {
        for chunk in body.as_bytes().chunks(5_000) {
            write!(answer, "{:x}\r\n", chunk.len()).unwrap();
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
    } else {
        answer.extend_from_slice(body.as_bytes());
    }
    answer
}

fn answer_body(number: u64) -> String {
    let times = if number.is_multiple_of(41) {
        20_000
    } else {
        1 + number as usize % 300
    };
    format!("{number};").repeat(times)
}

fn post_body(number: u64) -> String {
    let times = if number.is_multiple_of(37) {
        20_000
    } else {
        1 + number as usize % 1_000
    };
    format!("post {number};").repeat(times)
}

fn number_of(head: &str) -> Option<u64> {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("X-Number: "))?;
    line.trim().parse().ok()
}

/// One connection of a client, until it ends for any reason.
fn client(addr: SocketAddr, path: &str, numbers: &AtomicU64, counts: &Counts, until: Instant) {
    let calm = path == "/calm";
    let mut wire = Wire::over(TcpStream::connect(addr).expect("the frontend listens"));
    while Instant::now() < until {
        let first = numbers.fetch_add(5, Ordering::Relaxed);
        // A client that leaves while it is waited for, or in the middle of its own body.
        if first.is_multiple_of(50) {
            let cut = if first.is_multiple_of(100) {
                30
            } else {
                usize::MAX
            };
            let request = request(path, first + 3);
            let _ = wire.stream.write_all(&request[..request.len().min(cut)]);
            let _ = wire.stream.shutdown(Shutdown::Both);
            return;
        }
        let batch: Vec<u64> = match first % 4 {
            0 => (first..first + 5).collect(),
            _ => vec![first],
        };
        let requests: Vec<u8> = batch.iter().flat_map(|n| request(path, *n)).collect();
        if wire.stream.write_all(&requests).is_err() {
            assert!(!calm, "{batch:?}: not taken");
            return;
        }
        for number in batch {
            match wire.answer(is_head(number)) {
                Some(answer) if answer.status == 200 && answer.whole => {
                    let body = if is_head(number) {
                        String::new()
                    } else {
                        answer_body(number)
                    };
                    assert_eq!(
                        number_of(&answer.head),
                        Some(number),
                        "an answer to another's request"
                    );
                    // Where the close is the end, nobody can tell that a killed server did not
                    // get to it.
                    let cut = !calm && is_close_delimited(number);
                    let whole = answer.body == body.as_bytes();
                    assert!(
                        whole || cut && body.as_bytes().starts_with(&answer.body),
                        "the body of another's answer at {number}: {} bytes instead of {}",
                        answer.body.len(),
                        body.len()
                    );
                    counts.answered.fetch_add(1, Ordering::Relaxed);
                    if answer.closes {
                        return;
                    }
                }
                outcome => {
                    assert!(!calm, "{number}: {outcome:?}");
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                    let goes_on = outcome.is_some_and(|answer| {
                        assert!(matches!(answer.status, 200 | 502..=504), "{}", answer.head);
                        answer.whole && !answer.closes
                    });
                    if !goes_on {
                        return;
                    }
                }
            }
        }
    }
}

fn is_close_delimited(number: u64) -> bool {
    number % 23 == 4
}

fn is_head(number: u64) -> bool {
    number % 13 == 7 && number.is_multiple_of(3)
}

fn request(path: &str, number: u64) -> Vec<u8> {
    let rest = format!("{path}/{number} HTTP/1.1\r\nHost: soak\r\nX-Number: {number}\r\n");
    if is_head(number) {
        return format!("HEAD {rest}\r\n").into_bytes();
    }
    let body = post_body(number);
    match number % 3 {
        0 => format!("GET {rest}\r\n"),
        1 => format!("POST {rest}Content-Length: {}\r\n\r\n{body}", body.len()),
        _ => {
            let (first, second) = body.split_at(body.len() / 3 + 1);
            format!(
                "POST {rest}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
                first.len(),
                second.len()
            )
        }
    }
    .into_bytes()
}

/// Reads messages without a panic where the peer breaks off.
struct Wire {
    stream: TcpStream,
    ahead: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    head: String,
    body: Vec<u8>,
    status: u16,
    whole: bool,
    closes: bool,
}

impl Wire {
    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.until(b"\r\n\r\n")?;
        let body = self.body(&head)?;
        Some((head, body))
    }

    /// The final answer; `None` = not even a head.
    fn answer(&mut self, to_head: bool) -> Option<Answer> {
        let head = loop {
            let head = self.until(b"\r\n\r\n")?;
            if !head.starts_with("HTTP/1.1 103") {
                break head;
            }
        };
        let body = if to_head {
            Some(Vec::new())
        } else {
            self.body(&head)
        };
        Some(Answer {
            status: head[9..12].parse().unwrap(),
            closes: head.contains("\r\nConnection: close\r\n"),
            whole: body.is_some(),
            body: body.unwrap_or_default(),
            head,
        })
    }

    fn body(&mut self, head: &str) -> Option<Vec<u8>> {
        if let Some(length) = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
        {
            return self.bytes(length.parse().unwrap());
        }
        let mut body = Vec::new();
        if head.contains("\r\nTransfer-Encoding: chunked\r\n") {
            loop {
                let line = self.until(b"\r\n")?;
                let size = usize::from_str_radix(line.trim_end(), 16).expect("the size of a chunk");
                let chunk = self.bytes(size + 2)?;
                assert!(chunk.ends_with(b"\r\n"), "a chunk without an end");
                if size == 0 {
                    break;
                }
                body.extend_from_slice(&chunk[..size]);
            }
        }
        Some(body)
    }

    fn until(&mut self, end: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|bytes| bytes == end) {
                let rest = self.ahead.split_off(at + end.len());
                let text = std::mem::replace(&mut self.ahead, rest);
                return Some(String::from_utf8(text).expect("heads are text"));
            }
            self.more()?;
        }
    }

    fn bytes(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.ahead.len() < n {
            self.more()?;
        }
        let rest = self.ahead.split_off(n);
        Some(std::mem::replace(&mut self.ahead, rest))
    }

    fn more(&mut self) -> Option<()> {
        let mut bytes = [0; 64 << 10];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(n) => {
                    self.ahead.extend_from_slice(&bytes[..n]);
                    return Some(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing came"),
                Err(_) => return None,
            }
        }
    }
}
