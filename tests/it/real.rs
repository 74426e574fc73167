//! Real programs on both sides: nginx behind, curl, ab, wrk and a browser before, and
//! strace beside. A part that is not to be had is skipped and counted.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::support::real::{self, Part, Tool};
use crate::support::{
    Lb, Origin, PATIENCE, Process, RawClient, Rlb, connect, free_addr, wait_until,
};
use crate::tcp::both_ways;

fn http(bind: SocketAddr, server: SocketAddr, more: &str) -> String {
    format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\n\
         server = {{ name = \"s1\", address = \"{server}\" }}\n{more}\n"
    )
}

fn tcp(bind: SocketAddr, server: SocketAddr) -> String {
    http(bind, server, "mode = \"tcp\"")
}

/// strace on every thread of a process, its report in a file. Ends with the test: the
/// process goes on.
struct Traced {
    strace: Process,
}

impl Traced {
    #[track_caller]
    fn start(strace: &Tool, of: &Process, args: &[&str]) -> Self {
        let pid = of.pid().as_raw_nonzero().to_string();
        let common = ["-f", "-p", &pid];
        let strace = strace.start(common.iter().chain(args));
        wait_until(PATIENCE, "strace is attached", || of.is_traced());
        Self { strace }
    }

    /// Lets go and returns what it wrote.
    #[track_caller]
    fn report(mut self) -> String {
        self.strace.signal(Signal::INT);
        self.strace.wait_exit();
        self.strace.stderr()
    }
}

/// `RLB_REAL_MIB` each way; 1,024 is the size of the promise.
fn bulk() -> usize {
    std::env::var("RLB_REAL_MIB").map_or(128, |mib| mib.parse::<usize>().unwrap()) << 20
}

#[test]
fn bulk_in_tcp_mode_is_spliced() {
    let Some(strace) = real::tool(Part::Strace) else {
        return;
    };
    let (bind, len) = (free_addr(), bulk());
    let mut running = None;
    let through = |origin| {
        let rlb = running.insert(Rlb::with(tcp(bind, origin)).ready_on(bind).start());
        let traced = Traced::start(&strace, rlb, &["-qq", "-e", "trace=splice"]);
        // Dropped behind the last byte.
        TRACED.set(Some(traced));
        connect(bind)
    };
    both_ways(through, len);
    let report = TRACED.take().unwrap().report();
    let moved: usize = report
        .lines()
        .filter_map(|line| line.rsplit_once(" = ")?.1.trim().parse::<usize>().ok())
        .sum();
    // Each byte twice: into a pipe and out of it.
    let share = moved as f64 / (4 * len) as f64;
    println!(
        "{:.1} % of {} MiB each way was spliced",
        share * 100.0,
        len >> 20
    );
    assert!(share > 0.95 && share <= 1.0, "{share}");
}

thread_local! {
    static TRACED: std::cell::Cell<Option<Traced>> = const { std::cell::Cell::new(None) };
}

#[test]
fn a_user_with_few_pipes_is_served_all_the_same() {
    if !rustix::process::geteuid().is_root() {
        return real::skip("user 65534", "only root may become another user");
    }
    let bind = free_addr();
    let mut running = None;
    let through = |origin| {
        let config = tcp(bind, origin);
        running = Some(Rlb::with(config).ready_on(bind).user(65_534).start());
        connect(bind)
    };
    both_ways(through, 64 << 20);
    drop(running);

    // Past its share a user gets pipes of 8 KiB: 64 of 1 MiB are beyond it.
    let origin = Origin::raw(|stream, _| {
        let (mut from, mut to) = (&stream, &stream);
        let _ = std::io::copy(&mut from, &mut to);
    });
    let rlb = Rlb::with(tcp(bind, origin.addr()))
        .ready_on(bind)
        .user(65_534)
        .start();
    let clients: Vec<TcpStream> = (0..64).map(|_| connect(bind)).collect();
    std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| crate::tcp::echoed_whole(client, 2 << 20));
        }
    });
    drop(rlb);
}

#[test]
fn kept_connections_cost_no_call_that_fails() {
    let (Some(strace), Some(wrk)) = (real::tool(Part::Strace), real::tool(Part::Wrk)) else {
        return;
    };
    let Some(nginx) = real::nginx("location / { return 200 ok; }") else {
        return;
    };
    let bind = free_addr();
    let config = http(bind, nginx.addr(), "").replace("workers = 1", "workers = 2");
    let rlb = Rlb::with(config).ready_on(bind).start();
    let url = format!("http://{bind}/");
    let load = wrk.start(["-t1", "-c64", "-d6s", &url]);
    // Past the start of the connections.
    wait_until(PATIENCE, "wrk has begun", || {
        nginx.access_log().len() > 1000
    });
    let traced = Traced::start(&strace, &rlb, &["-c"]);
    let before = nginx.access_log().len();
    wait_until(PATIENCE, "3,000 requests under strace", || {
        nginx.access_log().len() > before + 3000
    });
    let report = traced.report();
    drop(load);
    // % time, seconds, usecs/call, calls, errors (or none), name.
    let mut wasted = 0;
    let mut sent = 0;
    for line in report.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(name), Some(Ok(calls))) = (
            fields.last(),
            fields.get(3).map(|calls| calls.parse::<usize>()),
        ) else {
            continue;
        };
        let errors = match fields.len() {
            6 => fields[4].parse::<usize>().unwrap(),
            _ => 0,
        };
        match *name {
            "futex" | "epoll_ctl" => wasted += calls,
            "recvfrom" | "recvmsg" => wasted += errors,
            "sendto" | "sendmsg" => (wasted, sent) = (wasted + errors, sent + calls - errors),
            _ => {}
        }
    }
    println!("{wasted} wasted calls in {} requests\n{report}", sent / 2);
    assert!(sent / 2 > 1000 && wasted * 100 < sent / 2, "{report}");
}

