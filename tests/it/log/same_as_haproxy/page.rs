//! The stats page on a frontend: to the log it is no server.

use std::net::SocketAddr;

use super::super::Syslog;
use crate::support::{RawClient, Rlb, free_addr, real};

const PAGE: &str = "/haproxy?stats;csv";

/// The line without process, address, date, times and bytes.
fn asked(www: SocketAddr, syslog: &Syslog) -> String {
    let request = format!("GET {PAGE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (head, _) = RawClient::connect(www).send(request).read_response();
    assert_eq!(head.status(), 200);
    // HAProxy says that it has started, too.
    let lines = std::iter::repeat_with(|| syslog.line());
    let line = lines
        .take(9)
        .find(|line| line.contains(PAGE))
        .expect("its line");
    let fields: Vec<&str> = line.split(' ').collect();
    let from = fields
        .iter()
        .position(|field| *field == "www")
        .expect("its frontend");
    let said = |index: usize| fields[from + index];
    let stages = said(2)
        .split('/')
        .map(|time| if time == "-1" { "-" } else { "+" });
    format!(
        "{} {} {} {} {} {}",
        said(1),
        stages.collect::<String>(),
        said(3),
        said(7),
        said(8),
        fields[from + 10..].join(" ").trim_end()
    )
}

#[test]
fn the_page_is_logged_as_answered_here() {
    let (www, syslog) = (free_addr(), Syslog::listen());
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[[log]]\ntarget = \"syslog:udp:{}\"\ntag = \"haproxy\"\n\
         [[listen]]\nname = \"www\"\nbind = \"{www}\"\nstats = \"/haproxy?stats\"\nserver = \"127.0.0.1:9\"\n",
        syslog.addr()
    );
    let _rlb = Rlb::with(text).ready_on(www).start();
    let ours = asked(www, &syslog);
    assert_eq!(
        ours,
        "www/<STATS> +++++ 200 LR-- 1/1/0/0/0 \"GET /haproxy?stats;csv HTTP/1.1\""
    );

    let (www, syslog) = (free_addr(), Syslog::listen());
    let text = format!(
        "global\n  nbthread 1\n  log {} local0\ndefaults\n  mode http\n  log global\n  option httplog\n  \
         option dontlognull\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
         frontend www\n  bind {www}\n  stats enable\n  stats uri /haproxy?stats\n",
        syslog.addr()
    );
    let Some(_haproxy) = real::haproxy_with(&text, www) else {
        return;
    };
    assert_eq!(asked(www, &syslog), ours);
}
