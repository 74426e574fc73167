//! Servers from Consul: the same tests against the fake and the real one, and what only
//! one of them has.

mod faults;
mod only_real;
mod shares;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::shares::shares_that_are_half_written_stop_no_traffic;
use crate::support::authority::Authority;
use crate::support::consul::{Consul, Fake, Fault};
use crate::support::{Lb, Origin, PATIENCE, RawClient, Rlb, dawdle, free_addr, real, wait_until};

/// Each of these runs twice.
macro_rules! against_both {
    ($($name:ident),* $(,)?) => {
        mod fake {
            use super::*;
            $(#[test] fn $name() { super::$name(Consul::Fake(Fake::start())); })*
        }
        mod real_consul {
            use super::*;
            $(#[test] fn $name() {
                let Some(consul) = real::consul() else { return };
                super::$name(Consul::Real(consul));
            })*
        }
    };
}

against_both!(
    instances_come_and_go,
    checks_of_consul_and_our_own_must_both_be_content,
    tags_choose_and_ports_tell_apart,
    an_agent_that_starts_anew_is_followed,
    what_happens_to_instances_fails_no_request,
    the_last_good_set_outlives_consul_and_rlb,
    registration_to_first_request_is_quick,
    a_thousand_instances_cost_little,
    a_tagged_service_makes_its_site,
    rlb_registers_itself_while_it_is_ready,
    shares_that_are_half_written_stop_no_traffic,
);

/// Every backend key but those of the source is left at its default.
fn file(consul: SocketAddr, more: &str) -> String {
    format!(
        "[discovery.consul]\naddress = \"http://{consul}\"\nwait = \"10s\"\n\
         [[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\n{more}\n"
    )
}

const WEB: &str = "source = [{ consul = \"web\" }]";

fn lb(consul: &Consul) -> Lb {
    Lb::start(&file(consul.addr(), WEB))
}

/// The body of one answer, on a connection of its own; a 503 is "503".
fn ask(addr: SocketAddr) -> String {
    let mut client = RawClient::connect(addr);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let (head, body) = client.read_response();
    match head.status() {
        200 => String::from_utf8(body).unwrap(),
        status => status.to_string(),
    }
}

/// Who answers, of so many requests.
fn answers(addr: SocketAddr, requests: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..requests {
        *answers.entry(ask(addr)).or_default() += 1;
    }
    answers
}

/// All who answer.
fn who(addr: SocketAddr) -> Vec<String> {
    answers(addr, 20).into_keys().collect()
}

/// Waits until exactly these answer, in equal shares.
#[track_caller]
fn until_served_by(addr: SocketAddr, names: &[&str]) {
    let expected: BTreeMap<_, _> = names.iter().map(|name| ((*name).to_owned(), 2)).collect();
    let what = format!("{names:?} answer");
    wait_until(PATIENCE, &what, || {
        answers(addr, 2 * names.len()) == expected
    });
}

/// Waits until these answer, others than we asking at the same time.
#[track_caller]
fn until_shared_with_others(addr: SocketAddr, names: &[&str]) {
    wait_until(PATIENCE, &format!("{names:?} answer"), || {
        who(addr) == names
    });
}

/// A TTL check that passes at first.
fn passing() -> Value {
    json!({ "Check": { "TTL": "1h", "Status": "passing" } })
}

fn instances_come_and_go(consul: Consul) {
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let lb = lb(&consul);
    assert_eq!(ask(lb.addr()), "503");
    consul.register("web-a", a.addr());
    until_served_by(lb.addr(), &["a"]);
    consul.register("web-b", b.addr());
    until_served_by(lb.addr(), &["a", "b"]);
    consul.deregister("web-a");
    until_served_by(lb.addr(), &["b"]);
}

