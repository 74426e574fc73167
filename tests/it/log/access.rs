//! Formats, targets, filters, reload and rotation of the access log.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use super::{Syslog, lines_of};
use crate::support::real::{self, Part};
use crate::support::{Lb, Origin, PATIENCE, RawClient, Rlb, free_addr, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";

fn web(origin: &Origin, logs: &str) -> String {
    format!(
        "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\n\
         server = [{{ name = \"s1\", address = \"{}\" }}]\n{logs}",
        origin.addr()
    )
}

fn to(target: &str, more: &str) -> String {
    format!("[[log]]\ntarget = \"{target}\"\n{more}\n")
}

/// A line without the client's port, the date and the timers.
fn without_times(line: &str) -> String {
    let (before, rest) = line.split_once(" [").unwrap();
    let (client, _) = before.rsplit_once(':').unwrap();
    let (_, rest) = rest.split_once("] ").unwrap();
    let mut words: Vec<&str> = rest.splitn(4, ' ').collect();
    let timers: Vec<i64> = words[2].split('/').map(|t| t.parse().unwrap()).collect();
    assert!(timers.iter().all(|t| *t >= -1 && *t < 10_000), "{line}");
    words.remove(2);
    format!("{client} {}", words.join(" "))
}

#[test]
fn a_request_is_a_datagram_to_syslog() {
    let (origin, syslog) = (Origin::ok("hello"), Syslog::listen());
    let log = to(
        &format!("syslog:udp:{}", syslog.addr()),
        "tag = \"haproxy\"",
    );
    let lb = Lb::start(&web(&origin, &log));
    let (head, body) = lb
        .client()
        .send("GET /a\"b?c HTTP/1.1\r\nHost: x\r\n\r\n")
        .read_response();
    assert_eq!((head.status(), &*body), (200, &b"hello"[..]));
    let line = syslog.line();
    let (head, message) = line.split_once("]: ").unwrap();
    let expected = format!("haproxy[{}", std::process::id());
    assert!(
        head.starts_with("<134>") && head.ends_with(&expected),
        "{line}"
    );
    assert_eq!(
        head.len(),
        "<134>Nov 20 15:26:01 ".len() + expected.len(),
        "{line}"
    );
    let bytes = message.split(' ').nth(6).unwrap();
    assert_eq!(
        without_times(message),
        format!(
            "127.0.0.1 web web/s1 200 {bytes} - - ---- 1/1/0/0/0 0/0 \"GET /a#22b?c HTTP/1.1\""
        )
    );
    // Head and body as the client got them.
    assert!(bytes.parse::<u64>().unwrap() > 40, "{line}");
}

#[test]
fn a_session_is_a_tcplog_line() {
    let (origin, syslog) = (Origin::ok("hello"), Syslog::listen());
    let lb = Lb::start(&format!(
        "[[listen]]\nname = \"db\"\nmode = \"tcp\"\nbind = \"127.0.0.1:0\"\n\
         server = [{{ name = \"d1\", address = \"{}\" }}]\n{}",
        origin.addr(),
        to(&format!("syslog:udp:{}", syslog.addr()), "")
    ));
    let mut client = lb.client();
    client.send(GET).read_response();
    drop(client);
    let line = syslog.line();
    let (_, message) = line.split_once("]: ").unwrap();
    let words = without_times(message);
    assert!(words.starts_with("127.0.0.1 db db/d1 "), "{line}");
    assert!(words.ends_with(" -- 1/1/0/0/0 0/0"), "{line}");
}

#[test]
fn several_logs_take_what_each_wants() {
    let (origin, dir) = (Origin::ok("hello"), tempfile::tempdir().unwrap());
    let file = |name: &str| dir.path().join(name);
    let target = |name: &str| format!("file:{}", file(name).display());
    let devlog = UnixDatagram::bind(file("devlog")).unwrap();
    devlog.set_read_timeout(Some(PATIENCE)).unwrap();
    let logs = [
        to(&target("all.log"), ""),
        to(
            &target("errors.json"),
            "format = \"json\"\nonly = \"errors\"",
        ),
        to(&target("short.log"), "uri_max = \"64B\""),
        to(&format!("syslog:{}", file("devlog").display()), ""),
    ];
    let backend = "[[frontend.route]]\npath_prefix = \"/none\"\nbackend = \"none\"\n\
                   [[backend]]\nname = \"none\"\nserver = []\n";
    let lb = Lb::start(&format!(
        "[[frontend]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\ndefault_backend = \"nodes\"\n{backend}\
         [[backend]]\nname = \"nodes\"\nserver = [{{ name = \"s1\", address = \"{}\" }}]\n{}",
        origin.addr(),
        logs.concat()
    ));
    let mut client = lb.client();
    let long = "x".repeat(2000);
    client
        .send(format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .read_response();
    client
        .send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
        .read_response();
    let all = lines_of(&file("all.log"), 2);
    // As a syslog daemon would have written it.
    assert_eq!(
        all[0]
            .split(' ')
            .filter(|w| !w.is_empty())
            .nth(4)
            .map(|w| w.ends_with("]:")),
        Some(true)
    );
    assert!(
        all[0].ends_with(&format!("\"GET /{}\"", "x".repeat(1024 - 5))),
        "{}",
        all[0]
    );
    assert!(
        all[1].contains(" web none/<NOSRV> 0/-1/-1/-1/"),
        "{}",
        all[1]
    );
    let short = lines_of(&file("short.log"), 2);
    assert!(
        short[0].ends_with(&format!("\"GET /{}\"", "x".repeat(64 - 5))),
        "{}",
        short[0]
    );
    let errors = lines_of(&file("errors.json"), 1);
    let error: serde_json::Value = serde_json::from_str(&errors[0]).unwrap();
    assert_eq!(
        (&error["status"], &error["uri"]),
        (&503.into(), &"/none".into())
    );
    assert_eq!(
        (&error["end"], &error["server"]),
        (&"SC".into(), &serde_json::Value::Null)
    );
    let mut buffer = [0; 4096];
    let read = devlog.recv(&mut buffer).unwrap();
    assert!(buffer[..read].starts_with(b"<134>"));
}

#[test]
fn logs_begin_and_end_with_a_reload() {
    let (origin, syslog) = (Origin::ok("hello"), Syslog::listen());
    let addr = free_addr();
    let plain = web(&origin, "").replace("127.0.0.1:0", &addr.to_string());
    let log = to(&format!("syslog:udp:{}", syslog.addr()), "");
    let lb = Lb::start(&plain);
    let mut client = RawClient::connect(addr);
    client.send(GET).read_response();
    assert_eq!(syslog.next(Duration::from_millis(100)), None);
    let head = "[global]\nworkers = 1\nadmin = \"\"\n";
    lb.apply(&format!("{head}{plain}{log}")).unwrap();
    client.send(GET).read_response();
    assert!(syslog.line().ends_with("\"GET /a HTTP/1.1\""));
    lb.apply(&format!("{head}{plain}")).unwrap();
    client.send(GET).read_response();
    assert_eq!(syslog.next(Duration::from_millis(100)), None);
}

#[test]
fn rotated_files_are_opened_again() {
    let (origin, addr) = (Origin::ok("hello"), free_addr());
    let dir = tempfile::tempdir().unwrap();
    let (now, old) = (
        dir.path().join("access.log"),
        dir.path().join("access.log.1"),
    );
    let text = web(&origin, &to(&format!("file:{}", now.display()), ""));
    let text = text.replace("127.0.0.1:0", &addr.to_string());
    let rlb = Rlb::with(format!("[global]\nadmin = \"\"\n{text}"))
        .ready_on(addr)
        .start();
    let mut client = RawClient::connect(addr);
    for (reloads, signal) in [(1, Signal::HUP), (2, Signal::USR2)] {
        client.send(GET).read_response();
        lines_of(&now, 1);
        std::fs::rename(&now, &old).unwrap();
        // Written to the file it was opened as, whatever that is called by now.
        client.send(GET).read_response();
        lines_of(&old, 2);
        rlb.signal(signal);
        wait_until(PATIENCE, "a new file", || now.exists());
        client.send(GET).read_response();
        assert_eq!(lines_of(&now, 1).len(), 1);
        assert_eq!(lines_of(&old, 2).len(), 2);
        let done = || rlb.stderr().matches("reloaded").count();
        wait_until(PATIENCE, "the reload", || done() == reloads);
        // The next round begins as this one did: with an empty file.
        std::fs::write(&now, "").unwrap();
    }
}

#[test]
fn what_was_served_is_written_before_the_end() {
    let (origin, addr) = (Origin::ok("hello"), free_addr());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let text = web(&origin, &to(&format!("file:{}", file.display()), ""));
    let text = text.replace("127.0.0.1:0", &addr.to_string());
    let mut rlb = Rlb::with(format!("[global]\nadmin = \"\"\n{text}"))
        .ready_on(addr)
        .start();
    let mut client = RawClient::connect(addr);
    for _ in 0..100 {
        client.send(GET).read_response();
    }
    drop(client);
    rlb.signal(Signal::TERM);
    assert!(rlb.wait_exit().success());
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 100);
}

#[test]
fn halog_reads_ten_thousand_lines_without_an_error() {
    let Some(halog) = real::tool(Part::Halog) else {
        return;
    };
    let origin = Origin::ok("hello");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let log = to(&format!("file:{}", file.display()), "tag = \"haproxy\"");
    let text = web(&origin, &log);
    let bind = "{ address = \"127.0.0.1:0\", protocol = \"both\" }";
    let lb = Lb::start(&text.replace("\"127.0.0.1:0\"", bind));
    // Some of them over HTTP/2, where its client is there.
    let over_h2 = real::tool(Part::H2load).map_or(0, |h2load| {
        let url = format!("http://{}/2", lb.addr());
        let said = h2load.run(["-n2000", "-c4", "-m10", &url]).stdout;
        assert!(said.contains("2000 succeeded"), "{said}");
        2000
    });
    let mut client = lb.client();
    for number in 0..9_990 - over_h2 {
        let request = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", number % 7);
        client.send(request).read_response();
    }
    for _ in 0..10 {
        lb.client().send("nonsense\r\n\r\n").read_until_close();
    }
    assert_eq!(lines_of(&file, 10_000).len(), 10_000);
    let text = std::fs::read_to_string(&file).unwrap();
    let of_h2 = text
        .lines()
        .filter(|line| line.ends_with("\"GET /2 HTTP/2.0\""));
    assert_eq!(of_h2.count(), over_h2);
    let run = |arg: &str| {
        let line = format!("{} {arg} < {}", halog.path().display(), file.display());
        let output = std::process::Command::new("sh")
            .args(["-c", &line])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (String::from_utf8(output.stdout).unwrap(), said)
    };
    let (codes, said) = run("-st");
    assert!(
        codes.contains("200 9990") && codes.contains("400 10"),
        "{codes}"
    );
    assert!(
        said.contains(" 0 parsing errors") || !said.contains("error"),
        "{said}"
    );
    let (servers, _) = run("-srv");
    assert!(servers.contains("web/s1"), "{servers}");
    let (ends, _) = run("-tc");
    assert!(ends.contains("-- 9990") && ends.contains("PR 10"), "{ends}");
    let (urls, _) = run("-u");
    let seen = (0..7).filter(|number| urls.contains(&format!("/{number}\n")));
    assert_eq!(seen.count(), 7, "{urls}");
}

#[test]
fn retries_before_an_http2_server_are_told() {
    let Some(h2load) = real::tool(Part::H2load) else {
        return;
    };
    let origin = Origin::ok("hello");
    // An HTTP/2 server: rlb itself.
    let bind = "bind = { address = \"127.0.0.1:0\", protocol = \"both\" }";
    let behind = Lb::start(&format!(
        "[[listen]]\nname = \"behind\"\n{bind}\nserver = \"{}\"\n",
        origin.addr()
    ));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let lb = Lb::start(&format!(
        "[[listen]]\nname = \"web\"\n{bind}\nprotocol = \"h2\"\nserver = [\n\
         {{ name = \"s1\", address = \"{}\" }}, {{ name = \"s2\", address = \"{}\" }}]\n{}",
        free_addr(),
        behind.addr(),
        to(&format!("file:{}", file.display()), "format = \"json\""),
    ));
    let url = format!("http://{}/", lb.addr());
    let said = h2load.run(["-n4", "-c1", "-m1", &url]).stdout;
    assert!(said.contains("4 succeeded"), "{said}");
    let lines = lines_of(&file, 4);
    let all: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        all.iter()
            .all(|line| line["server"] == "s2" && line["version"] == "HTTP/2.0")
    );
    // The other one is asked first each time: nobody checks it.
    let retried = |line: &serde_json::Value| line["retries"] == 1 && line["redispatched"] == true;
    assert!(all.iter().all(retried), "{lines:#?}");
}

