//! What the clients that people run really send (RUNTIME API 1.2), and what they need.

use super::Running;

/// hatop 0.8.2 reads until `> ` and gives up on a field that is missing.
#[test]
fn hatop_finds_what_it_looks_for() {
    let rlb = Running::two_backends();
    let mut client = rlb.client();
    assert_eq!(client.send("prompt\n").until("> "), "\n> ");
    assert_eq!(client.send("set timeout cli 60\n").until("> "), "\n> ");
    for _ in 0..3 {
        let info = client.send("show info\n").until("\n\n> ");
        for field in [
            "Name",
            "Version",
            "Release_date",
            "Nbproc",
            "Process_num",
            "Pid",
            "Uptime",
            "Maxconn",
            "CurrConns",
            "Maxpipes",
            "PipesUsed",
            "Tasks",
            "Run_queue",
            "node",
        ] {
            let value = info
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{field}: ")));
            assert!(
                value.is_some_and(|value| !value.is_empty()),
                "{field}: {info}"
            );
        }
        let stat = client.send("show stat\n").until("\n\n> ");
        for line in stat.lines().filter(|line| line.contains(',')) {
            assert!(line.matches(',').count() >= 51, "{line}");
        }
        let stat = client.send("show stat 4 4 1\n").until("\n\n> ");
        assert!(stat.starts_with("# pxname,"), "{stat}");
    }
    for key in [
        "disable server web/s1",
        "enable server web/s1",
        "set weight web/s1 100%",
        "set weight web/s1 3",
    ] {
        assert_eq!(client.send(format!("{key}\n")).until("> "), "\n> ", "{key}");
    }
    assert_eq!(
        client.send("get weight web/s1\n").until("> "),
        "3 (initial 10)\n\n> "
    );
    assert_eq!(client.send("quit\n").rest(), "");
}

#[test]
fn ansible_sends_one_combined_line() {
    let rlb = Running::two_backends();
    let down = "get weight web/s1; disable agent web/s1; disable health web/s1; disable server web/s1; shutdown sessions server web/s1\n";
    assert_eq!(rlb.raw(down), "10 (initial 10)\n\n\n\n\n\n");
    assert!(status(&rlb, "web", "s1").contains("MAINT"));
    let up = "get weight web/s1; enable server web/s1; set weight web/s1 20\n";
    assert_eq!(rlb.raw(up), "10 (initial 10)\n\n\n\n");
    assert_eq!(rlb.ask("get weight web/s1"), "20 (initial 10)");
    rlb.obeys("set server web/s1 state drain");
    assert!(status(&rlb, "web", "s1").contains("DRAIN"));
    let version = rlb.ask("show info");
    let version = version
        .lines()
        .find_map(|line| line.strip_prefix("Version: "))
        .unwrap();
    let mut parts = version.split('.');
    assert!(
        parts.next().unwrap().parse::<u32>().is_ok()
            && parts.next().unwrap().parse::<u32>().is_ok()
    );
}

#[test]
fn client_native_asks_for_severities() {
    let rlb = Running::two_backends();
    let ask = |command: &str| rlb.raw(format!("set severity-output number;{command}\n"));
    assert_eq!(ask("set server web/s1 state maint"), "\n\n");
    assert_eq!(
        ask("set server web/nope state maint"),
        "\n[3]: No such server.\n\n"
    );
    assert!(ask("show servers state web").starts_with("\n1\n# be_id"));
    assert_eq!(
        ask("set server web/s1 addr 127.0.0.1 port 1"),
        "\n[4]: no need to change the addr, no need to change the port by 'stats socket command'\n\n"
    );
    assert_eq!(
        ask("add server web/n1 127.0.0.1:9"),
        "\n[6]: New server registered.\n\n"
    );
    assert_eq!(ask("enable server web/n1"), "\n\n");
    assert_eq!(ask("disable server web/n1"), "\n\n");
    assert_eq!(ask("del server web/n1"), "\n[6]: Server deleted.\n\n");
    assert_eq!(ask("del server web/n1"), "\n[3]: No such server.\n\n");
    assert!(ask("help").starts_with("\n[6]: The following commands"));
    assert_eq!(
        ask("disable frontend www;disable frontend www"),
        "\n\n[5]: All sockets are already disabled.\n\n"
    );
    assert_eq!(
        rlb.raw("set severity-output number;@1 get weight web/s2;quit\n"),
        "\n1 (initial 1)\n\n"
    );
    let batch = "set server web/s1 addr 127.0.0.7 port 8080;set server web/s1 state ready;set server web/s2 state maint;\n";
    assert_eq!(
        rlb.raw(batch),
        "IP changed from '127.0.0.1' to '127.0.0.7', port changed from '1' to '8080' by 'stats socket command'\n\n\n\n\n"
    );
}

/// The CSV's status of a server.
fn status(rlb: &Running, backend: &str, server: &str) -> String {
    let csv = rlb.ask("show stat");
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let column = header.iter().position(|name| *name == "status").unwrap();
    let row = lines
        .find(|row| row[0] == backend && row[1] == server)
        .unwrap();
    row[column].to_owned()
}
