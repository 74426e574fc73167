//! A new process takes the place of a running one; nobody notices.

mod load;
mod place;
mod versions;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use load::{Load, once};
use place::Place;
use rustix::process::Signal;
use versions::Relay;

use crate::support::authority::{self, Authority, ask as ask_over_tls, tls_client};
use crate::support::{PATIENCE, Process, RawClient, answers, free_addr, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const GET_CLOSE: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
/// What a process that is silent is given.
const SILENCE: Duration = Duration::from_secs(10);
/// New connections in a second, all the while.
const RATE: u64 = 2_000;

/// A new process that is up to no good: it asks for a takeover and reads the first line.
fn impostor(place: &Place, version: u32) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(place.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(stream, "takeover {version}").unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    // Read, not recvmsg: the kernel closes the descriptors that come with it.
    while stream.read_exact(&mut byte).is_ok() && byte != *b"\n" {
        line.extend_from_slice(&byte);
    }
    (stream, String::from_utf8(line).unwrap())
}

#[track_caller]
fn assert_refused(mut successor: Process, words: &str) {
    let status: ExitStatus = successor.wait_exit();
    let said = successor.stderr();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn twenty_takeovers_five_of_them_failing_lose_no_connection() {
    let place = Place::new();
    let mut running = place.first();
    let load = Load::start(place.addr, 4);
    load.wait_more(100);
    let mut done = 0;
    let good = |running: &mut Process, workers| {
        place.write(workers, "");
        // One of them reads a newer hand-over, too.
        let newer = (workers == 1).then(|| Relay::start(&place, 2));
        let mut successor = match &newer {
            Some(relay) => place.successor_through(relay.path()),
            None => place.successor(),
        };
        place.wait_succeeded(&mut successor);
        load.wait_more(100);
        let mut old = std::mem::replace(running, successor);
        assert!(old.wait_exit().success(), "{}", old.stderr());
    };
    for round in 0..15 {
        // As many workers as before, more, fewer: sockets are shared, or doubled up.
        good(&mut running, [2, 3, 1][round % 3]);
        done += 1;
        match round {
            2 => {
                place.write_text("this is no configuration");
                assert_refused(place.successor(), "this is no configuration");
            }
            5 => {
                // A bind that somebody else has: the file is good, the start fails.
                let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let taken = taken.local_addr().map(|addr| (addr, taken)).unwrap();
                place.write(
                    2,
                    &format!(
                        "[[listen]]\nname = \"two\"\nbind = \"{}\"\nserver = \"{}\"\n",
                        taken.0,
                        place.origin.addr()
                    ),
                );
                assert_refused(place.successor(), "in use by another process");
            }
            8 => {
                // It crashes with the sockets in its hands.
                let (stream, line) = impostor(&place, 1);
                assert!(line.starts_with(r#"{"handover":1,"#), "{line}");
                drop(stream);
            }
            11 => {
                // It crashes after it was ready and was told to go.
                let (mut stream, _) = impostor(&place, 1);
                stream.write_all(b"ready\n").unwrap();
                let mut told = [0; 64];
                wait_until(PATIENCE, "it is told to go", || {
                    let length = stream.read(&mut told).unwrap();
                    told[..length].ends_with(b"go\n")
                });
                drop(stream);
                wait_until(PATIENCE, "the admin socket is there", || {
                    UnixStream::connect(place.socket()).is_ok()
                });
            }
            13 => {
                let (_, line) = impostor(&place, 0);
                assert!(
                    line.contains("refused") && line.contains("version 1"),
                    "{line}"
                );
            }
            _ => continue,
        }
        load.wait_more(100);
        assert_eq!(
            place.pid(),
            running.pid().as_raw_nonzero().get(),
            "it goes on"
        );
    }
    let (failed, served, rate) = load.end();
    eprintln!("{done} takeovers and 5 failed ones under {served} connections, {rate}/s");
    // A debug build is no measure.
    assert!(
        cfg!(debug_assertions) || rate >= RATE,
        "{rate} connections/s"
    );
    assert!(
        failed.is_empty(),
        "{} of {served}: {:?}",
        failed.len(),
        &failed[..failed.len().min(5)]
    );
}

#[test]
fn a_silent_successor_is_given_up_and_changes_wait() {
    let place = Place::new();
    let running = place.first();
    let load = Load::start(place.addr, 1);
    let asked = Instant::now();
    let (mut stream, _) = impostor(&place, 1);
    let mut rest = Vec::new();
    stream.set_read_timeout(Some(SILENCE * 2)).unwrap();
    stream.read_to_end(&mut rest).unwrap();
    assert!(asked.elapsed() >= SILENCE, "{:?}", asked.elapsed());
    let told = String::from_utf8_lossy(&rest).into_owned();
    assert!(told.contains("silent for 10 s"), "{told}");
    assert_eq!(place.ask("set server web/s1 weight 1").trim(), "");
    assert_eq!(place.pid(), running.pid().as_raw_nonzero().get());
    assert!(load.end().0.is_empty());
}

#[test]
fn a_successor_does_not_wait_for_ever() {
    let place = Place::new();
    let _silent = UnixListener::bind(place.socket()).unwrap();
    let mut successor = place.successor();
    wait_until(SILENCE * 2, "it gives up", || {
        successor.stderr().contains("did not answer within 10 s")
    });
    assert_eq!(successor.wait_exit().code(), Some(1));
    assert!(!answers(place.addr));
}

#[test]
fn kept_clients_finish_on_the_old_process_and_knowledge_moves_on() {
    let place = Place::new();
    let down = free_addr();
    let more = format!(
        "[[listen]]\nname = \"leaving\"\nbind = \"{}\"\nserver = \"{}\"\n\
         [[backend]]\nname = \"sick\"\nserver = {{ name = \"d1\", address = \"{down}\" }}\n\
         check = {{ interval = \"200ms\", down_interval = \"1h\" }}\n",
        place.other,
        place.origin.addr()
    );
    place.write(2, &more);
    let mut old = place.first();
    let mut kept = RawClient::connect(place.addr);
    assert_eq!(kept.send(GET).read_response().1, b"hello");
    assert_eq!(place.ask("set server web/s1 weight 5").trim(), "");
    assert_eq!(place.ask("set server web/s2 state drain").trim(), "");
    wait_until(PATIENCE, "the check has failed", || {
        place
            .ask("show stat")
            .lines()
            .any(|l| l.starts_with("sick,d1,") && l.contains("DOWN"))
    });
    let mut conversation = UnixStream::connect(place.socket()).unwrap();
    writeln!(conversation, "prompt").unwrap();

    // The same file without one frontend; with the sick backend, whose check comes late.
    let more = more
        .split_once("[[backend]]")
        .map(|(_, rest)| format!("[[backend]]{rest}"))
        .unwrap();
    place.write(2, &more.replace("200ms", "1h"));
    let mut new = place.successor();
    place.wait_succeeded(&mut new);
    wait_until(PATIENCE, "nobody holds the bind that left", || {
        !answers(place.other)
    });

    // The old one answers what it had accepted, and says that it will close.
    let (head, body) = kept.send(GET).read_response();
    assert_eq!(body, b"hello", "{}", head.0);
    assert_eq!(head.field("connection"), Some("close"), "{}", head.0);
    assert!(kept.read_until_close().is_empty());
    assert!(old.wait_exit().success(), "{}", old.stderr());

    assert!(place.socket().exists(), "the successor's socket stays");
    let overrides = place.ask("show servers state");
    let line = |name: &str| {
        let line = overrides
            .lines()
            .find(|line| line.split(' ').nth(3) == Some(name));
        line.unwrap_or_else(|| panic!("{overrides}"))
            .split(' ')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // srv_op_state, srv_admin_state, srv_uweight
    assert_eq!(line("s1")[7], "5", "weight: {overrides}");
    assert_ne!(line("s2")[6], "0", "drain: {overrides}");
    assert_eq!(
        line("d1")[5],
        "0",
        "down without a check of its own: {overrides}"
    );
    new.signal(Signal::TERM);
    assert!(new.wait_exit().success(), "{}", new.stderr());
    assert!(!place.socket().exists(), "and leaves with it");
}

#[test]
fn a_unix_bind_is_handed_over_too() {
    let place = Place::new();
    let path = place.dir.path().join("web.sock");
    let text = std::fs::read_to_string(place.file()).unwrap();
    let text = text.replace(
        &format!("bind = \"{}\"", place.addr),
        &format!("bind = [\"{}\", \"unix:{}\"]", place.addr, path.display()),
    );
    place.write_text(&text);
    let get = || {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(GET_CLOSE.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
    };
    let mut old = place.first();
    get();
    let mut new = place.successor();
    place.wait_succeeded(&mut new);
    assert!(old.wait_exit().success(), "{}", old.stderr());
    get();
}

/// A cell of `show stat`, by the names of its row and column.
fn cell(stat: &str, row: &str, column: &str) -> u64 {
    let names = stat.lines().next().unwrap().trim_start_matches("# ");
    let index = names.split(',').position(|name| name == column).unwrap();
    let line = stat.lines().find(|line| line.starts_with(row));
    let line = line.unwrap_or_else(|| panic!("{row}: {stat}"));
    line.split(',').nth(index).unwrap().parse().unwrap()
}

#[test]
fn counters_go_on_where_those_of_the_predecessor_stood() {
    let place = Place::new();
    let mut old = place.first();
    for _ in 0..6 {
        once(place.addr).unwrap();
    }
    assert_eq!(place.ask("clear counters all").trim(), "");
    for _ in 0..10 {
        once(place.addr).unwrap();
    }
    let shown =
        |stat: &str, row: &str| ["stot", "hrsp_2xx", "bout"].map(|column| cell(stat, row, column));
    let rows = ["web,FRONTEND,", "web,s1,", "web,s2,", "web,BACKEND,"];
    let before = place.ask("show stat");
    let expected = rows.map(|row| shown(&before, row));
    assert_eq!(expected.map(|row| row[1]), [10, 5, 5, 10], "{before}");

    // One server leaves with the old process: its share stays with the backend.
    let text = std::fs::read_to_string(place.file()).unwrap();
    let (kept, rest) = text.split_once("{ name = \"s2\"").unwrap();
    let rest = rest.split_once('}').unwrap().1;
    place.write_text(&format!("{kept}{rest}"));
    let mut new = place.successor();
    place.wait_succeeded(&mut new);
    assert!(old.wait_exit().success(), "{}", old.stderr());
    let after = place.ask("show stat");
    assert_eq!(shown(&after, rows[0]), expected[0], "{after}");
    assert_eq!(shown(&after, rows[1]), expected[1], "{after}");
    assert_eq!(shown(&after, rows[3]), expected[3], "{after}");
    assert_eq!(
        cell(&after, rows[0], "rate_max"),
        0,
        "it is no work of this second"
    );
    once(place.addr).unwrap();
    assert_eq!(cell(&place.ask("show stat"), rows[3], "hrsp_2xx"), 11);
}

#[test]
fn tls_sessions_are_resumed_with_the_successor() {
    let ca = Authority::new("ca");
    let file = ca.write("a.pem", &["a.test"]);
    let place = Place::new();
    let tls = format!(
        "[[listen]]\nname = \"secure\"\nbind = {{ address = \"{}\", tls = true }}\n\
         tls = {{ certificates = [{file:?}] }}\nserver = \"{}\"\n",
        place.other,
        place.origin.addr()
    );
    place.write(2, &tls);
    let mut old = place.first();
    let client = Arc::new(ca.configure(&[&rustls::version::TLS13], None));
    let handshake = || {
        let mut client = tls_client(place.other, "a.test", Arc::clone(&client));
        ask_over_tls(&mut client, authority::GET).unwrap();
        client.conn.handshake_kind()
    };
    assert_eq!(handshake(), Some(rustls::HandshakeKind::Full));
    assert_eq!(handshake(), Some(rustls::HandshakeKind::Resumed));
    let mut new = place.successor();
    place.wait_succeeded(&mut new);
    assert!(old.wait_exit().success(), "{}", old.stderr());
    assert_eq!(handshake(), Some(rustls::HandshakeKind::Resumed));
}
