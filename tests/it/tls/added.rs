//! Servers added at run time that are spoken to with TLS.

use std::net::SocketAddr;
use std::path::Path;

use super::servers::Secure;
use crate::log::ask as say;
use crate::support::authority::Authority;
use crate::support::{RawClient, Rlb, free_addr};

fn start(dir: &Path, bind: SocketAddr) -> Rlb {
    let (socket, state) = (dir.join("admin.sock"), dir.join("state"));
    let config = format!(
        "[global]\nworkers = 1\nadmin = {socket:?}\nstate_dir = {state:?}\n\
         [[listen]]\nname = \"web\"\nbind = \"{bind}\"\nretries = 0\n\
         server = {{ name = \"s1\", address = \"127.0.0.1:9\", disabled = true }}\n"
    );
    std::fs::create_dir_all(state).unwrap();
    Rlb::with(config).ready_on(bind).start()
}

fn get(bind: SocketAddr) -> (u16, String) {
    let mut client = RawClient::connect(bind);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = client.read_response();
    (head.status(), String::from_utf8(body).unwrap())
}

/// The column srv_use_ssl of `show servers state`; `None` = there is no such server.
fn uses_tls(socket: &Path, server: &str) -> Option<String> {
    let state = say(socket, "show servers state web");
    let row = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut rows = state.lines().map(row).filter(|cells| cells.len() == 25);
    Some(rows.find(|cells| cells[3] == server)?[20].clone())
}

#[test]
fn added_server_is_verified_as_it_says_and_after_a_restart() {
    let ca = Authority::new("ca");
    let server = Secure::start(&ca, &["app.test"], None, false);
    let (addr, file, dir, bind) = (server.addr, ca.file(), ca.dir(), free_addr());
    let socket = dir.join("admin.sock");
    let rlb = start(dir, bind);
    assert_eq!(get(bind).0, 503);

    let missing = say(
        &socket,
        &format!("add server web/n0 {addr} ssl ca-file /none.pem up"),
    );
    assert!(missing.contains("cannot read /none.pem"), "{missing}");
    assert_eq!(uses_tls(&socket, "n0"), None);

    // Neither the system nor the name vouches for it.
    for (name, words) in [
        ("n1", "ssl verifyhost app.test".to_owned()),
        (
            "n2",
            format!("ssl ca-file {} verifyhost else.test", file.display()),
        ),
    ] {
        let reply = say(&socket, &format!("add server web/{name} {addr} {words} up"));
        assert_eq!(reply.trim_end(), "New server registered.");
        assert_eq!(get(bind).0, 503, "{words}");
        say(&socket, &format!("disable server web/{name}"));
    }

    let words = format!(
        "ssl verify required ca-file {} sni str(sni.test) verifyhost app.test",
        file.display()
    );
    let reply = say(&socket, &format!("add server web/n3 {addr} {words} up"));
    assert_eq!(reply.trim_end(), "New server registered.");
    assert_eq!(get(bind), (200, "sni.test".to_owned()));
    assert_eq!(uses_tls(&socket, "n3").as_deref(), Some("1"));
    assert_eq!(uses_tls(&socket, "s1").as_deref(), Some("0"));
    let overrides = say(&socket, "show overrides");
    let shown = format!(
        "added with {addr} ssl ca-file {} sni sni.test verifyhost app.test",
        file.display()
    );
    assert!(overrides.contains(&shown), "{overrides}");

    say(&socket, "save state");
    drop(rlb);
    let _rlb = start(dir, bind);
    assert_eq!(get(bind), (200, "sni.test".to_owned()));
    assert_eq!(uses_tls(&socket, "n3").as_deref(), Some("1"));
}

#[test]
fn added_server_is_spoken_to_unverified_only_where_that_is_said() {
    let ca = Authority::new("ca");
    let server = Secure::start(&ca, &["app.test"], None, false);
    let bind = free_addr();
    let _rlb = start(ca.dir(), bind);
    let words = format!("add server web/n1 {} ssl verify none up", server.addr);
    let reply = say(&ca.dir().join("admin.sock"), &words);
    assert_eq!(reply.trim_end(), "New server registered.");
    assert_eq!(get(bind), (200, "none".to_owned()));
}
