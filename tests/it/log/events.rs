//! The event log: one line for each change.

use std::path::Path;

use super::{ask, lines_of};
use crate::support::{Origin, PATIENCE, Rlb, free_addr, wait_until};

fn config(dir: &Path, origin: &Origin, logs: &str) -> (String, std::net::SocketAddr) {
    let addr = free_addr();
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n{logs}\
         [[listen]]\nname = \"web\"\nbind = \"{addr}\"\n\
         server = [{{ name = \"s1\", address = \"{}\" }}]\n\
         check = {{ interval = \"20ms\", timeout = \"10s\", rise = 1, fall = 1, path = \"/\" }}\n",
        dir.join("sock").display(),
        origin.addr()
    );
    (text, addr)
}

#[test]
fn changes_are_told_in_haproxys_words_and_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let (words, json) = (
        dir.path().join("events.log"),
        dir.path().join("events.json"),
    );
    let logs = format!(
        "[[log]]\ntarget = \"file:{}\"\nwhat = \"events\"\ntag = \"haproxy\"\n\
         [[log]]\ntarget = \"file:{}\"\nwhat = \"events\"\nformat = \"json\"\nonly = \"errors\"\n",
        words.display(),
        json.display()
    );
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_broken = std::sync::Arc::clone(&broken);
    let origin = Origin::answering(move |_| {
        let status = match is_broken.load(std::sync::atomic::Ordering::Relaxed) {
            true => "500 Oops",
            false => "200 OK",
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        crate::support::Answer::Keep(answer.into_bytes())
    });
    let (text, addr) = config(dir.path(), &origin, &logs);
    let rlb = Rlb::with(text).ready_on(addr).start();
    let has = |what: &str| {
        let read = || std::fs::read_to_string(&words).unwrap_or_default();
        wait_until(PATIENCE, what, || read().contains(what));
        let text = read();
        let line = text.lines().find(|line| line.contains(what)).unwrap();
        line.split_once("]: ").unwrap().1.to_owned()
    };
    let socket = dir.path().join("sock");
    ask(&socket, "set server web/s1 state drain");
    assert_eq!(
        has("enters drain state"),
        "Server web/s1 enters drain state. 0 active and 0 backup servers online. \
         0 sessions requeued, 0 total in queue."
    );
    ask(&socket, "set server web/s1 state ready");
    assert_eq!(
        has("leaving forced drain"),
        "Server web/s1 is UP (leaving forced drain)."
    );
    ask(&socket, "set server web/s1 state maint");
    let maint = has("going DOWN for maintenance");
    assert!(
        maint.starts_with("Server web/s1 is going DOWN for maintenance. 0 active"),
        "{maint}"
    );
    ask(&socket, "set server web/s1 state ready");
    has("Server web/s1 is UP/READY (leaving forced maintenance).");
    broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let down = has("is DOWN, reason: Layer7 wrong status, code: 500");
    assert!(down.contains(", check duration: "), "{down}");
    assert_eq!(
        has("no server available"),
        "backend web has no server available!"
    );
    broken.store(false, std::sync::atomic::Ordering::Relaxed);
    has("is UP, reason: Layer7 check passed, code: 200");
    std::fs::write(rlb.dir().join("lb.toml"), "nonsense").unwrap();
    has("the configuration is refused");
    // Only what is worth a look, with fields for programs.
    let events: Vec<serde_json::Value> = lines_of(&json, 3)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "server_down");
    assert_eq!(
        (&events[0]["backend"], &events[0]["server"]),
        (&"web".into(), &"s1".into())
    );
    assert_eq!(
        (&events[0]["reason"], &events[0]["code"]),
        (&"Layer7 wrong status".into(), &500.into())
    );
    assert!(events[0]["check_ms"].is_u64());
    assert_eq!(events[1]["event"], "backend_down");
    assert!(
        events
            .iter()
            .any(|event| event["event"] == "config_refused")
    );
    // They have a place of their own now.
    assert!(!rlb.stderr().contains("Server web/s1"), "{}", rlb.stderr());
}

#[test]
fn sources_lost_and_back_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (words, json) = (dir.path().join("words"), dir.path().join("json"));
    let nodes = dir.path().join("nodes.toml");
    let good = "server = [{ name = \"n1\", address = \"127.0.0.1:9\" }]\n";
    std::fs::write(&nodes, good).unwrap();
    let addr = free_addr();
    let _rlb = Rlb::with(format!(
        "[global]\nworkers = 1\nadmin = \"\"\n\
         [[log]]\ntarget = \"file:{}\"\nwhat = \"events\"\ntag = \"haproxy\"\n\
         [[log]]\ntarget = \"file:{}\"\nwhat = \"events\"\nformat = \"json\"\n\
         [[listen]]\nname = \"web\"\nbind = \"{addr}\"\nsource = {{ file = \"{}\" }}\n\
         [[listen]]\nname = \"far\"\nbind = \"127.0.0.1:0\"\nsource = {{ consul = \"shop\" }}\n\
         [discovery.consul]\naddress = \"http://127.0.0.1:1\"\n",
        words.display(),
        json.display(),
        nodes.display(),
    ))
    .ready_on(addr)
    .start();
    let told = |event: &str, of: &str| {
        let mut found = serde_json::Value::Null;
        wait_until(PATIENCE, event, || {
            let text = std::fs::read_to_string(&json).unwrap_or_default();
            let mut events = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let is_it = |e: &serde_json::Value| {
                e["event"] == event && e["source"].as_str().is_some_and(|s| s.contains(of))
            };
            let last = events.rfind(is_it);
            found = last.unwrap_or_default();
            !found.is_null()
        });
        found
    };
    let lost = told("source_lost", "consul");
    assert_eq!(lost["level"], "error");
    assert!(lost["reason"].is_string() && lost["members"] == 0, "{lost}");
    std::fs::write(&nodes, "nonsense").unwrap();
    let lost = told("source_lost", "nodes.toml");
    assert_eq!(lost["members"], 1, "the last good set stays: {lost}");
    std::fs::write(&nodes, good).unwrap();
    assert_eq!(told("source_back", "nodes.toml")["members"], 1);
    // Each file is written in its own time.
    for line in [
        "]: Source consul",
        "is lost, the last good set stays (0 servers), reason: ",
        "nodes.toml is back (1 servers), it was lost for ",
    ] {
        wait_until(PATIENCE, line, || {
            std::fs::read_to_string(&words).is_ok_and(|text| text.contains(line))
        });
    }
}

#[test]
fn without_a_log_events_are_sentences_on_stderr() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::ok("hello");
    let (text, addr) = config(dir.path(), &origin, "");
    let rlb = Rlb::with(text).ready_on(addr).start();
    ask(&dir.path().join("sock"), "set server web/s1 state drain");
    let sentence = "Server web/s1 enters drain state. 0 active and 0 backup servers online. \
                    0 sessions requeued, 0 total in queue.\n";
    wait_until(PATIENCE, "the event", || rlb.stderr().contains(sentence));
}
