//! Arguments that are wrong, and what is said of them.

use super::*;

#[test]
fn wrong_arguments_get_haproxys_sentences() {
    let cases = [
        ("get weight web", "Require 'backend/server'."),
        ("get weight", "Require 'backend/server'."),
        ("set weight web 1", "Require 'backend/server'."),
        ("set weight b/s", "Require <weight> or <weight%>."),
        (
            "set weight b/s 257",
            "Absolute weight can only be between 0 and 256 inclusive.",
        ),
        (
            "set weight b/s -1",
            "Absolute weight can only be between 0 and 256 inclusive.",
        ),
        (
            "set weight b/s 99999999999999999999",
            "Absolute weight can only be between 0 and 256 inclusive.",
        ),
        ("set weight b/s -5%", "Relative weight must be positive."),
        (
            "set weight b/s abc",
            "Empty weight string empty or preceded by garbage",
        ),
        (
            "set weight b/s %",
            "Empty weight string empty or preceded by garbage",
        ),
        (
            "set server b/s weight 5x",
            "Trailing garbage in weight string",
        ),
        (
            "set server b/s weight 1.5",
            "Trailing garbage in weight string",
        ),
        (
            "set server b/s weight 5%x",
            "Trailing garbage in weight string",
        ),
        (
            "set server b/s state up",
            "'set server <srv> state' expects 'ready', 'drain' and 'maint'.",
        ),
        (
            "set server b/s health",
            "'set server <srv> health' expects 'up', 'stopping', or 'down'.",
        ),
        (
            "set server b/s agent maybe",
            "'set server <srv> agent' expects 'up' or 'down'.",
        ),
        (
            "set server b/s agent up",
            "agent checks are not enabled on this server.",
        ),
        (
            "enable agent b/s",
            "Agent was not configured on this server, cannot enable.",
        ),
        (
            "set server b/s agent-addr",
            "set server <b>/<s> agent-addr requires an address and optionally a port.",
        ),
        (
            "set server b/s agent-port",
            "set server <b>/<s> agent-port requires a port.",
        ),
        (
            "set server b/s agent-port 3",
            "agent checks are not enabled on this server.",
        ),
        (
            "set server b/s check-port",
            "set server <b>/<s> check-port requires a port.",
        ),
        (
            "set server b/s check-port x",
            "provided port is not an integer",
        ),
        (
            "set server b/s check-port 70000",
            "provided port is invalid",
        ),
        ("set server b/s check-port 0", "provided port is invalid"),
        (
            "set server b/s check-addr",
            "set server <b>/<s> check-addr requires an address and optionally a port.",
        ),
        ("set server b/s check-addr x", "invalid addr 'x'"),
        (
            "set server b/s addr",
            "set server <b>/<s> addr requires an address and optionally a port.",
        ),
        ("set server b/s addr foo", "Invalid addr 'foo'"),
        (
            "set server b/s addr 10.0.0.1:80",
            "Invalid addr '10.0.0.1:80'",
        ),
        (
            "set server b/s addr 10.0.0.1 port abc",
            "problem converting port 'abc' to an int",
        ),
        (
            "set server b/s addr 10.0.0.1 port",
            "problem converting port '' to an int",
        ),
        (
            "set server b/s addr 10.0.0.1 port +1",
            "problem converting port '+1' to an int",
        ),
        (
            "set server b/s addr 10.0.0.1 port 70000",
            "provided port is invalid",
        ),
        (
            "set server b/s fqdn",
            "set server <b>/<s> fqdn requires a FQDN.",
        ),
        (
            "set server b/s fqdn a.b",
            "set server <b>/<s> fqdn failed because no resolution is configured.",
        ),
        (
            "set server b/s",
            "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | check-port | fqdn | health | name | ssl | state | weight",
        ),
        (
            "set server b/s foo",
            "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | check-port | fqdn | health | name | ssl | state | weight",
        ),
        ("disable frontend", "A frontend name is expected."),
        ("set maxconn frontend", "A frontend name is expected."),
        ("set maxconn frontend f", "Integer value expected."),
        ("set maxconn frontend f abc", "Integer value expected."),
        ("set maxconn frontend f -1", "Value out of range."),
        ("set maxconn server b/s", "Require <maxconn>."),
        (
            "set maxconn server b/s abc",
            "maxconn string empty or preceded by garbage",
        ),
        ("set maxconn global", "Expects an integer value."),
        ("set maxconn global -1", "Value out of range."),
        (
            "set rate-limit connections global",
            "Expects an integer value.",
        ),
        (
            "set rate-limit connections global 5",
            "Rate limits are not in this version yet.",
        ),
        (
            "shutdown session",
            "Session pointer expected (use 'show sess').",
        ),
        (
            "shutdown session 12",
            "Session pointer expected (use 'show sess').",
        ),
        ("show map", "# id (file) description"),
        ("show acl", "# id (file) description"),
        ("show tls-keys", "# id (file)"),
        (
            "show map x",
            "Unknown map identifier. Please use #<id> or <file>.",
        ),
        (
            "add map x y z",
            "Unknown map identifier. Please use #<id> or <file>.",
        ),
        (
            "show acl x",
            "Unknown ACL identifier. Please use #<id> or <file>.",
        ),
        ("show table x", "No such table"),
        ("clear table x", "No such table"),
        ("wait", "Expects a duration in milliseconds."),
        ("wait x", "Invalid duration."),
        ("set timeout cli", "Expects an integer value."),
        ("set timeout cli x", "Invalid timeout value."),
        ("set timeout cli 0", "Invalid timeout value."),
        ("set timeout foo 1", "'set timeout' only supports 'cli'."),
        ("echo a  b", "a b"),
        (
            "@2 show info",
            "Can't find the target PID matching the prefix '@2'",
        ),
        (
            "del server b/s drain",
            "'drain' expects a duration such as '10s'.",
        ),
        (
            "explain GET",
            "Usage: explain <method> <url> [<name>:<value> ...].",
        ),
        (
            "explain GET ftp://a",
            "'ftp://a' is neither a path nor an http:// URL.",
        ),
        (
            "explain GET / Host",
            "'Host' is no header: write <name>:<value>.",
        ),
    ];
    for (line, expected) in cases {
        let command = parse(line);
        assert_eq!(sentence(&command), Some(expected), "{line}");
    }
}

