//! What a check does to a server, step by step: the test answers each one by hand, and
//! both say the same of it before the next is answered.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::stat;
use crate::support::{
    Answer, DeafOrigin, Haproxy, Origin, PATIENCE, PlayedOrigin, RawClient, Rlb, dawdle, free_addr,
    real, wait_until,
};

/// The servers of one of the two.
struct Servers {
    played: PlayedOrigin,
    /// Nobody listens there, until somebody does.
    gone: SocketAddr,
    mute: Origin,
    oops: Origin,
}

impl Servers {
    fn start() -> Self {
        Self {
            played: PlayedOrigin::listen(),
            gone: free_addr(),
            mute: Origin::answering(|_| Answer::Silence),
            oops: Origin::answering(|_| Answer::Close(OOPS.into())),
        }
    }
}

/// One of the two, running.
struct Side {
    name: &'static str,
    socket: PathBuf,
    servers: Servers,
    /// The check that waits for its answer.
    pending: Option<RawClient>,
    _running: Running,
}

#[expect(dead_code, reason = "held until the end")]
enum Running {
    Haproxy(Haproxy),
    Rlb(Rlb),
}

fn haproxy(deaf: SocketAddr) -> Option<Side> {
    let (servers, www) = (Servers::start(), free_addr());
    let text = format!(
        "global\n  nbthread 1\n  stats socket {{dir}}/sock level admin\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
         frontend www\n  bind {www}\n  default_backend played\n\
         backend played\n  option httpchk GET /check\n  timeout check 60s\n  \
         server s1 {} check inter 50ms rise 3 fall 2\n\
         backend gone\n  server s1 {} check inter 1s fastinter 50ms downinter 50ms rise 2 fall 3\n\
         backend deaf\n  server s1 {deaf} check inter 100ms rise 2 fall 3\n\
         backend mute\n  option httpchk GET /check\n  server s1 {} check inter 100ms rise 2 fall 3\n\
         backend oops\n  option httpchk GET /check\n  server s1 {} check inter 50ms rise 2 fall 3\n\
         backend spare\n  server s1 {} check inter 1s fastinter 50ms downinter 50ms\n  server s2 {www} backup\n",
        servers.played.addr(),
        servers.gone,
        servers.mute.addr(),
        servers.oops.addr(),
        servers.gone,
    );
    let running = real::haproxy_with(&text, www)?;
    Some(Side {
        name: "HAProxy",
        socket: running.dir().join("sock"),
        servers,
        pending: None,
        _running: Running::Haproxy(running),
    })
}

fn rlb(deaf: SocketAddr, dir: &Path) -> Side {
    let (servers, www) = (Servers::start(), free_addr());
    let socket = dir.join("sock");
    let backend = |name: &str, address: SocketAddr, check: &str| {
        format!(
            "[[backend]]\nname = \"{name}\"\ncheck = {{ {check} }}\n\
             server = [{{ name = \"s1\", address = \"{address}\" }}]\n"
        )
    };
    let http = "method = \"GET\", path = \"/check\"";
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n\
         [[frontend]]\nname = \"www\"\nbind = \"{www}\"\ndefault_backend = \"played\"\n{}{}{}{}{}\
         [[backend]]\nname = \"spare\"\ncheck = {{ {CONNECT} }}\nserver = [\n\
         {{ name = \"s1\", address = \"{}\" }},\n\
         {{ name = \"s2\", address = \"{www}\", backup = true, check = false }},\n]\n",
        socket.display(),
        backend(
            "played",
            servers.played.addr(),
            &format!("{http}, interval = \"50ms\", timeout = \"60s\", rise = 3, fall = 2"),
        ),
        backend("gone", servers.gone, CONNECT),
        backend("deaf", deaf, "type = \"tcp\", interval = \"100ms\""),
        backend(
            "mute",
            servers.mute.addr(),
            &format!("{http}, interval = \"100ms\"")
        ),
        backend(
            "oops",
            servers.oops.addr(),
            &format!("{http}, interval = \"50ms\"")
        ),
        servers.gone,
    );
    let running = Rlb::with(text).ready_on(www).start();
    Side {
        name: "rlb",
        socket,
        servers,
        pending: None,
        _running: Running::Rlb(running),
    }
}

/// Often, but with time for a connect: one that fails on a busy machine is counted for good.
const CONNECT: &str =
    r#"type = "tcp", interval = "1s", fast_interval = "50ms", down_interval = "50ms""#;

impl Side {
    /// Waits for the next check of `played`: the one before has had its effect then.
    fn next_check(&mut self) {
        let mut check = self.servers.played.accept();
        assert!(check.read_head().0.starts_with("GET /check HTTP/1."));
        self.pending = Some(check);
    }

    fn answer(&mut self, answer: &str) {
        let mut check = self.pending.take().expect("a check waits");
        check.send(answer);
        drop(check);
        self.next_check();
    }

    fn cell(&self, backend: &str, server: &str, column: &str) -> String {
        let rows = stat(&self.socket);
        let mut rows = rows.iter();
        let row = rows.find(|row| row[0].1 == backend && row[1].1 == server);
        let mut cells = row.expect("a row").iter();
        cells
            .find(|(name, _)| name == column)
            .expect("a column")
            .1
            .clone()
    }

    fn wait(&self, backend: &str, column: &str, value: &str) {
        let what = format!("{}: {column} of {backend} is {value}", self.name);
        let is_it = || self.cell(backend, "s1", column) == value;
        wait_until(PATIENCE, &what, is_it);
    }

