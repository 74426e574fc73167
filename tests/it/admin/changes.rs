//! Commands that change something, seen through the commands that show it.

use super::Running;

#[test]
fn weights_follow_haproxys_rules() {
    let rlb = Running::two_backends();
    for (weight, running) in [
        ("0", 0),
        ("256", 256),
        ("50%", 5),
        ("0%", 0),
        ("10000%", 256),
        ("100%", 10),
    ] {
        rlb.obeys(&format!("set weight web/s1 {weight}"));
        assert_eq!(
            rlb.ask("get weight web/s1"),
            format!("{running} (initial 10)"),
            "{weight}"
        );
    }
    rlb.obeys("set server web/s1 weight 7");
    assert_eq!(rlb.ask("get weight web/s1"), "7 (initial 10)");
}

#[test]
fn addresses_change_in_the_words_of_2_x() {
    let rlb = Running::two_backends();
    let by = "by 'stats socket command'";
    for (words, reply) in [
        ("addr 127.0.0.1", "no need to change the addr"),
        (
            "addr 127.0.0.1 port 1",
            "no need to change the addr, no need to change the port",
        ),
        (
            "addr 127.0.0.5",
            "IP changed from '127.0.0.1' to '127.0.0.5'",
        ),
        (
            "addr 127.0.0.6 port 1",
            "IP changed from '127.0.0.5' to '127.0.0.6', no need to change the port",
        ),
        (
            "addr 127.0.0.6 port 99",
            "no need to change the addr, port changed from '1' to '99'",
        ),
        (
            "addr ::1 port 98",
            "IP changed from '127.0.0.6' to '::1', port changed from '99' to '98'",
        ),
    ] {
        assert_eq!(
            rlb.ask(&format!("set server web/s1 {words}")),
            format!("{reply} {by}"),
            "{words}"
        );
    }
}

#[test]
fn servers_come_and_go_in_one_line() {
    let rlb = Running::two_backends();
    assert_eq!(
        rlb.ask("add server web/n1 127.0.0.1:9 weight 10 up"),
        "New server registered."
    );
    assert_eq!(rlb.ask("get weight web/n1"), "10 (initial 10)");
    assert!(rlb.ask("explain GET /").contains("3 of 3 servers usable"));
    assert_eq!(
        rlb.ask("add server web/n2 127.0.0.1:10"),
        "New server registered."
    );
    assert!(rlb.ask("explain GET /").contains("3 of 4 servers usable"));
    rlb.obeys("enable server web/n2");
    assert!(rlb.ask("explain GET /").contains("4 of 4 servers usable"));
    assert_eq!(rlb.ask("del server web/n1 drain 10s"), "Server deleted.");
    assert_eq!(rlb.ask("get weight web/n1"), "No such server.");
}

#[test]
fn overrides_are_listed_and_cleared() {
    let rlb = Running::two_backends();
    assert_eq!(rlb.ask("show overrides").lines().count(), 1);
    rlb.obeys("set weight web/s1 3");
    rlb.obeys("set server web/s2 state drain");
    let text = rlb.ask("show overrides");
    assert!(text.contains("weight") && text.contains("state"), "{text}");
    rlb.obeys("clear override web/s1");
    assert_eq!(rlb.ask("get weight web/s1"), "10 (initial 10)");
    assert_eq!(rlb.ask("clear overrides"), "1 override cleared.");
    assert_eq!(rlb.ask("show overrides").lines().count(), 1);
    assert_eq!(rlb.ask("clear overrides"), "Nothing was overridden.");
}

