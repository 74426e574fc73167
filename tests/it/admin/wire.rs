//! The conventions of the wire: RUNTIME API 1.1, row by row.

use super::Running;

#[test]
fn answers_are_framed_as_haproxy_frames_them() {
    let rlb = Running::two_backends();
    let version = rlb.ask("show version");
    assert!(version.starts_with("3.0.0-rlb-"), "{version}");
    let too_long = "The command is too big for the buffer size. Please change tune.bufsize in the configuration to use a bigger command.\n\n";
    let cases = [
        ("show version\n".to_owned(), format!("{version}\n\n")),
        ("show cli level\n".to_owned(), "admin\n\n".to_owned()),
        ("enable server web/s1\n".to_owned(), "\n".to_owned()),
        ("\n".to_owned(), "\n".to_owned()),
        ("echo a;echo b\n".to_owned(), "a\n\nb\n\n".to_owned()),
        ("echo a;\n".to_owned(), "a\n\n\n".to_owned()),
        ("show version\r\n".to_owned(), format!("{version}\n\n")),
        ("echo a\necho b\n".to_owned(), "a\n\n".to_owned()),
        ("echo a\\;b\\ c\\\\\n".to_owned(), "a;b c\\\n\n".to_owned()),
        ("echo \"a b\"\n".to_owned(), "\"a b\"\n\n".to_owned()),
        (
            "show version # really\n".to_owned(),
            format!("{version}\n\n"),
        ),
        (
            format!("echo {}\n", "x".repeat(20_000)),
            too_long.to_owned(),
        ),
        ("echo <<\nx\n\n".to_owned(), "\n".to_owned()),
        ("quit\n".to_owned(), String::new()),
        ("echo a;quit;echo b\n".to_owned(), "a\n\n".to_owned()),
        ("@1 show version\n".to_owned(), format!("{version}\n\n")),
        (
            "@1 show version;quit\n".to_owned(),
            format!("{version}\n\n"),
        ),
        (
            "operator;show cli level;set weight web/s1 1\n".to_owned(),
            "\noperator\n\nPermission denied\n\n".to_owned(),
        ),
        (
            "user;operator;show cli level\n".to_owned(),
            "\n\nuser\n\n".to_owned(),
        ),
        ("set timeout cli 60\n".to_owned(), "\n".to_owned()),
        (
            "set severity-output number;get weight web\n".to_owned(),
            "\n[3]: Require 'backend/server'.\n\n".to_owned(),
        ),
        (
            "set severity-output string;get weight web\n".to_owned(),
            "\n[err]: Require 'backend/server'.\n\n".to_owned(),
        ),
        (
            "set severity-output number;set severity-output none;echo a\n".to_owned(),
            "\n\na\n\n".to_owned(),
        ),
        (
            "set severity-output number;echo a;get weight web/s1\n".to_owned(),
            "\n[6]: a\n\n10 (initial 10)\n\n".to_owned(),
        ),
    ];
    for (input, expected) in cases {
        let shown = &input[..input.len().min(60)];
        assert_eq!(rlb.raw(&input), expected, "{shown:?}");
    }
    assert!(
        rlb.raw("SHOW VERSION\n")
            .starts_with("Unknown command: 'SHOW', but maybe")
    );
}

#[test]
fn half_a_line_is_not_run_and_half_closed_clients_get_their_answer() {
    let rlb = Running::two_backends();
    let mut client = rlb.client();
    client.send("set weight web/s1 99").finish_sending();
    assert_eq!(client.rest(), "");
    assert_eq!(rlb.ask("get weight web/s1"), "10 (initial 10)");
    let mut client = rlb.client();
    client.send("get weight web/s1\n").finish_sending();
    assert_eq!(client.rest(), "10 (initial 10)\n\n");
    let mut client = rlb.client();
    client.send("prompt\necho a\n").finish_sending();
    assert_eq!(client.rest(), "\n> a\n\n> ");
}

#[test]
fn prompts_come_and_go() {
    let rlb = Running::two_backends();
    let mut client = rlb.client();
    assert_eq!(client.send("prompt\n").until("> "), "\n> ");
    assert_eq!(client.send("echo a\n").until("> "), "a\n\n> ");
    assert_eq!(client.send("enable server web/s1\n").until("> "), "\n> ");
    assert_eq!(client.send("\n").until("> "), "\n> ");
    assert_eq!(
        client.send("echo a;echo b\n").until("b\n\n> "),
        "a\n\n> b\n\n> "
    );
    assert_eq!(client.send("add map x <<\n").until("+ "), "+ ");
    assert_eq!(client.send("k v\n").until("+ "), "+ ");
    let refused = "Unknown map identifier. Please use #<id> or <file>.\n\n> ";
    assert_eq!(client.send("\n").until("> "), refused);
    assert_eq!(client.send("prompt i\n").until("\n"), "\n");
    assert_eq!(client.send("echo a\n").until("\n\n"), "a\n\n");
    let timed = client.send("prompt timed\n").until("> ");
    assert!(timed.starts_with("\n[0:00:00:") && timed.len() == "\n[0:00:00:00]> ".len());
    assert_eq!(client.send("prompt\n").rest(), "\n");
    assert_eq!(rlb.client().send("prompt p\nprompt n\n").rest(), "\n> \n");
}

#[test]
fn levels_of_the_socket_bound_its_clients() {
    let rlb = Running::with_socket(super::TWO_BACKENDS, ", level = \"user\"");
    assert_eq!(rlb.ask("show cli level"), "user");
    for command in [
        "set weight web/s1 1",
        "show sess",
        "clear counters all",
        "reload",
    ] {
        assert_eq!(rlb.ask(command), "Permission denied", "{command}");
    }
    assert_eq!(rlb.ask("get weight web/s1"), "10 (initial 10)");
    assert!(!rlb.ask("help").contains("set weight"));
}

#[test]
fn socket_leaves_with_its_process_and_has_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let rlb = Running::with_socket("", ", mode = \"0660\"");
    let path = rlb.path();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(rlb);
    assert!(!path.exists());
}

#[test]
fn tcp_sockets_speak_the_same() {
    let addr = crate::support::free_addr();
    let config = format!("[global]\nworkers = 1\nadmin = {{ bind = \"{addr}\" }}\n");
    let loaded = rlb::config::Config::parse("test.toml", &config).unwrap();
    let engine = rlb::Engine::start(loaded.config).unwrap();
    let mut client = crate::support::RawClient::connect(addr);
    let answer = client.send("show cli sockets\n").read_until_close();
    let expected = format!("# socket lvl processes\nipv4@{addr} admin all\n\n");
    assert_eq!(String::from_utf8(answer).unwrap(), expected);
    engine.stop(rlb::StopKind::Now);
    engine.wait();
}
