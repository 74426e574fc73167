use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

mod sentences;
mod servers;

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
            "show servers",
            Command::Show(Show::Stat(vec!["-1".into(), "4".into(), "-1".into()], true)),
        ),
        (
            "show servers web json",
            Command::Show(Show::Stat(
                vec!["web".into(), "4".into(), "-1".into(), "json".into()],
                true,
            )),
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
  show servers [<backend>] [json]         : servers' states and counters, as 'show stat' has them
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
