//! The cookie in the heads of requests and answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Bench, named, request};
use crate::support::authority::{Authority, GET, ask};
use crate::support::{Answer, Lb, Origin, RawClient};

#[test]
fn a_first_answer_sets_the_cookie_and_later_ones_do_not() {
    let servers = [named("s1"), named("s2")];
    let addrs = [servers[0].addr(), servers[1].addr()];
    let bench = Bench::start(&addrs, "cookie = \"SRV\"");
    let first = bench.get(&[]);
    let value = first.set().strip_prefix("SRV=c").unwrap().to_owned();
    assert_eq!(first.body, format!("s{value}"));
    let line = first.head.field("set-cookie").unwrap();
    assert_eq!(line, format!("SRV=c{value}; path=/; HttpOnly"));
    assert_eq!(first.head.field("cache-control"), Some("private"));
    for _ in 0..10 {
        let again = bench.get(&[&format!("a=1; SRV=c{value}")]);
        assert_eq!((&*again.body, again.set()), (&*first.body, ""));
        assert_eq!(again.head.field("cache-control"), None);
    }
}

#[test]
fn attributes_are_those_that_are_written() {
    let server = named("s1");
    for (keys, expected) in [
        (
            "cookie = { name = \"S\", path = \"/app\", domain = \".example.com\", secure = true, \
             same_site = \"none\", max_age = \"1d\" }",
            "S=c1; path=/app; domain=example.com; HttpOnly; Secure; SameSite=None; Max-Age=86400",
        ),
        (
            "cookie = { httponly = false, same_site = \"none\", nocache = false }",
            "SERVERID=c1; path=/",
        ),
        (
            "cookie = { same_site = \"lax\" }",
            "SERVERID=c1; path=/; HttpOnly; SameSite=Lax",
        ),
        ("cookie = true", "SERVERID=c1; path=/; HttpOnly"),
    ] {
        let bench = Bench::start(&[server.addr()], keys);
        let got = bench.get(&[]);
        assert_eq!(got.head.field("set-cookie"), Some(expected), "{keys}");
        let is_private = got.head.field("cache-control") == Some("private");
        assert_eq!(is_private, !keys.contains("nocache"), "{keys}");
    }
}

#[test]
fn over_tls_it_is_secure() {
    let (ca, server) = (Authority::new("ca"), named("s1"));
    let file = ca.write("a.pem", &["a.test"]);
    for (keys, is_secure) in [("", true), ("secure = false", false)] {
        let lb = Lb::start(&format!(
            "[[listen]]\nname = \"web\"\nbind = {{ address = \"127.0.0.1:0\", tls = true }}\n\
             tls = {{ certificates = [{file:?}] }}\nserver = \"{}\"\ncookie = {{ {keys} }}\n",
            server.addr()
        ));
        let mut client = ca.connect(lb.addr(), "a.test");
        let (head, _) = ask(&mut client, GET).unwrap();
        assert_eq!(
            head.contains("; path=/; HttpOnly; Secure\r\n"),
            is_secure,
            "{head}"
        );
    }
}

#[test]
fn servers_see_every_cookie_but_ours() {
    let server = named("s1");
    let sent = [
        "a=1; SRV=c1; b=\"x;y\"",
        "SRV=c1",
        "SRV=c9;c=3",
        "d = 4 ;SRV=; XSRV=c1",
    ];
    for (keys, expected) in [
        (
            "cookie = \"SRV\"",
            vec!["a=1; b=\"x;y\"", "c=3", "d = 4 ; XSRV=c1"],
        ),
        (
            "cookie = { name = \"SRV\", indirect = false }",
            sent.to_vec(),
        ),
        ("", sent.to_vec()),
    ] {
        let bench = Bench::start(&[server.addr()], keys);
        let before = server.requests().len();
        assert_eq!(bench.get(&sent).body, "s1");
        let seen = &server.requests()[before].head;
        assert_eq!(seen.fields("cookie"), expected, "{keys}");
    }
}

/// A server that sets cookies of its own.
fn setting(lines: &'static str) -> Origin {
    Origin::answering(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n");
        Answer::Keep(head.into_bytes())
    })
}