    /// The rows of a backend, as far as the two may be compared.
    fn rows(&self, backend: &str) -> Vec<String> {
        let (rests, played) = (RESTING.contains(&backend), backend == "played");
        let mut rows = Vec::new();
        wait_until(PATIENCE, "a rest between two checks", || {
            rows = stat(&self.socket);
            rows.retain(|row| row[0].1 == backend);
            let mut cells = rows.iter().flatten();
            !rests || !cells.any(|(name, value)| name == "check_status" && value.starts_with("* "))
        });
        let cells = |row: &Vec<(String, String)>| {
            let compared = row.iter().filter(|(name, _)| {
                COMPARED.contains(&&**name) || (rests && COMPARED_AT_REST.contains(&&**name))
            });
            compared
                // Whether one runs at this moment is chance, but for those played.
                .map(|(name, value)| match played {
                    true => (name, &**value),
                    false => (name, value.trim_start_matches("* ")),
                })
                .map(|(name, value)| format!("{}/{} {name}={value}", row[0].1, row[1].1))
                .collect::<Vec<_>>()
        };
        rows.iter().flat_map(cells).collect()
    }
}

/// All that a check changes, but for times.
const COMPARED: &[&str] = &[
    "status",
    "weight",
    "act",
    "bck",
    "chkfail",
    "chkdown",
    "throttle",
    "tracked",
    "check_status",
    "check_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "hanafail",
    "agent_status",
    "qcur",
    "srv_abrt",
];

/// The same of a check that has ended. HAProxy forgets these as the next one begins; rlb
/// goes on showing the last one's.
const COMPARED_AT_REST: &[&str] = &["check_code", "last_chk"];

/// Backends whose checks end at once: there is a rest between two.
const RESTING: &[&str] = &["gone", "spare", "oops"];

/// Waits until both say the same of a backend; after a check that was played they do at once.
#[track_caller]
fn same(step: &str, both: &[Side; 2], backend: &str) {
    let mut differs = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let [theirs, ours] = both.each_ref().map(|side| side.rows(backend));
        assert!(!theirs.is_empty() && theirs.len() == ours.len());
        differs.clear();
        differs.extend(theirs.into_iter().zip(ours).filter(|(a, b)| a != b));
        if differs.is_empty() || backend == "played" || Instant::now() > deadline {
            break;
        }
    }
    assert!(differs.is_empty(), "{step}: (HAProxy, rlb) {differs:#?}");
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// With the phrase of RFC 9110: HAProxy repeats what the server says, rlb does not.
const OOPS: &str =
    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn every_step_of_a_check_is_haproxys() {
    let deaf = DeafOrigin::listen();
    let deaf_addr = deaf.addr();
    let Some(haproxy) = haproxy(deaf_addr) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut both = [haproxy, rlb(deaf_addr, dir.path())];
    for side in &mut both {
        side.next_check();
    }
    same("the first check", &both, "played");
    let steps = [
        ("good", OK, "UP"),
        ("good again", OK, "UP"),
        ("one bad", OOPS, "UP 1/2"),
        ("good after it", OK, "UP"),
        ("bad", OOPS, "UP 1/2"),
        ("down", OOPS, "DOWN"),
        (
            "still down",
            "HTTP/1.1 404 None\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "DOWN",
        ),
        ("a good one", OK, "DOWN 1/3"),
        ("a bad one", OOPS, "DOWN"),
        ("1 of 3", OK, "DOWN 1/3"),
        ("2 of 3", OK, "DOWN 2/3"),
        ("up", OK, "UP"),
        ("nonsense", "what?\r\n\r\n", "UP 1/2"),
        ("nothing", "", "DOWN"),
        ("1 of 3 again", OK, "DOWN 1/3"),
        ("2 of 3 again", OK, "DOWN 2/3"),
        ("up again", OK, "UP"),
    ];
    for (step, answer, status) in steps {
        for side in &mut both {
            side.answer(answer);
            assert_eq!(
                side.cell("played", "s1", "status"),
                status,
                "{step}: {}",
                side.name
            );
        }
        same(step, &both, "played");
    }
}

#[test]
fn connects_that_fail_take_servers_out_as_they_do_in_haproxy() {
    let deaf = DeafOrigin::listen();
    let deaf_addr = deaf.addr();
    let before = Instant::now();
    let Some(haproxy) = haproxy(deaf_addr) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let both = [haproxy, rlb(deaf_addr, dir.path())];
    for (backend, code) in [
        ("gone", "L4CON"),
        ("deaf", "L4TOUT"),
        ("mute", "L7TOUT"),
        ("spare", "L4CON"),
        ("oops", "L7STS"),
    ] {
        for side in &both {
            side.wait(backend, "status", "DOWN");
            // On a busy machine a check may fail sooner than it is meant to; the next one
            // then says what it is about.
            let what = format!("{}: {backend} fails by {code}", side.name);
            wait_until(PATIENCE, &what, || {
                side.cell(backend, "s1", "check_status").ends_with(code)
            });
        }
        same("down", &both, backend);
    }
    let down = Instant::now();
    dawdle(Duration::from_millis(1100));
    for side in &both {
        for server in ["s1", "BACKEND"] {
            let seconds = |column| -> u64 {
                let cell = side.cell("gone", server, column);
                cell.parse()
                    .unwrap_or_else(|_| panic!("{}: {column} {cell:?}", side.name))
            };
            for column in ["lastchg", "downtime"] {
                let (least, most) = (down.elapsed().as_secs(), before.elapsed().as_secs() + 1);
                let took = seconds(column);
                assert!(
                    (least..=most).contains(&took),
                    "{}: {server} {column} {took}",
                    side.name
                );
            }
        }
    }
    let mut listening = Vec::new();
    for side in &both {
        listening.push(Origin::raw_at(side.servers.gone, |_, _| {}));
        for backend in ["gone", "spare"] {
            side.wait(backend, "status", "UP");
        }
    }
    for backend in ["gone", "spare"] {
        same("up again", &both, backend);
    }
}