#[test]
fn rate_limits_are_named() {
    let text = "'set rate-limit' only supports :\n   - 'connections global'";
    for line in [
        "set rate-limit",
        "set rate-limit foo global 1",
        "set rate-limit sessions web 1",
    ] {
        assert!(sentence(&parse(line)).unwrap().starts_with(text));
    }
}

#[test]
fn severities_are_haproxys() {
    let severity = |line| match parse(line) {
        Command::Answer(Reply::Message(severity, _)) => severity,
        other => panic!("{other:?}"),
    };
    assert_eq!(severity("help"), Severity::Info);
    assert_eq!(severity("nonsense"), Severity::Info);
    assert_eq!(severity("echo x"), Severity::Info);
    assert_eq!(severity("get weight x"), Severity::Error);
}

#[test]
fn unknown_words_meet_better_ones() {
    for (line, near) in [
        ("shw info", "  show info "),
        ("show foo", "  show info "),
        ("set", "  set weight "),
        ("zzzzzz", "  add server "),
    ] {
        let command = parse(line);
        let text = sentence(&command).unwrap();
        let word = line.split(' ').next().unwrap();
        let title = format!(
            "Unknown command: '{word}', but maybe one of the following ones is a better match:\n"
        );
        assert!(text.starts_with(&title) && text.contains(near), "{text}");
    }
    assert!(
        sentence(&parse("\u{1b}[31m"))
            .unwrap()
            .starts_with("Unknown command: '\\u{1b}[31m'")
    );
}