#[test]
fn frontends_pause_and_go_on() {
    let rlb = Running::two_backends();
    let addr = rlb.address("db");
    rlb.obeys("disable frontend db");
    assert!(!crate::support::answers(addr));
    assert_eq!(
        rlb.ask("disable frontend db"),
        "All sockets are already disabled."
    );
    rlb.obeys("enable frontend db");
    assert_eq!(
        rlb.ask("enable frontend db"),
        "All sockets are already enabled."
    );
    rlb.obeys("shutdown frontend db");
    assert_eq!(
        rlb.ask("shutdown frontend db"),
        "Frontend was already shut down."
    );
    assert_eq!(
        rlb.ask("enable frontend db"),
        "Frontend was previously shut down, cannot enable."
    );
}

#[test]
fn sessions_are_listed_and_ended() {
    let rlb = Running::two_backends();
    let mut client = crate::support::RawClient::connect(rlb.address("www"));
    crate::support::wait_until(crate::support::PATIENCE, "the session is listed", || {
        rlb.ask("show sess").contains("fe=www")
    });
    let text = rlb.ask("show sess");
    let line = text.lines().find(|line| line.contains("fe=www")).unwrap();
    let (id, _) = line.split_once(':').unwrap();
    assert_eq!(rlb.ask(&format!("show sess {id}")), line.to_owned());
    rlb.obeys(&format!("shutdown session {id}"));
    client.read_until_close();
    assert!(rlb.ask("show sess frontend www").is_empty());
}

#[test]
fn limits_are_obeyed() {
    let rlb = Running::two_backends();
    rlb.obeys("set maxconn global 10");
    assert!(rlb.ask("show info").contains("\nMaxconn: 10\n"));
    rlb.obeys("set maxconn global 0");
    assert!(!rlb.ask("show info").contains("\nMaxconn: 10\n"));
    rlb.obeys("set maxconn frontend www 5");
    rlb.obeys("set rate-limit connections global 0");
}

#[test]
fn counters_are_cleared() {
    let rlb = Running::two_backends();
    rlb.obeys("clear counters");
    rlb.obeys("clear counters all");
    assert_eq!(
        rlb.ask("clear counters server web/s1"),
        "Server counters cleared."
    );
}

#[test]
fn changes_are_remembered() {
    let rlb = Running::two_backends();
    rlb.obeys("set weight web/s1 3");
    let text = rlb.ask("show generations");
    assert!(
        text.lines().count() >= 3 && text.contains("weight"),
        "{text}"
    );
    assert!(rlb.ask("show drain").starts_with('#'));
}

#[test]
fn sessions_that_the_operator_ends_are_logged_as_killed() {
    use crate::support::{PATIENCE, PlayedOrigin, RawClient, Rlb, free_addr, temp_dir, wait_until};
    let (dir, bind, origin) = (temp_dir(), free_addr(), PlayedOrigin::listen());
    let socket = dir.path().join("admin.sock");
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n[[listen]]\nname = \"db\"\nmode = \"tcp\"\n\
         bind = \"{bind}\"\nserver = {{ name = \"s1\", address = \"{}\" }}\n[[log]]\ntarget = \"stderr\"\n",
        socket.display(),
        origin.addr()
    );
    let rlb = Rlb::with(text).ready_on(bind).start();
    let ask = |command: &str| {
        use std::io::{Read as _, Write as _};
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        writeln!(stream, "{command}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let ended = |letters: &str| rlb.stderr().contains(&format!(" {letters} "));
    let session = || {
        let mut client = RawClient::connect(bind);
        client.send("ping");
        // Who looked whether rlb listens was a session, too, and said nothing.
        let mut servers = std::iter::repeat_with(|| origin.accept());
        let ours = servers.find_map(|mut server| {
            let said = server.try_read_bytes(4)?;
            assert_eq!(said, b"ping");
            Some(server)
        });
        (client, ours)
    };
    let _killed = session();
    ask("shutdown sessions server db/s1");
    wait_until(PATIENCE, "the operator ended it", || ended("K-"));
    assert!(!ended("DD") && !ended("D-"));
    let _cut = session();
    ask("del server db/s1 drain 0s");
    wait_until(PATIENCE, "its drain is over", || ended("DD"));
}