#[test]
fn what_a_server_sets_under_the_same_name_is_taken_out() {
    let server =
        setting("Set-Cookie: SRV=own; Path=/\r\nSet-Cookie: a=b\r\nSet-Cookie: SRVX=1\r\n");
    let bench = Bench::start(&[server.addr()], "cookie = \"SRV\"");
    let fields = |cookies: &[&str]| {
        let got = bench.get(cookies);
        let fields = got.head.fields("set-cookie").into_iter();
        fields.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(fields(&[]), ["a=b", "SRVX=1", "SRV=c1; path=/; HttpOnly"]);
    assert_eq!(bench.letters(1), "--NI");
    assert_eq!(fields(&["SRV=c1"]), ["a=b", "SRVX=1"]);
    assert_eq!(bench.letters(2), "--VD");
}

#[test]
fn or_stays_if_that_is_wanted() {
    let server = setting("Set-Cookie: SRV=c1\r\n");
    let bench = Bench::start(
        &[server.addr()],
        "cookie = { name = \"SRV\", preserve = true }",
    );
    assert_eq!(bench.get(&[]).head.fields("set-cookie"), ["SRV=c1"]);
    assert_eq!(bench.letters(1), "--NP");
    assert_eq!(bench.get(&["SRV=c1"]).head.fields("set-cookie"), ["SRV=c1"]);
    assert_eq!(bench.letters(2), "--VP");
}

#[test]
fn a_change_of_protocol_sets_it_and_an_interim_answer_does_not() {
    let switching = Origin::raw(|stream, _| {
        let mut stream = RawClient::over(stream);
        stream.read_head();
        stream.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        stream.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        stream.read_until_close();
    });
    let bench = Bench::start(&[switching.addr()], "cookie = \"SRV\"");
    let mut client = bench.lb.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    let hints = client.read_head();
    assert_eq!((hints.status(), hints.field("set-cookie")), (103, None));
    let switched = client.read_head();
    assert_eq!(switched.status(), 101);
    assert_eq!(
        switched.field("set-cookie"),
        Some("SRV=c1; path=/; HttpOnly")
    );
}

#[test]
fn answers_of_our_own_set_nothing() {
    let server = named("s1");
    let bench = Bench::start(&[server.addr()], "cookie = \"SRV\"");
    bench.obeys("disable server web/s1");
    let got = bench.get(&["SRV=c1"]);
    assert_eq!((got.head.status(), got.set()), (503, ""));
    assert_eq!(bench.letters(1), "SCDN");
}

#[test]
fn a_cookie_that_grows_old_is_renewed_and_then_ends() {
    let servers = [named("s1"), named("s2")];
    let addrs = [servers[0].addr(), servers[1].addr()];
    let keys = "cookie = { name = \"SRV\", maxidle = \"1h\", maxlife = \"1d\" }";
    let bench = Bench::start(&addrs, keys);
    let first = bench.get(&[]);
    assert_eq!(bench.letters(1), "--NI");
    let set = first.set().to_owned();
    let parts: Vec<&str> = set.split('|').collect();
    assert_eq!(parts.len(), 3, "{set}");
    assert_eq!((parts[1].len(), parts[1]), (5, parts[2]));
    let again = bench.get(&[&set]);
    assert_eq!(again.body, first.body);
    // Without a date nobody knows: it gets one.
    let dateless = bench.get(&[parts[0]]);
    assert_eq!(dateless.body, first.body);
    assert!(dateless.set().starts_with(parts[0]) && dateless.set().len() == set.len());
    assert_eq!(bench.letters(3), "--VU");
    // 2023.
    let idle = bench.get(&[&format!("{}|ZVPxA|{}", parts[0], parts[2])]);
    assert!(!idle.set().is_empty());
    assert_eq!(bench.letters(4), "--EI");
    let old = bench.get(&[&format!("{}|{}|ZVPxA", parts[0], parts[1])]);
    assert!(!old.set().is_empty());
    assert_eq!(bench.letters(5), "--OI");
}

/// A request that is sent again after a kept connection was found closed.
#[test]
fn a_kept_connection_that_ended_changes_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = Origin::answering(move |_| {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ns1".to_vec();
        match before {
            1 => Answer::Close(Vec::new()),
            _ => Answer::Keep(answer),
        }
    });
    let bench = Bench::start(&[server.addr()], "cookie = \"SRV\"");
    let mut client = bench.lb.client();
    for (cookies, letters) in [(&[][..], "--NI"), (&["SRV=c1"], "--VN")] {
        client.send(request(cookies));
        assert_eq!(client.read_response().1, b"s1");
        assert_eq!(
            bench.letters(if cookies.is_empty() { 1 } else { 2 }),
            letters
        );
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}
