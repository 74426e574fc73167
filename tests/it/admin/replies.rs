//! Literal replies: RUNTIME API 1.3 and 1.4, on what changes nothing.

use super::Running;

#[test]
fn refusals_are_haproxys_sentences() {
    let rlb = Running::two_backends();
    let cases = [
        ("get weight web", "Require 'backend/server'."),
        ("get weight nope/s1", "No such backend."),
        ("get weight web/nope", "No such server."),
        ("get weight #99/s1", "No such backend."),
        ("set weight web/nope abc", "No such server."),
        (
            "set weight web/s1 257",
            "Absolute weight can only be between 0 and 256 inclusive.",
        ),
        (
            "set weight web/s1 abc",
            "Empty weight string empty or preceded by garbage",
        ),
        (
            "set server web/s1 weight 5x",
            "Trailing garbage in weight string",
        ),
        (
            "set server web/s1 state on",
            "'set server <srv> state' expects 'ready', 'drain' and 'maint'.",
        ),
        (
            "set server web/s1 health ok",
            "'set server <srv> health' expects 'up', 'stopping', or 'down'.",
        ),
        (
            "enable health web/s1",
            "Health check was not configured on this server, cannot enable.",
        ),
        (
            "set server web/s1 agent up",
            "agent checks are not enabled on this server.",
        ),
        (
            "enable agent web/s1",
            "Agent was not configured on this server, cannot enable.",
        ),
        (
            "set server web/s1 check-port 99",
            "health checks are not enabled on this server",
        ),
        ("set server web/s1 addr foo", "Invalid addr 'foo'"),
        (
            "set server web/s1 addr 127.0.0.9 port 70000",
            "provided port is invalid",
        ),
        (
            "set server web/s1 fqdn a.example",
            "set server <b>/<s> fqdn failed because no resolution is configured.",
        ),
        (
            "set server web/s1 ssl on",
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings",
        ),
        (
            "add server web/s1 127.0.0.1:9",
            "Already exists a server with the same name in backend.",
        ),
        ("add server nope/s1 127.0.0.1:9", "No such backend."),
        (
            "add server web/n1",
            "'server' expects <name> and <addr>[:<port>] as arguments.",
        ),
        (
            "add server web/a,b 127.0.0.1:9",
            "character ',' is not permitted in server name 'a,b'.",
        ),
        ("add server web/n1 127.0.0.1:99999", "invalid port '99999'"),
        ("del server web/nope", "No such server."),
        ("disable frontend", "A frontend name is expected."),
        ("disable frontend nope", "No such frontend."),
        ("enable frontend www", "All sockets are already enabled."),
        ("set maxconn frontend www abc", "Integer value expected."),
        ("set maxconn frontend nope 1", "No such frontend."),
        ("set maxconn frontend www -1", "Value out of range."),
        ("set maxconn server web/s1", "Require <maxconn>."),
        ("set maxconn global x", "Expects an integer value."),
        ("set maxconn global 4000000000", "Value out of range."),
        ("shutdown session 0x1", "No such session (use 'show sess')."),
        (
            "shutdown session x",
            "Session pointer expected (use 'show sess').",
        ),
        ("shutdown sessions server web/nope", "No such server."),
        ("show servers state nope", "Can't find backend."),
        ("show servers conn nope", "Can't find backend."),
        ("show errors nope", "No such proxy."),
        ("show stat nope 1 -1", "No such proxy."),
        ("show stat domain foo", "Invalid statistics domain."),
        ("show env NO_SUCH_NAME_HERE", "Variable not found"),
        ("show table x", "No such table"),
        (
            "show map x",
            "Unknown map identifier. Please use #<id> or <file>.",
        ),
        ("wait 10 srv-removable web/nope", "Failed. No such server."),
    ];
    for (command, sentence) in cases {
        assert_eq!(rlb.ask(command), sentence, "{command}");
    }
}

#[test]
fn what_is_not_configured_is_shown_empty() {
    let rlb = Running::two_backends();
    for command in [
        "show table",
        "show peers",
        "show ssl cert",
        "show cache",
        "disable agent web/s1",
        "disable health web/s1",
    ] {
        rlb.obeys(command);
    }
    assert_eq!(rlb.ask("show map"), "# id (file) description");
    assert_eq!(rlb.ask("show acl"), "# id (file) description");
    assert_eq!(rlb.ask("show tls-keys"), "# id (file)");
    let errors = rlb.ask("show errors");
    assert!(errors.starts_with("Total events captured on [") && errors.ends_with("] : 0"));
}