#[test]
fn a_drain_that_is_over_is_told_as_a_server_that_went_down() {
    let (origin, syslog, addr) = (Origin::ok("hello"), Syslog::listen(), free_addr());
    let silent = Origin::answering(|_| crate::support::Answer::Silence);
    let tcp = free_addr();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("sock");
    let _rlb = Rlb::with(format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n\
         [[listen]]\nname = \"web\"\nbind = \"{addr}\"\nserver = {{ name = \"s1\", address = \"{}\" }}\n\
         [[listen]]\nname = \"db\"\nmode = \"tcp\"\nbind = \"{tcp}\"\n\
         server = {{ name = \"d1\", address = \"{}\" }}\n{}",
        socket.display(),
        silent.addr(),
        origin.addr(),
        to(&format!("syslog:udp:{}", syslog.addr()), ""),
    ))
    .ready_on(addr)
    .start();
    let mut request = RawClient::connect(addr);
    request.send(GET);
    wait_until(PATIENCE, "the request at its server", || {
        !silent.requests().is_empty()
    });
    assert!(super::ask(&socket, "del server web/s1 drain 50ms").contains("deleted"));
    assert_eq!(request.read_response().0.status(), 503);
    let line = syslog.line();
    assert!(
        line.contains(" web/s1 ") && line.contains(" 503 ") && line.contains(" DH-- "),
        "{line}"
    );
    let mut session = RawClient::connect(tcp);
    session.send(GET).read_response();
    assert!(super::ask(&socket, "del server db/d1 drain 50ms").contains("deleted"));
    session.read_end();
    // One line each for who looked whether it listens.
    let line = syslog.line();
    assert!(line.contains(" db/d1 ") && line.contains(" DD "), "{line}");
}
