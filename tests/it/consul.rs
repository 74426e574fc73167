//! Servers from Consul: the same tests against the fake and the real one, and what only
//! a fake can be made to do.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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

/// Shares of versions are written key by key, cut off, deleted and written again.
fn shares_that_are_half_written_stop_no_traffic(consul: Consul) {
    let (old, new) = (Origin::ok("old"), Origin::ok("new"));
    let listen = |name: &str, weights: &str| {
        format!(
            "[[listen]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nserver = [\
             {{ name = \"old\", address = \"{}\", group = \"v0\" }},\
             {{ name = \"new\", address = \"{}\", group = \"v1\" }}]\n\
             [listen.groups]\nby = \"tag:version\"\nweights.{weights}\n",
            old.addr(),
            new.addr()
        )
    };
    let key = |version: &str| format!("/v1/kv/goat/version={version}/weight");
    let put = |path: &str, value: &str| consul.put(path, value);
    let delete = |path: &str| assert_eq!(consul.ask("DELETE", path, "").0, 200);
    put(&key("v0"), "80");
    put(&key("v1"), "20");
    const JSON: &str = "/v1/kv/goat-shares";
    put(JSON, r#"{"v0": 80, "v1": 20}"#);
    // Whoever writes slowly is waited for this long.
    let lb = Lb::start_whole(&format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[discovery]\ncoalesce = \"500ms\"\n\
         max_delay = \"5s\"\n[discovery.consul]\naddress = \"http://{}\"\nwait = \"10s\"\n{}{}",
        consul.addr(),
        listen("keys", "consul_kv = \"goat/version={group}/weight\""),
        listen("json", "consul_kv_json = \"goat-shares\""),
    ));
    let (keys, json) = (lb.addr_of("keys"), lb.addr_of("json"));
    until_shared(keys, 8, 2);
    until_shared(json, 8, 2);
    served_throughout(&[keys, json], || {
        put(&key("v0"), "100");
        put(&key("v1"), "0");
        put(JSON, r#"{"v0": 100, "v1": 0}"#);
        until_shared_with_others(keys, &["old"]);
        until_shared_with_others(json, &["old"]);
        // In the order that leaves nobody in between.
        put(&key("v0"), "0");
        put(&key("v1"), "100");
        put(JSON, r#"{"v0": 0, "v"#);
        until_shared_with_others(keys, &["new"]);
        put(JSON, r#"{"v0": 0, "v1": 100}"#);
        until_shared_with_others(json, &["new"]);
        // As who empties a folder before it fills it.
        for path in [&*key("v0"), &key("v1"), JSON] {
            delete(path);
        }
        put(&key("v1"), "3");
        put(&key("v0"), "7");
        put(
            JSON,
            r#"{"version=v1": {"weight": 30}, "version=v0": {"weight": 70}}"#,
        );
        until_shared_with_others(keys, &["new", "old"]);
        until_shared_with_others(json, &["new", "old"]);
    });
    until_shared(keys, 7, 3);
    until_shared(json, 7, 3);
    // No number: what was good stays.
    served_throughout(&[keys, json], || {
        put(&key("v0"), "half");
        put(JSON, "");
        dawdle(Duration::from_secs(1));
    });
    until_shared(keys, 7, 3);
    until_shared(json, 7, 3);
    put(&key("v0"), "1");
    put(&key("v1"), "9");
    put(JSON, r#"{"v0": 1, "v1": 9}"#);
    until_shared(keys, 1, 9);
    until_shared(json, 1, 9);
}

/// Waits until of ten requests so many go here and there.
#[track_caller]
fn until_shared(addr: SocketAddr, old: usize, new: usize) {
    let expected = [("new", new), ("old", old)].map(|(name, n)| (name.to_owned(), n));
    let expected = BTreeMap::from(expected);
    wait_until(PATIENCE, &format!("shares {old} to {new}"), || {
        answers(addr, 10) == expected
    });
}

/// Waits until these answer, others than we asking at the same time.
#[track_caller]
fn until_shared_with_others(addr: SocketAddr, names: &[&str]) {
    wait_until(PATIENCE, &format!("{names:?} answer"), || {
        who(addr) == names
    });
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
         [[register]]\nconsul = \"lb\"\naddress = \"{bind}\"\nfrontend = \"web\"\nttl = \"2s\"\n",
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
    while begin.elapsed() < Duration::from_secs(3) {
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

/// Nothing of a fault's answer is taken for news.
#[test]
fn errors_of_every_kind_leave_the_set_as_it_is() {
    let fake = Fake::start();
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let often = "[discovery.backoff]\nmax = \"250ms\"\n[discovery.consul]";
    let lb = Lb::start(&file(fake.addr(), WEB).replace("[discovery.consul]", often));
    let consul = Consul::Fake(fake);
    let Consul::Fake(fake) = &consul else {
        unreachable!("made above")
    };
    consul.register("web-a", a.addr());
    consul.register("web-b", b.addr());
    until_served_by(lb.addr(), &["a", "b"]);
    for fault in [
        Fault::NoLeader,
        Fault::Denied,
        Fault::Reset,
        Fault::Garbled,
        Fault::Blind,
        Fault::NoIndex,
        Fault::Silent,
    ] {
        let (before, begin) = (fake.requests(), Instant::now());
        fake.fail(Some(fault));
        // Wakes whoever waits.
        consul.register("web-x", free_addr());
        consul.deregister("web-x");
        if fault != Fault::Silent {
            let tried = || fake.requests() > before + 1;
            wait_until(PATIENCE, &format!("{fault:?} is seen"), tried);
        }
        assert_eq!(who(lb.addr()), ["a", "b"], "{fault:?}");
        // Consul's errors carry an index of 1: who stores it spins.
        let spun = (fake.requests() - before) as f64 / begin.elapsed().as_secs_f64();
        assert!(spun < 100.0, "{fault:?}: {spun} requests a second");
        fake.fail(None);
    }
    let c = Origin::ok("c");
    consul.register("web-c", c.addr());
    until_served_by(lb.addr(), &["a", "b", "c"]);
}

#[test]
fn a_token_is_read_again_when_it_is_refused() {
    let fake = Fake::start();
    fake.demand("new");
    let origin = Origin::ok("a");
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "old\n").unwrap();
    let keys = format!("token_file = \"{}\"\n[[listen]]", token.display());
    let lb = Lb::start(&file(fake.addr(), WEB).replace("[[listen]]", &keys));
    let consul = Consul::Fake(fake);
    consul.register("web-a", origin.addr());
    let Consul::Fake(fake) = &consul else {
        unreachable!("made above")
    };
    wait_until(PATIENCE, "it is refused", || fake.requests() > 1);
    assert_eq!(ask(lb.addr()), "503");
    std::fs::write(&token, "new\n").unwrap();
    until_served_by(lb.addr(), &["a"]);
}

/// The real one's ACLs: a token that is deleted while it is in use. Its queries are
/// refused from then on, never answered with an empty list.
#[test]
fn a_token_that_is_deleted_takes_no_server_away() {
    let acl = format!(
        r#"{{"primary_datacenter":"dc1","acl":{{"enabled":true,"default_policy":"deny","tokens":{{"master":"{MASTER}","agent":"{MASTER}"}}}}}}"#
    );
    let Some(consul) = real::consul_with(&acl) else {
        return;
    };
    let addr = consul.addr();
    let put = |path: &str, body: &str| as_master(addr, "PUT", path, body);
    // Elected, a leader still speaks the ACLs of old until it has made the first token:
    // everything about the new ones is refused with 500.
    wait_until(3 * PATIENCE, "the first token is known", || {
        let path = format!("/v1/acl/policies?token={MASTER}");
        crate::support::consul::ask(addr, "GET", &path, "").is_ok_and(|(status, _)| status == 200)
    });
    let rules = r#"service_prefix \"\" {policy=\"read\"} node_prefix \"\" {policy=\"read\"}"#;
    put(
        "/v1/acl/policy",
        &format!("{{\"Name\":\"rlb\",\"Rules\":\"{rules}\"}}"),
    );
    let new_token = || {
        let token = put("/v1/acl/token", r#"{"Policies":[{"Name":"rlb"}]}"#);
        let token: Value = serde_json::from_str(&token).unwrap();
        ["SecretID", "AccessorID"].map(|key| token[key].as_str().unwrap().to_owned())
    };
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let register = |id: &str, origin: &Origin| {
        let (ip, port) = (origin.addr().ip().to_string(), origin.addr().port());
        let service = json!({ "ID": id, "Name": "web", "Address": ip, "Port": port });
        put("/v1/agent/service/register", &service.to_string());
    };
    register("web-a", &a);
    let [secret, accessor] = new_token();
    let dir = tempfile::tempdir().unwrap();
    let file_of_token = dir.path().join("token");
    std::fs::write(&file_of_token, secret).unwrap();
    let bind = free_addr();
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[discovery.backoff]\nmax = \"250ms\"\n{}",
        file(addr, WEB)
            .replace("127.0.0.1:0", &bind.to_string())
            .replace(
                "wait = \"10s\"",
                &format!("wait = \"1s\"\ntoken_file = {file_of_token:?}")
            )
    );
    let rlb = Rlb::with(&*text).ready_on(bind).start();
    until_served_by(bind, &["a"]);
    as_master(addr, "DELETE", &format!("/v1/acl/token/{accessor}"), "");
    wait_until(PATIENCE, "the token is refused", || {
        assert_eq!(ask(bind), "a");
        let log = rlb.stderr();
        log.contains("is lost") && log.contains("403: ACL not found")
    });
    register("web-b", &b);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        assert_eq!(ask(bind), "a");
    }
    let log = rlb.stderr();
    assert!(!log.contains("is empty all of a sudden"), "{log}");
    let [secret, _] = new_token();
    std::fs::write(&file_of_token, secret).unwrap();
    until_served_by(bind, &["a", "b"]);
}

/// The token that Consul is started with where it has ACLs.
const MASTER: &str = "11111111-1111-1111-1111-111111111111";

#[track_caller]
fn as_master(addr: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let path = format!("{path}?token={MASTER}");
    let (status, text) = crate::support::consul::ask(addr, method, &path, body).unwrap();
    assert_eq!(status, 200, "{path}: {text}");
    text
}

/// The real one's HTTPS: who its certificate is not signed for hears nothing of it, and
/// keeps what was heard before.
#[test]
fn https_agent_is_believed_when_its_authority_is_trusted() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let certificate = ours.write("consul.pem", &["127.0.0.1"]);
    let port = free_addr().port();
    let https = format!(
        r#"{{"ports":{{"https":{port}}},"cert_file":{certificate:?},"key_file":{certificate:?}}}"#
    );
    let Some(consul) = real::consul_with(&https) else {
        return;
    };
    let consul = Consul::Real(consul);
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    consul.register("web-a", a.addr());
    let text = |bind: SocketAddr, keys: &str| {
        format!(
            "[global]\nworkers = 1\nadmin = \"\"\n[discovery.backoff]\nmax = \"250ms\"\n\
             [discovery.consul]\n{keys}\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\n{WEB}\n"
        )
    };
    let bind = free_addr();
    let trusting = |authority: &Authority| {
        let keys = format!(
            "address = \"https://127.0.0.1:{port}\"\nca_file = {:?}",
            authority.file()
        );
        text(bind, &keys)
    };
    let rlb = Rlb::with(trusting(&ours)).ready_on(bind).start();
    until_served_by(bind, &["a"]);
    rlb.reload(&trusting(&others));
    wait_until(PATIENCE, "the certificate is refused", || {
        rlb.stderr()
            .contains("signed by none of the authorities we trust")
    });
    consul.register("web-b", b.addr());
    assert_eq!(who(bind), ["a"], "{}", rlb.stderr());
    rlb.reload(&trusting(&ours));
    until_served_by(bind, &["a", "b"]);
    // Where the file is silent, as Consul's own tools do it.
    let bind = free_addr();
    let _rlb = Rlb::with(text(bind, ""))
        .env("CONSUL_HTTP_ADDR", format!("127.0.0.1:{port}"))
        .env("CONSUL_HTTP_SSL", "true")
        .env("CONSUL_CACERT", ours.file())
        .ready_on(bind)
        .start();
    until_served_by(bind, &["a", "b"]);
}

/// Three servers: the leader dies, then a second one and with it the quorum. Traffic
/// does not notice, and what is registered between is followed.
#[test]
fn a_cluster_that_loses_leader_and_quorum_takes_no_server_away() {
    let Some(mut cluster) = real::cluster() else {
        return;
    };
    let leader = cluster
        .iter()
        .position(real::Member::leads)
        .expect("one leads");
    let leader = cluster.swap_remove(leader);
    let [ours, other] = <[_; 2]>::try_from(cluster).expect("two are left");
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let register = |id: &str, origin: &Origin| {
        let (ip, port) = (origin.addr().ip().to_string(), origin.addr().port());
        let service = json!({ "ID": id, "Name": "web", "Address": ip, "Port": port });
        let path = "/v1/agent/service/register";
        let put = crate::support::consul::ask(ours.addr(), "PUT", path, &service.to_string());
        assert_eq!(put.unwrap().0, 200);
    };
    register("web-a", &a);
    let lb = Lb::start(&file(ours.addr(), WEB));
    until_served_by(lb.addr(), &["a"]);
    leader.kill();
    let begin = Instant::now();
    while !ours.is_led() {
        assert_eq!(ask(lb.addr()), "a");
        assert!(begin.elapsed() < 3 * PATIENCE, "no new leader");
    }
    eprintln!("a new leader after {:?}", begin.elapsed());
    register("web-b", &b);
    wait_until(3 * PATIENCE, "the new one is followed", || {
        who(lb.addr()) == ["a", "b"]
    });
    other.kill();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        assert_eq!(who(lb.addr()), ["a", "b"]);
    }
    assert!(!ours.is_led(), "no quorum");
}

/// Two balancers registered in Consul, a client that finds them by its DNS: it loses
/// nothing while one of them is told to end.
#[test]
fn a_client_of_consuls_dns_does_not_notice_that_one_of_two_stops() {
    let Some(real) = real::consul() else { return };
    let dns = real.dns();
    let consul = Consul::Real(real);
    let origin = Origin::ok("a");
    consul.register("web-a", origin.addr());
    let start = || {
        let bind = free_addr();
        let text = format!(
            "[global]\nworkers = 1\nadmin = \"\"\ndrain_delay = \"1s\"\n{}\
             [[register]]\nconsul = \"lb\"\naddress = \"{bind}\"\nfrontend = \"web\"\nttl = \"2s\"\n",
            file(consul.addr(), WEB).replace("127.0.0.1:0", &bind.to_string())
        );
        (bind, Rlb::with(&*text).ready_on(bind).start())
    };
    let ((bind, mut first), _second) = (start(), start());
    wait_until(PATIENCE, "both are found", || srv_ports(dns).len() == 2);
    let mut requests = 0;
    let mut go = |until: &mut dyn FnMut(usize) -> bool| {
        let begin = Instant::now();
        while !until(requests) {
            let ports = srv_ports(dns);
            assert!(!ports.is_empty() && begin.elapsed() < PATIENCE, "{ports:?}");
            let port = ports[requests % ports.len()];
            assert_eq!(ask(([127, 0, 0, 1], port).into()), "a");
            requests += 1;
        }
    };
    go(&mut |requests| requests >= 100);
    first.signal(rustix::process::Signal::TERM);
    go(&mut |_| TcpStream::connect(bind).is_err());
    assert_eq!(srv_ports(dns).len(), 1);
    go(&mut |requests| requests >= 300);
    assert!(first.wait_exit().success());
}

/// The ports in the SRV records of `lb.service.consul` (RFC 2782), by one question over
/// UDP.
fn srv_ports(dns: u16) -> Vec<u16> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in ["lb", "service", "consul", ""] {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend(b"\0\x21\0\x01");
    socket.send_to(&question, ("127.0.0.1", dns)).unwrap();
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).unwrap();
    let mut rest = &answer[question.len()..length];
    let mut ports = Vec::new();
    for _ in 0..u16::from_be_bytes([answer[6], answer[7]]) {
        // A name ends with a zero or with a pointer (RFC 1035 4.1.4).
        while rest[0] != 0 && rest[0] & 0xc0 == 0 {
            rest = &rest[1 + usize::from(rest[0])..];
        }
        rest = &rest[if rest[0] == 0 { 1 } else { 2 }..];
        let length = usize::from(u16::from_be_bytes([rest[8], rest[9]]));
        if rest[..2] == [0, 33] {
            ports.push(u16::from_be_bytes([rest[14], rest[15]]));
        }
        rest = &rest[10 + length..];
    }
    ports
}