fn checks_of_consul_and_our_own_must_both_be_content(consul: Consul) {
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let lb = lb(&consul);
    consul.register_with("web-a", a.addr(), &passing());
    consul.register("web-b", b.addr());
    until_served_by(lb.addr(), &["a", "b"]);
    consul.check("web-a", "fail");
    until_served_by(lb.addr(), &["b"]);
    // A warning serves.
    consul.check("web-a", "warn");
    until_served_by(lb.addr(), &["a", "b"]);
    consul.maintenance("web-b", true);
    until_served_by(lb.addr(), &["a"]);
    consul.maintenance("web-b", false);
    until_served_by(lb.addr(), &["a", "b"]);
    // Consul has no check of it and calls it good: nobody listens there.
    consul.register("web-c", free_addr());
    consul.deregister("web-a");
    until_served_by(lb.addr(), &["b"]);
    assert_eq!(who(lb.addr()), ["b"], "it never serves");
    assert!(lb.server("web", "web-c").status.starts_with("DOWN"));
}

/// As Registrator writes them: one host address, published ports, tags.
fn tags_choose_and_ports_tell_apart(consul: Consul) {
    let (a, b, c) = (Origin::ok("a"), Origin::ok("b"), Origin::ok("c"));
    let text = "source = [{ consul = \"web\", tags = [\"production\"] }]";
    let lb = Lb::start(&file(consul.addr(), text));
    let tagged = |tags: &[&str]| json!({ "Tags": tags });
    consul.register_with("host:web_1:80", a.addr(), &tagged(&["production", "v1"]));
    consul.register_with("host:web_2:80", b.addr(), &tagged(&["production"]));
    consul.register_with("host:web_3:80", c.addr(), &tagged(&["staging"]));
    until_served_by(lb.addr(), &["a", "b"]);
    assert!(lb.server("web", "host:web_1:80").status.starts_with("UP"));
    consul.register_with("host:web_3:80", c.addr(), &tagged(&["production"]));
    until_served_by(lb.addr(), &["a", "b", "c"]);
}

fn an_agent_that_starts_anew_is_followed(mut consul: Consul) {
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let lb = lb(&consul);
    consul.register("web-a", a.addr());
    for _ in 0..10 {
        consul.put("/v1/agent/service/register", "{\"Name\":\"other\"}");
        consul.put("/v1/agent/service/deregister/other", "");
    }
    until_served_by(lb.addr(), &["a"]);
    consul.restart();
    consul.register("web-b", b.addr());
    // Its index is low again, the old instance gone.
    until_served_by(lb.addr(), &["b"]);
    consul.register("web-a", a.addr());
    until_served_by(lb.addr(), &["a", "b"]);
}

/// All that Consul may say of instances that still answer, under load.
fn what_happens_to_instances_fails_no_request(mut consul: Consul) {
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let lb = lb(&consul);
    consul.register("web-a", a.addr());
    until_served_by(lb.addr(), &["a"]);
    let until = |names: &[&str]| until_shared_with_others(lb.addr(), names);
    served_throughout(&[lb.addr(), lb.addr()], || {
        for _ in 0..3 {
            consul.register_with("web-b", b.addr(), &passing());
            until(&["a", "b"]);
            consul.check("web-b", "fail");
            until(&["a"]);
            consul.check("web-b", "pass");
            until(&["a", "b"]);
            consul.maintenance("web-a", true);
            until(&["b"]);
            consul.maintenance("web-a", false);
            until(&["a", "b"]);
            consul.deregister("web-b");
            until(&["a"]);
        }
        // It knows nobody at first, which is not believed at once.
        consul.restart();
        consul.register("web-b", b.addr());
        until(&["b"]);
    });
}

