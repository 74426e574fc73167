//! A day of three servers and one client, through the real program.

use super::{get, named};
use crate::log::ask;
use crate::support::{Origin, Rlb, free_addr, temp_dir};

#[test]
fn a_client_stays_until_its_server_is_gone_and_then_stays_elsewhere() {
    let servers: Vec<Origin> = ["s1", "s2", "s3"].map(named).into();
    let (dir, addr) = (temp_dir(), free_addr());
    let server = |(n, origin): (usize, &Origin)| {
        format!(
            "{{ name = \"s{}\", address = \"{}\" }}",
            n + 1,
            origin.addr()
        )
    };
    let list: Vec<String> = servers.iter().enumerate().map(server).collect();
    let socket = dir.path().join("sock");
    let _rlb = Rlb::with(format!(
        "[global]\nworkers = 2\nadmin = \"{}\"\n[[listen]]\nname = \"web\"\nbind = \"{addr}\"\n\
         server = [{}]\ncookie = \"SRV\"\n",
        socket.display(),
        list.join(", ")
    ))
    .ready_on(addr)
    .start();
    let mut jar = String::new();
    let mut visit = |times: usize| {
        let mut names = Vec::new();
        for _ in 0..times {
            let got = get(addr, &[&jar]);
            assert_eq!(got.head.status(), 200);
            if !got.set().is_empty() {
                jar = got.set().to_owned();
            }
            names.push(got.body);
        }
        names.dedup();
        names.join(" ")
    };
    let state = |server: &str, state: &str| {
        let command = format!("set server web/{server} state {state}");
        assert_eq!(ask(&socket, &command).trim(), "");
    };
    let home = visit(100);
    assert!(["s1", "s2", "s3"].contains(&&*home), "{home}");
    state(&home, "drain");
    assert_eq!(visit(20), home, "whoever drains keeps its clients");
    assert!(
        (0..20).all(|_| get(addr, &[]).body != home),
        "and gets no others"
    );
    state(&home, "maint");
    let other = visit(20);
    assert!(!other.contains(&home) && !other.contains(' '), "{other}");
    state(&home, "ready");
    assert_eq!(visit(20), other, "nobody moves without need");
}