#[test]
fn curl_ab_and_wrk_get_what_nginx_serves() {
    let Some(nginx) = real::nginx("location = /small { return 200 small; }") else {
        return;
    };
    let large: Vec<u8> = (0..3_000_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    fs::write(nginx.root().join("large"), &large).unwrap();
    let lb = Lb::start_whole(&http("127.0.0.1:0".parse().unwrap(), nginx.addr(), ""));
    let url = format!("http://{}", lb.addr());
    if let Some(curl) = real::tool(Part::Curl) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("large");
        let said = curl.run([
            "-sSf".as_ref(),
            "-o".as_ref(),
            file.as_os_str(),
            format!("{url}/large").as_ref(),
        ]);
        assert!(said.status.success(), "{}", said.stderr);
        assert!(fs::read(&file).unwrap() == large, "another file");
        // Twice over one connection, the second time with a range.
        let twice = [format!("{url}/small"), format!("{url}/small")];
        let said = curl.run(["-sSf", "-r0-1", &twice[0], "--next", "-sSf", &twice[1]]);
        assert!(said.stdout.ends_with("small"), "{}", said.stdout);
        let said = curl.run(["-sS", "--http1.0", "-D-", &twice[0]]);
        assert!(said.stdout.starts_with("HTTP/1.") && said.stdout.ends_with("small"));
    }
    if let Some(ab) = real::tool(Part::Ab) {
        for keep in ["-q", "-k"] {
            let said = ab.run([keep, "-n300", "-c10", &format!("{url}/small")]);
            for line in ["Complete requests:      300", "Failed requests:        0"] {
                assert!(said.stdout.contains(line), "{}{}", said.stdout, said.stderr);
            }
        }
    }
    if let Some(wrk) = real::tool(Part::Wrk) {
        let said = wrk
            .run(["-t1", "-c16", "-d1s", &format!("{url}/small")])
            .stdout;
        assert!(said.contains("Requests/sec"), "{said}");
        assert!(
            !said.contains("Socket errors") && !said.contains("Non-2xx"),
            "{said}"
        );
    }
}

#[test]
fn a_browser_loads_a_page_of_many_parts() {
    let (Some(chromium), Some(nginx)) = (real::chromium(), real::nginx("default_type text/html;"))
    else {
        return;
    };
    let mut page = "<body>".to_owned();
    for part in 0..30 {
        page += &format!("<script src=/part{part}.js></script>");
        let text = format!("document.body.append('<{part}>')");
        fs::write(nginx.root().join(format!("part{part}.js")), text).unwrap();
    }
    fs::write(nginx.root().join("page.html"), page).unwrap();
    let lb = Lb::start_whole(&http("127.0.0.1:0".parse().unwrap(), nginx.addr(), ""));
    let dom = chromium.dump_dom(&format!("http://{}/page.html", lb.addr()));
    for part in 0..30 {
        assert!(dom.contains(&format!("&lt;{part}&gt;")), "{part} in {dom}");
    }
}

#[test]
fn nginx_is_asked_as_the_file_says_and_its_silence_is_seen() {
    let Some(nginx) = real::nginx("location / { return 204; }") else {
        return;
    };
    let check = "check = { host = \"shop.example\", interval = \"100ms\", timeout = \"100ms\", \
                 fall = 2, rise = 2 }";
    let any = "127.0.0.1:0".parse().unwrap();
    let config = http(any, nginx.addr(), check).replace("workers = 1", "workers = 4");
    let lb = Lb::start_whole(&config);
    let wait_for = |status: &str, check: &str| {
        wait_until(PATIENCE, &format!("{status} by {check}"), || {
            let server = lb.server("web", "s1");
            (server.status.as_str(), server.check.as_str()) == (status, check)
        });
    };
    wait_for("UP", "L7OK/204");
    wait_until(PATIENCE, "three checks", || nginx.access_log().len() >= 3);
    for line in nginx.access_log() {
        assert!(
            line.starts_with(r#""HEAD / HTTP/1.1" 204 host=shop.example xff=-"#),
            "{line}"
        );
    }
    nginx.freeze();
    wait_for("DOWN", "L7TOUT");
    nginx.thaw();
    wait_for("UP", "L7OK/204");
    // The schedule is built anew a moment after the state has changed.
    let mut client = RawClient::connect(lb.addr());
    wait_until(PATIENCE, "it serves again", || {
        client
            .send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
            .read_head()
            .status()
            == 204
    });
    drop(nginx);
    wait_for("DOWN", "L4CON");
}
