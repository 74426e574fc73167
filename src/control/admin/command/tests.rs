use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::server::Keywords;
use super::*;
use crate::config::{ProxyChoice, ProxyVersion, ServerAddress};
use crate::control::AddedState;
use crate::control::admin::answer::Severity;
use crate::control::admin::wire::Severities;

fn parse_at(line: &str, level: AdminLevel) -> Command {
    let words = line.split_whitespace().map(str::to_owned).collect();
    let request = Request {
        words,
        payload: None,
    };
    Command::parse(&request, level)
}

fn parse(line: &str) -> Command {
    parse_at(line, AdminLevel::Admin)
}

/// The sentence of an answer, whether it comes before or behind the names.
fn sentence(command: &Command) -> Option<&str> {
    match command {
        Command::Answer(Reply::Message(_, text))
        | Command::Server(_, Err(Reply::Message(_, text)))
        | Command::Frontend(_, Err(Reply::Message(_, text))) => Some(text),
        Command::Answer(Reply::Dump(text)) => Some(text),
        _ => None,
    }
}

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
            "set server b/s ssl on",
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings",
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
fn words_become_commands() {
    let target = || Target {
        backend: "web".into(),
        server: "#1".into(),
    };
    let change = |change| Command::Server(target(), Ok(change));
    let frontend = |change| Command::Frontend("f".into(), Ok(change));
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let cases = [
        ("get weight web/#1", Command::GetWeight(target())),
        ("@1 get weight web/#1 # whose", Command::GetWeight(target())),
        (
            "set weight web/#1 0",
            change(ServerChange::Weight(WeightChange::Absolute(0))),
        ),
        (
            "set weight web/#1 50%",
            change(ServerChange::Weight(WeightChange::Percent(50))),
        ),
        (
            "set server web/#1 weight 256",
            change(ServerChange::Weight(WeightChange::Absolute(256))),
        ),
        (
            "set server web/#1 state drain",
            change(ServerChange::State(Admin::Drain)),
        ),
        (
            "enable server web/#1",
            change(ServerChange::State(Admin::Ready)),
        ),
        (
            "disable server web/#1",
            change(ServerChange::State(Admin::Maint)),
        ),
        (
            "set server web/#1 health stopping",
            change(ServerChange::Health(Operational::Stopping)),
        ),
        ("enable health web/#1", change(ServerChange::Checks(true))),
        (
            "set server web/#1 addr 127.0.0.1",
            change(ServerChange::Address {
                ip: local,
                port: None,
            }),
        ),
        (
            "set server web/#1 addr ::1 port 80",
            change(ServerChange::Address {
                ip: IpAddr::V6(Ipv6Addr::LOCALHOST),
                port: Some(80),
            }),
        ),
        (
            "set server web/#1 check-addr 127.0.0.1 port 1",
            change(ServerChange::CheckAddress {
                ip: Some(local),
                port: Some(1),
            }),
        ),
        (
            "set server web/#1 check-port 99",
            change(ServerChange::CheckAddress {
                ip: None,
                port: Some(99),
            }),
        ),
        (
            "set maxconn server web/#1 10",
            change(ServerChange::Maxconn(10)),
        ),
        (
            "shutdown sessions server web/#1",
            change(ServerChange::ShutdownSessions),
        ),
        ("del server web/#1", change(ServerChange::Delete(None))),
        (
            "del server web/#1 drain 10s",
            change(ServerChange::Delete(Some(Duration::from_secs(10)))),
        ),
        (
            "clear counters server web/#1",
            change(ServerChange::ClearCounters),
        ),
        (
            "disable agent web/#1",
            Command::Server(target(), Err(Reply::Silent)),
        ),
        ("enable frontend f", frontend(FrontendChange::Enable(true))),
        (
            "disable frontend f",
            frontend(FrontendChange::Enable(false)),
        ),
        ("shutdown frontend f", frontend(FrontendChange::Shutdown)),
        (
            "set maxconn frontend f 9",
            frontend(FrontendChange::Maxconn(9)),
        ),
        ("set maxconn global 0", Command::MaxconnGlobal(0)),
        (
            "set rate-limit sessions global 0",
            Command::Answer(Reply::Silent),
        ),
        (
            "shutdown session 0x1f",
            Command::ShutdownSession("0x1f".into()),
        ),
        ("clear counters", Command::ClearCounters { all: false }),
        ("clear counters all", Command::ClearCounters { all: true }),
        ("wait 10", Command::Wait(Duration::from_millis(10), None)),
        (
            "wait 2s srv-removable web/#1",
            Command::Wait(Duration::from_secs(2), Some(target())),
        ),
        ("show table", Command::Answer(Reply::Silent)),
        ("", Command::Answer(Reply::Silent)),
        ("@1", Command::Answer(Reply::Silent)),
        ("prompt", Command::Talk(Talk::TogglePrompt)),
        (
            "set timeout cli 60",
            Command::Talk(Talk::Timeout(Duration::from_secs(60))),
        ),
        (
            "set timeout cli 2m",
            Command::Talk(Talk::Timeout(Duration::from_secs(120))),
        ),
        (
            "set severity-output number",
            Command::Talk(Talk::Severities(Severities::Number)),
        ),
        (
            "show stat 1 4 -1",
            Command::Show(Show::Stat(vec!["1".into(), "4".into(), "-1".into()], true)),
        ),
        (
            "show servers state json",
            Command::Show(Show::ServersState(None, true)),
        ),
        (
            "show env A",
            Command::Show(Show::Env(Some("A".into()), false)),
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(parse(line), expected, "{line}");
    }
}

#[test]
fn levels_bound_what_may_be_asked() {
    let denied = Command::Answer(Reply::refused("Permission denied"));
    for line in [
        "set weight b/s 1",
        "show sess",
        "show env",
        "clear counters",
        "reload",
        "upgrade",
    ] {
        assert_eq!(parse_at(line, AdminLevel::User), denied, "{line}");
    }
    for line in [
        "set weight b/s 1",
        "clear counters all",
        "save state",
        "upgrade",
    ] {
        assert_eq!(parse_at(line, AdminLevel::Operator), denied, "{line}");
    }
    for line in ["show info", "show stat", "get weight b/s", "prompt"] {
        assert_ne!(parse_at(line, AdminLevel::User), denied, "{line}");
    }
    assert_ne!(parse_at("clear counters", AdminLevel::Operator), denied);
}

#[test]
fn help_lists_what_the_level_may_do() {
    let command = parse("help show servers");
    assert_eq!(
        sentence(&command).unwrap(),
        "The following commands are valid at this level:
  show servers conn [<backend>] [json]    : dump server connections status (all or for a single backend)
  show servers state [<backend>] [json]   : dump volatile server information (all or for a single backend)
  help [<command>]                        : list matching or all commands
  prompt [help|n|i|p|timed]*              : toggle interactive mode with prompt
  quit                                    : disconnect
"
    );
    let command = parse_at("help", AdminLevel::User);
    let text = sentence(&command).unwrap();
    assert!(!text.contains("set weight") && text.contains("show stat"));
    let command = parse("help");
    assert!(sentence(&command).unwrap().contains("set weight"));
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

fn added(line: &str) -> Result<Keywords, String> {
    match parse(line) {
        Command::AddServer(target, added) => {
            added.read(&target.server).map_err(|reply| match reply {
                Reply::Message(_, text) => text.into_owned(),
                other => panic!("{other:?}"),
            })
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn added_servers_say_what_they_are() {
    let keywords = added("add server b/n1 10.0.0.1:80").unwrap();
    assert_eq!(keywords.start, AddedState::Maint);
    assert_eq!(
        (keywords.settings.weight, keywords.settings.check),
        (1, Some(false))
    );
    let keywords =
        added("add server b/n1 ipv4@10.0.0.1:80 weight 10 check up backup port 81").unwrap();
    assert_eq!(keywords.start, AddedState::Up);
    assert_eq!(
        (keywords.settings.weight, keywords.settings.check),
        (10, None)
    );
    assert!(keywords.settings.backup);
    assert_eq!(keywords.settings.check_port, Some(81));
    let keywords = added("add server b/n1 unix@/run/x.sock").unwrap();
    assert_eq!(
        keywords.settings.address,
        ServerAddress::Unix("/run/x.sock".into())
    );
    for (words, expected) in [
        ("", ProxyChoice::Inherit),
        ("send-proxy", ProxyChoice::Own(ProxyVersion::V1)),
        ("send-proxy-v2", ProxyChoice::Own(ProxyVersion::V2)),
        ("no-send-proxy", ProxyChoice::Off),
    ] {
        let keywords = added(&format!("add server b/n1 10.0.0.1:80 {words}")).unwrap();
        assert_eq!(keywords.settings.proxy_protocol, expected);
    }
}

#[test]
fn added_servers_are_held_to_the_rules() {
    let cases = [
        (
            "add server b/n1",
            "'server' expects <name> and <addr>[:<port>] as arguments.",
        ),
        (
            "add server b/ 10.0.0.1:80",
            "'server' expects <name> and <addr>[:<port>] as arguments.",
        ),
        (
            "add server b/n1 10.0.0.1:80 wieght 3",
            "unknown keyword 'wieght'; did you mean 'weight' maybe ?",
        ),
        ("add server b/n1 10.0.0.1:80 foo", "unknown keyword 'foo'."),
        (
            "add server b/n1 10.0.0.1:80 enabled",
            "'enabled' option is not accepted for dynamic server",
        ),
        ("add server b/n1 10.0.0.1:99999", "invalid port '99999'"),
        ("add server b/n1 10.0.0.1:0", "invalid port '0'"),
        (
            "add server b/n13 10.0.0.1:80 weight 300",
            "weight of server n13 is not within 0 and 256 (300)..",
        ),
        (
            "add server b/a,b 10.0.0.1:80",
            "character ',' is not permitted in server name 'a,b'.",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(added(line), Err(expected.into()), "{line}");
    }
    for line in [
        "add server b/FRONTEND 10.0.0.1:80",
        "add server b/n1 10.0.0.1",
        "add server b/n1 localhost:80",
        "add server b/n1 10.0.0.1:80 maxconn many",
        "add server b/n1 10.0.0.1:80 maxqueue 5",
        "add server b/n1 10.0.0.1:80 weight",
    ] {
        assert!(added(line).is_err(), "{line}");
    }
    let Reply::Message(_, help) = Added::help() else {
        panic!();
    };
    assert!(help.starts_with("List of keywords supported for dynamic server:\naddr\nbackup\n"));
    assert!(matches!(parse("add server help"), Command::AddServer(_, added) if added.help));
}

#[test]
fn explained_requests_are_read_from_urls() {
    let explained = |line| match parse(line) {
        Command::Explain(explained) => explained,
        other => panic!("{other:?}"),
    };
    let request = explained("explain GET http://a.example:8080?x=1 Accept:text/html");
    assert_eq!(
        (request.port, &*request.host, &*request.target),
        (Some(8080), "a.example:8080", "/?x=1")
    );
    assert_eq!(
        request.headers,
        [("accept".to_owned(), "text/html".to_owned())]
    );
    let request = explained("explain GET /x Host:b");
    assert_eq!(
        (request.port, &*request.host, &*request.target),
        (None, "b", "/x")
    );
    assert_eq!(explained("explain GET http://[::1]/").port, None);
}

proptest! {
    #[test]
    fn any_words_are_understood_somehow(
        words in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "set", "server", "show", "add", "b/s", "#1/#2", "weight", "addr", "port", "1",
                    "99999999999999999999", "-1", "stat", "explain", "http://[", "wait", "@1", "json",
                ]).prop_map(str::to_owned),
                any::<String>(),
            ],
            0..8,
        ),
    ) {
        let request = Request { words, payload: None };
        if let Command::AddServer(_, added) = Command::parse(&request, AdminLevel::Admin) {
            let _ = added.read("x");
        }
    }
}