fn the_last_good_set_outlives_consul_and_rlb(mut consul: Consul) {
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let dead = free_addr();
    let bind = free_addr();
    let state = tempfile::tempdir().unwrap();
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"{0}/admin.sock\"\nstate_dir = \"{0}\"\n{1}",
        state.path().display(),
        file(consul.addr(), WEB).replace("127.0.0.1:0", &bind.to_string())
    );
    let rlb = Rlb::with(&*text).ready_on(bind).start();
    consul.register("web-a", a.addr());
    consul.register("web-b", b.addr());
    consul.register("web-dead", dead);
    until_served_by(bind, &["a", "b"]);
    let saved = state.path().join("state.json");
    wait_until(PATIENCE, "the set is on disk", || {
        std::fs::read_to_string(&saved).is_ok_and(|text| text.contains("web-dead"))
    });
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&saved).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    consul.stop();
    // Nothing happens to traffic while Consul is gone.
    wait_until(PATIENCE, "the loss is told", || {
        rlb.stderr().contains("is lost")
    });
    assert_eq!(who(bind), ["a", "b"]);
    drop(rlb);
    let rlb = Rlb::with(&*text).ready_on(bind).start();
    until_served_by(bind, &["a", "b"]);
    let log = rlb.stderr();
    assert!(log.contains("starts with the last good set"), "{log}");
    // Its own check takes out what is not there.
    assert_eq!(who(bind), ["a", "b"]);
    let sources = admin(state.path(), "show sources");
    assert!(sources.contains("consul:web: LOST, heard"), "{sources}");
    assert!(sources.contains("3 members"), "{sources}");
    let json = admin(state.path(), "show sources json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["snapshot_in_use"], true, "{json}");
}