#[test]
fn servers_go_by_name_and_number() {
    let rlb = Running::two_backends();
    let state = rlb.ask("show servers state web");
    let mut lines = state.lines();
    assert_eq!(lines.next(), Some("1"));
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("# be_id be_name srv_id srv_name srv_addr ")
    );
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert_eq!(first.len(), 25);
    let (backend, server) = (first[0], first[2]);
    assert_eq!((first[1], first[3]), ("web", "s1"));
    for name in [
        "web/s1".to_owned(),
        format!("web/#{server}"),
        format!("#{backend}/s1"),
        format!("#{backend}/#{server}"),
    ] {
        assert_eq!(
            rlb.ask(&format!("get weight {name}")),
            "10 (initial 10)",
            "{name}"
        );
    }
}

#[test]
fn dumps_have_their_shape() {
    let rlb = Running::two_backends();
    assert_eq!(
        rlb.ask("show backend"),
        "# name\ndb\nweb\napi".replace("db\nweb\napi", &order(&rlb))
    );
    let path = rlb.path();
    let sockets = format!("# socket lvl processes\nunix@{} admin all", path.display());
    assert_eq!(rlb.ask("show cli sockets"), sockets);
    assert!(
        rlb.ask("show info")
            .starts_with("Name: HAProxy\nVersion: 3.0.0-rlb-")
    );
    assert!(
        rlb.ask("show info typed")
            .starts_with("0.Name.1:POSV:str:HAProxy\n")
    );
    assert!(rlb.ask("show info json").starts_with('['));
    let stat = rlb.ask("show stat");
    let commas: Vec<usize> = stat.lines().map(|line| line.matches(',').count()).collect();
    assert!(
        stat.starts_with("# pxname,svname,") && commas.iter().all(|n| *n == commas[0] && *n > 61)
    );
    assert!(
        rlb.ask("show servers conn")
            .starts_with("# bkname/svname bkid/svid addr port - ")
    );
    assert!(rlb.ask("show proc").starts_with("#<PID>  "));
    for command in [
        "show servers state json",
        "show servers conn json",
        "show backend json",
        "show sess json",
        "show env json",
        "show version json",
        "show cli sockets json",
        "show overrides json",
        "show generations json",
        "show drain json",
        "show stat json",
    ] {
        let text = rlb.ask(command);
        let (first, last) = (text.chars().next().unwrap(), text.chars().last().unwrap());
        assert!(
            matches!((first, last), ('[', ']') | ('{', '}') | ('"', '"')),
            "{command}: {text}"
        );
    }
}

/// Frontends first, each with its half; then the other backends.
fn order(_: &Running) -> String {
    "db\nweb\napi".to_owned()
}

#[test]
fn help_is_offered() {
    let rlb = Running::two_backends();
    let help = rlb.ask("help");
    assert!(help.starts_with("The following commands are valid at this level:\n"));
    assert!(help.ends_with("  quit                                    : disconnect"));
    let unknown = rlb.ask("show nonsense");
    assert!(unknown.starts_with(
        "Unknown command: 'show', but maybe one of the following ones is a better match:\n"
    ));
}

#[test]
fn requests_are_explained() {
    let rlb = Running::two_backends();
    let port = rlb.address("www").port();
    let text = rlb.ask(&format!("explain GET http://api.example:{port}/v1/x"));
    for part in [
        "GET /v1/x, host api.example",
        "frontend www",
        "  route 1: host api.example, path_prefix /v1",
        "  backend api: 1 of 1 servers usable",
        "    a1 127.0.0.1:3 weight 1 100.0% no check",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let text = rlb.ask(&format!("explain GET http://other:{port}/v1/x"));
    assert!(
        text.contains("  no route matches\n  backend web: 2 of 2 servers usable\n"),
        "{text}"
    );
    assert!(
        text.contains("    s1 127.0.0.1:1 weight 10 90.9% no check\n"),
        "{text}"
    );
    assert!(
        rlb.ask("explain GET http://x:1/")
            .ends_with("no frontend listens on port 1")
    );
}

#[test]
fn waits_end() {
    let rlb = Running::two_backends();
    assert_eq!(rlb.ask("wait 10"), "Done.");
    assert_eq!(
        rlb.ask("wait 20 srv-removable web/s1"),
        "Wait delay expired."
    );
}
