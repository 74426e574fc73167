//! Every byte of a connection arrives, whatever it came in.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use super::{answer, config, config_on, echo, hello, in_records, name_of, routed, sent};
use crate::support::{Lb, connect, free_addr};

#[test]
fn pieces_and_records_of_any_size_arrive_as_they_were_sent() {
    let (lb, _servers) = routed();
    let whole = hello("shop.test", &["h2"]);
    for bytes in [whole.clone(), in_records(&whole, 7), in_records(&whole, 1)] {
        let mut stream = lb.connect("tls");
        stream.set_nodelay(true).unwrap();
        for byte in &bytes {
            stream.write_all(&[*byte]).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer(stream), ("h2".to_owned(), bytes));
    }
}

#[test]
fn a_hello_is_waited_for_across_pauses() {
    let (lb, servers) = routed();
    let hello = hello("shop.test", &[]);
    let (first, rest) = hello.split_at(hello.len() / 2);
    let mut stream = lb.connect("tls");
    stream.write_all(first).unwrap();
    // Another client is served meanwhile, by the same worker.
    assert_eq!(sent(&lb, &hello).0, "shop");
    let connections: usize = servers.iter().map(|(_, server)| server.connections()).sum();
    assert_eq!(connections, 1, "no server was asked for half a hello");
    stream.write_all(rest).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer(stream), ("shop".to_owned(), hello));
}

#[test]
fn a_refused_connect_is_tried_elsewhere_with_every_byte() {
    let (dead, alive) = (free_addr(), echo("alive"));
    let backend = format!(
        "[[backend]]\nname = \"shop\"\nmode = \"tcp\"\nserver = [\"{dead}\", \"{}\"]\n",
        alive.addr()
    );
    let lb =
        Lb::start(&(config("{ sni = \"shop.test\", backend = \"shop\" }", "", &[]) + &backend));
    let hello = hello("shop.test", &["h2"]);
    for _ in 0..4 {
        assert_eq!(sent(&lb, &hello), ("alive".to_owned(), hello.clone()));
    }
}

#[test]
fn bulk_behind_the_hello_is_whole() {
    let (lb, _servers) = routed();
    let hello = hello("shop.test", &[]);
    let bulk: Vec<u8> = (0..4_u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut stream = lb.connect("tls");
    let mut writer = stream.try_clone().unwrap();
    let (who, echoed) = std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&hello).unwrap();
            writer.write_all(&bulk).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let who = name_of(&mut stream);
        let mut echoed = Vec::new();
        stream.read_to_end(&mut echoed).unwrap();
        (who, echoed)
    });
    assert_eq!(who, "shop");
    assert_eq!(echoed.len(), hello.len() + bulk.len());
    assert!(echoed == [hello, bulk].concat(), "not what was sent");
}

#[test]
fn a_reload_moves_new_hellos_and_leaves_sessions_alone() {
    let (one, two) = (echo("one"), echo("two"));
    let bind = free_addr();
    let both = [("one", one.addr()), ("two", two.addr())];
    let to = |backend: &str| {
        let routes = format!("{{ sni = \"shop.test\", backend = \"{backend}\" }}");
        let more = "default_backend = \"one\"";
        let config = config_on(bind, &routes, more, &both);
        format!("[global]\nworkers = 1\nadmin = \"\"\n{config}")
    };
    let lb = Lb::start_whole(&to("one"));
    let hello = hello("shop.test", &[]);
    let mut old = connect(bind);
    old.write_all(&hello).unwrap();
    assert_eq!(name_of(&mut old), "one");
    let mut half = connect(bind);
    half.write_all(&hello[..30]).unwrap();
    lb.apply(&to("two")).unwrap();
    // Half a hello is nobody's yet.
    half.write_all(&hello[30..]).unwrap();
    assert_eq!(name_of(&mut half), "two");
    old.write_all(b"on and on").unwrap();
    old.shutdown(Shutdown::Write).unwrap();
    let mut echoed = Vec::new();
    old.read_to_end(&mut echoed).unwrap();
    assert_eq!(echoed, [&hello[..], b"on and on"].concat());
}

#[test]
fn a_proxy_header_comes_before_the_hello() {
    let shop = echo("shop");
    let config = config(
        "{ sni = \"shop.test\", backend = \"shop\" }",
        "",
        &[("shop", shop.addr())],
    );
    let bind = "bind = { address = \"127.0.0.1:0\", proxy_protocol = true }";
    let lb = Lb::start(&config.replace("bind = \"127.0.0.1:0\"", bind));
    let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n";
    let hello = hello("shop.test", &["h2"]);
    for cut in [
        1,
        header.len(),
        header.len() + 3,
        header.len() + hello.len(),
    ] {
        let bytes = [&header[..], &hello].concat();
        let mut stream = lb.connect("tls");
        stream.set_nodelay(true).unwrap();
        stream.write_all(&bytes[..cut]).unwrap();
        stream.write_all(&bytes[cut..]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(answer(stream), ("shop".to_owned(), hello.clone()), "{cut}");
    }
}
