//! Says who it is: the application of the demos and of the tests with containers.
//!
//! One file, no crate: `rustc -O -C target-feature=+crt-static -C panic=abort
//! -C strip=symbols --target x86_64-unknown-linux-gnu whoami.rs`.
//!
//! `GET /` answers with its hostname, `GET /?ms=200` does so after 200 ms,
//! `GET /health` with `ok`. On SIGTERM it goes on for LAMEDUCK_MS (default 200),
//! then accepts no more, finishes what runs, and ends: what an application needs to
//! be restarted without anybody noticing. PORT (default 80) is where it listens,
//! BOOT_MS (default 0) how long it takes to start. With CONSUL=host:port it registers
//! itself there as SERVICE (default `web`) with the tags of TAGS (`a,b`), and takes
//! itself out before it ends.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// SIGTERM or SIGINT came. Written by the handler, read by all; no order matters.
static STOP: AtomicBool = AtomicBool::new(false);
/// No new connection is taken, open ones close when they are idle.
static CLOSING: AtomicBool = AtomicBool::new(false);
/// Connections that are open.
static OPEN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}

extern "C" fn stop(_: i32) {
    STOP.store(true, Ordering::Relaxed);
}

fn main() -> io::Result<()> {
    // As PID 1 of a container it gets no signal that it does not ask for.
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
    unsafe {
        signal(15, stop);
        signal(2, stop);
    }
    thread::sleep(Duration::from_millis(number("BOOT_MS", 0)));
    let port = number("PORT", 80) as u16;
    let listener = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| TcpListener::bind(("0.0.0.0", port)))?;
    let local = listener.local_addr()?;
    let name: Arc<str> = hostname().into();
    println!("{name} listens on port {port}");
    let consul = env::var("CONSUL").ok();
    if let Some(consul) = &consul {
        register(consul, &name, port);
    }
    let id = Arc::clone(&name);
    let accepting = thread::spawn(move || accept(&listener, &name));
    while !STOP.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
    }
    if let Some(consul) = &consul {
        let _ = put(consul, &format!("/v1/agent/service/deregister/{id}"), "");
    }
    // Whoever balances needs a moment to hear of it.
    thread::sleep(Duration::from_millis(number("LAMEDUCK_MS", 200)));
    CLOSING.store(true, Ordering::SeqCst);
    // Wakes the accepting thread up, once more after the last client.
    let _ = TcpStream::connect(("127.0.0.1", local.port()));
    let _ = accepting.join();
    let deadline = Instant::now() + Duration::from_secs(8);
    while OPEN.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn accept(listener: &TcpListener, name: &Arc<str>) {
    for stream in listener.incoming() {
        if CLOSING.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let name = Arc::clone(name);
        OPEN.fetch_add(1, Ordering::SeqCst);
        thread::spawn(move || {
            let _ = serve(&stream, &name);
            OPEN.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Requests of one connection, one after the other.
fn serve(stream: &TcpStream, name: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        // Idle: looks up every 50 ms whether it is time to go.
        stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {
                if CLOSING.load(Ordering::SeqCst) {
                    return Ok(());
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
        let (mut length, mut close) = (0, false);
        loop {
            let mut field = String::new();
            reader.read_line(&mut field)?;
            let field = field.trim_end().to_ascii_lowercase();
            if field.is_empty() {
                break;
            }
            if let Some(value) = field.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            close |= field == "connection: close";
        }
        io::copy(&mut io::Read::take(&mut reader, length), &mut io::sink())?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(ms) = query.strip_prefix("ms=").and_then(|ms| ms.parse().ok()) {
            thread::sleep(Duration::from_millis(ms));
        }
        let body = match path {
            "/health" => "ok\n".to_owned(),
            _ => format!("{name}\n"),
        };
        close |= CLOSING.load(Ordering::SeqCst);
        let connection = if close { "close" } else { "keep-alive" };
        let shown = if method == "HEAD" { "" } else { &body };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{shown}",
            body.len()
        );
        (&*stream).write_all(answer.as_bytes())?;
        if close {
            return Ok(());
        }
    }
}

/// Tries until Consul is there.
fn register(consul: &str, name: &str, port: u16) {
    while !STOP.load(Ordering::Relaxed) {
        let local = TcpStream::connect(consul).and_then(|stream| stream.local_addr());
        let registered = local.and_then(|local| {
            let service = env::var("SERVICE").unwrap_or_else(|_| "web".to_owned());
            let tags = env::var("TAGS").unwrap_or_default();
            let tags = tags.split(',').filter(|tag| !tag.is_empty());
            let tags: Vec<_> = tags.map(|tag| format!("\"{tag}\"")).collect();
            let body = format!(
                "{{\"ID\":\"{name}\",\"Name\":\"{service}\",\"Address\":\"{}\",\"Port\":{port},\"Tags\":[{}]}}",
                local.ip(),
                tags.join(",")
            );
            put(consul, "/v1/agent/service/register", &body)
        });
        match registered {
            Ok(()) => return,
            Err(error) => println!("{consul}: {error}"),
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn put(host: &str, path: &str, body: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let length = body.len();
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status)?;
    match status.contains(" 200 ") {
        true => Ok(()),
        false => Err(io::Error::other(status)),
    }
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    match name.trim() {
        "" => format!("pid {}", std::process::id()),
        name => name.to_owned(),
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let value = env::var(variable).ok().and_then(|value| value.parse().ok());
    value.unwrap_or(default)
}

fn is_timeout(error: &io::Error) -> bool {
    // A wait with a timeout is interrupted by `docker unpause`, too.
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
