//! Servers that are added.

use super::*;

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
    assert!(
        help.starts_with("List of keywords supported for dynamic server:\naddr\nalpn\nbackup\n")
    );
    assert!(matches!(parse("add server help"), Command::AddServer(_, added) if added.help));
}
