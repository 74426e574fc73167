//! Which server a client is sent to, by its cookie and by what that server is.

use super::{Bench, named};
use crate::log::{ask, stat};
use crate::support::{Origin, free_addr};

fn three() -> (Vec<Origin>, Bench) {
    three_with("cookie = \"SRV\"")
}

fn three_with(keys: &str) -> (Vec<Origin>, Bench) {
    let servers: Vec<Origin> = ["s1", "s2", "s3"].map(named).into();
    let addrs: Vec<_> = servers.iter().map(Origin::addr).collect();
    let bench = Bench::start(&addrs, keys);
    (servers, bench)
}

#[test]
fn whom_nobody_knows_is_given_a_server_and_its_cookie() {
    let (_servers, bench) = three();
    for (n, (cookies, letters)) in [
        (&[][..], "--NI"),
        (&["a=b"], "--NI"),
        (&["SRV=c7"], "--II"),
        (&["SRV="], "--II"),
        (&["srv=c1"], "--NI"),
        (&["SRV=\"c1\""], "--II"),
        (&["SRV"], "--NI"),
    ]
    .into_iter()
    .enumerate()
    {
        let got = bench.get(cookies);
        assert_eq!(got.set().replace("SRV=c", "s"), got.body, "{cookies:?}");
        assert_eq!(bench.letters(n + 1), letters, "{cookies:?}");
    }
    // The first that is of use, wherever it stands.
    let got = bench.get(&["a=b; SRV=x", "SRV=c3; SRV=c1"]);
    assert_eq!((&*got.body, got.set()), ("s3", ""));
}

#[test]
fn servers_without_new_work_keep_their_clients() {
    let (_servers, bench) = three();
    for command in [
        "set server web/s2 state drain",
        "set server web/s2 state ready",
        "set weight web/s2 0",
        "set weight web/s2 1",
        "set server web/s2 health stopping",
        "set server web/s2 health up",
    ] {
        ask(&bench.socket(), command);
        let got = bench.get(&["SRV=c2"]);
        assert_eq!((&*got.body, got.set()), ("s2", ""), "{command}");
    }
    bench.obeys("set server web/s2 state drain");
    for _ in 0..10 {
        assert_ne!(bench.get(&[]).body, "s2");
    }
}

#[test]
fn servers_that_are_down_lose_them() {
    let (_servers, bench) = three();
    for (command, back) in [
        ("disable server web/s2", "enable server web/s2"),
        (
            "set server web/s2 health down",
            "set server web/s2 health up",
        ),
    ] {
        bench.obeys(command);
        let got = bench.get(&["SRV=c2"]);
        assert_ne!(got.body, "s2", "{command}");
        assert_eq!(got.set().replace("SRV=c", "s"), got.body);
        bench.obeys(back);
        assert_eq!(bench.get(&["SRV=c2"]).body, "s2");
    }
    assert_eq!(bench.letters(4), "--VN");
    let gone = format!("{}/log", bench.dir.path().display());
    let lines = std::fs::read_to_string(gone).unwrap();
    assert_eq!(super::letters(lines.lines().next().unwrap()), "--DI");
}

#[test]
fn a_refused_connect_moves_a_client_for_good() {
    let server = named("s2");
    let bench = Bench::start(&[free_addr(), server.addr()], "cookie = \"SRV\"");
    let got = bench.get(&["SRV=c1"]);
    assert_eq!((&*got.body, got.set()), ("s2", "SRV=c2"));
    assert_eq!(bench.letters(1), "--DI");
    let got = bench.get(&["SRV=c2"]);
    assert_eq!((&*got.body, got.set()), ("s2", ""));
}

#[test]
fn a_server_that_drains_and_refuses_is_left() {
    let server = named("s2");
    let bench = Bench::start(&[free_addr(), server.addr()], "cookie = \"SRV\"");
    bench.obeys("set server web/s1 state drain");
    assert_eq!(bench.get(&["SRV=c1"]).body, "s2");
    assert_eq!(bench.letters(1), "--DI");
}

#[test]
fn backups_are_honoured_and_so_are_groups_without_a_share() {
    let servers: Vec<Origin> = ["s1", "s2", "s3"].map(named).into();
    let lb = crate::support::Lb::start(&format!(
        "[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\ncookie = \"SRV\"\nserver = [\
         {{ address = \"{}\", cookie = \"a\", group = \"old\" }}, \
         {{ address = \"{}\", cookie = \"b\", group = \"new\" }}, \
         {{ address = \"{}\", cookie = \"c\", backup = true }}]\n\
         [listen.groups]\nweights.static = {{ old = 100, new = 0 }}\n",
        servers[0].addr(),
        servers[1].addr(),
        servers[2].addr()
    ));
    for _ in 0..5 {
        for (cookie, name) in [
            ("", "s1"),
            ("SRV=b", "s2"),
            ("SRV=c", "s3"),
            ("SRV=a", "s1"),
        ] {
            let got = super::get(lb.addr(), &[cookie]);
            assert_eq!(got.body, name, "{cookie}");
            assert_eq!(got.set().is_empty(), !cookie.is_empty());
        }
    }
}

#[test]
fn an_added_server_has_the_cookie_it_is_given_or_one_of_its_own() {
    let (_servers, bench) = three();
    let more = [named("s4"), named("s5")];
    let added = |n: usize, words: &str| {
        let addr = more[n - 4].addr();
        let command = format!("add server web/s{n} {addr} up {words}");
        ask(&bench.socket(), &command)
    };
    assert!(added(4, "cookie c4").contains("New server registered"));
    assert_eq!(bench.get(&["SRV=c4"]).body, "s4");
    assert!(added(5, "cookie a,b").contains("'cookie' expects a value"));
    // Another has it, too: it keeps it, and this one gets its own.
    assert!(added(5, "cookie c4").contains("New server registered"));
    assert_eq!(bench.get(&["SRV=c4"]).body, "s4");
    let rows = stat(&bench.socket());
    let cell = |row: &[(String, String)], name: &str| {
        let cell = row.iter().find(|(column, _)| column == name);
        cell.unwrap().1.clone()
    };
    let of = |name: &str| {
        let row = rows.iter().find(|row| cell(row, "svname") == name).unwrap();
        cell(row, "cookie")
    };
    assert_eq!(
        (of("FRONTEND"), of("BACKEND")),
        (String::new(), "SRV".to_owned())
    );
    assert_eq!((of("s1"), of("s4")), ("c1".to_owned(), "c4".to_owned()));
    let own = of("s5");
    assert!(
        own.len() == 16 && own.bytes().all(|b| b.is_ascii_hexdigit()),
        "{own}"
    );
    assert_eq!(bench.get(&[&format!("SRV={own}")]).body, "s5");
    let explained = ask(&bench.socket(), "explain GET http://test/");
    assert!(explained.contains("cookie SRV=c1"), "{explained}");
}

#[test]
fn derived_values_depend_on_address_and_key_alone() {
    let server = named("s1");
    let set = |name: &str, key: &str| {
        let lb = crate::support::Lb::start(&format!(
            "[[listen]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\n\
             server = {{ name = \"{name}-1\", address = \"{}\" }}\n\
             cookie = {{ name = \"SRV\"{key} }}\n",
            server.addr()
        ));
        super::get(lb.addr(), &[]).set().to_owned()
    };
    let plain = set("web", "");
    assert_eq!(plain, set("shop", ""));
    let keyed = set("web", ", key = \"k\"");
    assert_ne!(plain, keyed);
    assert_eq!(keyed, set("shop", ", key = \"k\""));
}
