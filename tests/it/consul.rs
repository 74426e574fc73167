//! Servers from Consul: the same tests against the fake and the real one, and what only
//! a fake can be made to do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::consul::{Consul, Fake, Fault};
use crate::support::{Lb, Origin, PATIENCE, RawClient, Rlb, free_addr, real, wait_until};

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
    the_last_good_set_outlives_consul_and_rlb,
    registration_to_first_request_is_quick,
    a_thousand_instances_cost_little,
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
        crate::support::dawdle(Duration::from_millis(150));
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
    assert!(p50 < Duration::from_millis(500), "{p50:?}");
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
    crate::support::dawdle(Duration::from_secs(2));
    let share = (rlb.cpu_time() - begin.1).as_secs_f64() / begin.0.elapsed().as_secs_f64();
    eprintln!(
        "1,000 instances at rest: {:.2} % of a core, the whole process",
        share * 100.0
    );
    let before = rlb.cpu_time();
    let mut seen: Vec<_> = (0..10)
        .map(|index| {
            // What follows a change within 100 ms is joined with others.
            crate::support::dawdle(Duration::from_millis(150));
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

/// Nothing of a fault's answer is taken for news.
#[test]
fn errors_of_every_kind_leave_the_set_as_it_is() {
    let fake = Fake::start();
    let (a, b) = (Origin::ok("a"), Origin::ok("b"));
    let lb = Lb::start(&file(fake.addr(), WEB));
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
        let before = fake.requests();
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
        let spun = fake.requests() - before;
        assert!(spun < 40, "{fault:?}: {spun} requests");
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

/// The real one's ACLs: a token that is deleted while it is in use.
#[test]
fn a_token_that_is_deleted_takes_no_server_away() {
    let acl = r#"{"primary_datacenter":"dc1","acl":{"enabled":true,"default_policy":"deny","tokens":{"master":"11111111-1111-1111-1111-111111111111","agent":"11111111-1111-1111-1111-111111111111"}}}"#;
    let Some(consul) = real::consul_with(acl) else {
        return;
    };
    const MASTER: &str = "token=11111111-1111-1111-1111-111111111111";
    let addr = consul.addr();
    let put = |path: &str, body: &str| {
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{sign}{MASTER}");
        let (status, text) = crate::support::consul::ask(addr, "PUT", &path, body).unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        text
    };
    let rules =
        "service_prefix \\\"\\\" {policy=\\\"read\\\"} node_prefix \\\"\\\" {policy=\\\"read\\\"}";
    put(
        "/v1/acl/policy",
        &format!("{{\"Name\":\"rlb\",\"Rules\":\"{rules}\"}}"),
    );
    let token = put("/v1/acl/token", r#"{"Policies":[{"Name":"rlb"}]}"#);
    let token: Value = serde_json::from_str(&token).unwrap();
    let (secret, accessor) = (
        token["SecretID"].as_str().unwrap(),
        token["AccessorID"].as_str().unwrap(),
    );
    let origin = Origin::ok("a");
    let service = json!({
        "ID": "web-a", "Name": "web", "Address": "127.0.0.1", "Port": origin.addr().port(),
    });
    put("/v1/agent/service/register", &service.to_string());
    let dir = tempfile::tempdir().unwrap();
    let file_of_token = dir.path().join("token");
    std::fs::write(&file_of_token, secret).unwrap();
    let keys = format!(
        "wait = \"1s\"\ntoken_file = \"{}\"",
        file_of_token.display()
    );
    let lb = Lb::start(&file(addr, WEB).replace("wait = \"10s\"", &keys));
    until_served_by(lb.addr(), &["a"]);
    let path = format!("/v1/acl/token/{accessor}?{MASTER}");
    let deleted = crate::support::consul::ask(addr, "DELETE", &path, "").unwrap();
    assert_eq!(deleted.0, 200, "{}", deleted.1);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        assert_eq!(ask(lb.addr()), "a");
    }
}