/// The answer of the admin socket in this directory.
fn admin(directory: &std::path::Path, command: &str) -> String {
    use std::io::{Read, Write};
    let socket = directory.join("admin.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stream.write_all(format!("{command}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// From the moment an instance is registered until a request reaches it.
fn registration_to_first_request_is_quick(consul: Consul) {
    let name = match consul {
        Consul::Fake(_) => "fake",
        Consul::Real(_) => "real",
    };
    let lb = lb(&consul);
    let mut times = Vec::new();
    for _ in 0..20 {
        let origin = Origin::ok("new");
        // What follows a change within 100 ms is joined with others.
        dawdle(Duration::from_millis(150));
        let begin = Instant::now();
        consul.register("web-new", origin.addr());
        // A backend without servers answers 503 at once.
        while ask(lb.addr()) != "new" {
            assert!(begin.elapsed() < PATIENCE);
        }
        times.push(begin.elapsed());
        consul.deregister("web-new");
        consul.register("web-stays", free_addr());
        wait_until(PATIENCE, "it is gone", || ask(lb.addr()) == "503");
    }
    times.sort();
    let (p50, worst) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!("registration to first request, {name} Consul: p50 {p50:?}, worst {worst:?}");
}

fn a_thousand_instances_cost_little(consul: Consul) {
    let (bind, origin) = (free_addr(), Origin::ok("a"));
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"\"\n{}check = false\n",
        file(consul.addr(), WEB).replace("127.0.0.1:0", &bind.to_string())
    );
    for index in 0..1000 {
        // All of them one origin: what is measured is ours, not theirs.
        consul.register(&format!("web-{index:04}"), origin.addr());
    }
    let rlb = Rlb::with(&*text).ready_on(bind).start();
    wait_until(PATIENCE, "it serves", || ask(bind) == "a");
    let begin = (Instant::now(), rlb.cpu_time());
    dawdle(Duration::from_secs(2));
    let share = (rlb.cpu_time() - begin.1).as_secs_f64() / begin.0.elapsed().as_secs_f64();
    eprintln!(
        "1,000 instances at rest: {:.2} % of a core, the whole process",
        share * 100.0
    );
    let before = rlb.cpu_time();
    let mut seen: Vec<_> = (0..10)
        .map(|index| {
            // What follows a change within 100 ms is joined with others.
            dawdle(Duration::from_millis(150));
            let begin = Instant::now();
            consul.deregister(&format!("web-{index:04}"));
            let out = format!("name=\"web-{index:04}\"");
            let is_out = |line: &str| line.contains("member out") && line.contains(&out);
            while !rlb.stderr().lines().any(is_out) {
                assert!(begin.elapsed() < PATIENCE);
            }
            begin.elapsed()
        })
        .collect();
    seen.sort();
    let cpu = (rlb.cpu_time() - before) / 10;
    eprintln!(
        "1,000 instances, one change: p50 {:?}, {cpu:?} of CPU",
        seen[5]
    );
}

fn a_tagged_service_makes_its_site(consul: Consul) {
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    for index in 0..200 {
        let service = json!({ "ID": format!("x{index}"), "Name": format!("untagged-{index}") });
        consul.put("/v1/agent/service/register", &service.to_string());
    }
    let text = "mode = \"http\"\ndiscovered_routes = true".to_owned();
    let text = file(consul.addr(), &text).replace("wait = ", "expose = \"tagged\"\nwait = ");
    let lb = Lb::start(&text);
    let demo = |host: &str| {
        let mut client = RawClient::connect(lb.addr());
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
        let (head, body) = client.read_response();
        (head.status(), String::from_utf8(body).unwrap())
    };
    assert_eq!(demo("demo.example.com").0, 503);
    let requests = match &consul {
        Consul::Fake(fake) => fake.requests(),
        Consul::Real(_) => 0,
    };
    assert!(
        requests < 10,
        "{requests}: a service without our tags costs no watch"
    );
    let tags = |host: &str| json!({ "Tags": [format!("rlb.host={host}")] });
    let begin = Instant::now();
    consul.register_with("web-a", a.addr(), &tags("demo.example.com"));
    wait_until(PATIENCE, "the site answers", || {
        demo("demo.example.com") == (200, "a".to_owned())
    });
    eprintln!("a new site after {:?}", begin.elapsed());
    // Another one of the same service, with another host.
    consul.register_with("web-b", b.addr(), &tags("other.example.com"));
    wait_until(PATIENCE, "the other site answers", || {
        demo("other.example.com") == (200, "b".to_owned())
    });
    consul.deregister("web-a");
    wait_until(PATIENCE, "the first one is gone", || {
        demo("demo.example.com").0 == 503
    });
    assert_eq!(demo("other.example.com").0, 200);
}

/// Requests one after the other while `work` is done: each is answered by a server.
#[track_caller]
fn served_throughout(addrs: &[SocketAddr], work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = addrs.iter().map(|addr| {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    assert_ne!(ask(*addr), "503");
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        // A panic of it must not leave them asking for ever.
        let worked = catch_unwind(AssertUnwindSafe(work));
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("every request is served");
        }
        worked.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

/// In Consul: critical before a server is up, passing then, critical when none is left,
/// gone before the listeners close.
fn rlb_registers_itself_while_it_is_ready(consul: Consul) {
    let origin = Origin::ok("a");
    let bind = free_addr();
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"\"\ndrain_delay = \"2s\"\n{}\
         [[register]]\nconsul = \"lb\"\naddress = \"{bind}\"\nfrontend = \"web\"\nttl = \"5s\"\n",
        file(consul.addr(), WEB).replace("127.0.0.1:0", &bind.to_string())
    );
    let mut rlb = Rlb::with(&*text).ready_on(bind).start();
    let status = || consul.instances("lb").into_iter().map(|(_, status)| status);
    let is = |wanted: &str| status().eq([wanted.to_owned()]);
    wait_until(PATIENCE, "it is registered", || is("critical"));
    consul.register("web-a", origin.addr());
    wait_until(PATIENCE, "it is passing", || is("passing"));
    // Beats come in time.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        assert!(is("passing"), "{:?}", status().collect::<Vec<_>>());
    }
    consul.maintenance("web-a", true);
    wait_until(PATIENCE, "it is critical", || is("critical"));
    consul.maintenance("web-a", false);
    wait_until(PATIENCE, "it is passing again", || is("passing"));
    rlb.signal(rustix::process::Signal::TERM);
    wait_until(PATIENCE, "it is gone", || status().next().is_none());
    assert_eq!(ask(bind), "a", "who knows its address is still served");
    assert!(rlb.wait_exit().success());
}
