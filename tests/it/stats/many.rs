//! A thousand servers.

use std::time::Instant;

use super::get;
use crate::support::{Lb, RawClient, free_addr};

/// The promise for a release build is `;csv` in 20 ms; a test only says what it took.
#[test]
fn a_thousand_servers_are_rows_and_a_small_page() {
    let (lb, addr) = thousand("");
    let (_, csv) = get(addr, "/haproxy_stats;csv", "");
    let before = Instant::now();
    let (_, again) = get(addr, "/haproxy_stats;csv", "");
    println!("{} KiB of CSV in {:?}", again.len() >> 10, before.elapsed());
    let servers = csv.lines().filter(|line| line.starts_with("app,srv"));
    assert_eq!(servers.count(), 1000);
    let text = "GET /haproxy_stats HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n";
    let before = Instant::now();
    let (_, zipped) = RawClient::connect(addr).send(text).read_response();
    println!(
        "{} KiB of page, compressed, in {:?}",
        zipped.len() >> 10,
        before.elapsed()
    );
    assert!(zipped.len() < 400 << 10);
    drop(lb);
}

/// An engine with a page and a backend `app` of a thousand.
pub(super) fn thousand(stats: &str) -> (Lb, std::net::SocketAddr) {
    let addr = free_addr();
    let server = |number: usize| {
        format!(
            "{{ name = \"srv{number:04}\", address = \"127.0.1.{}:{}\" }},\n",
            number % 250,
            1 + number / 250
        )
    };
    let servers: String = (0..1000).map(server).collect();
    let lb = Lb::start(&format!(
        "[stats]\nbind = \"{addr}\"\n{stats}\n\
         [[listen]]\nname = \"app\"\nbind = \"127.0.0.1:0\"\nserver = [\n{servers}]\n"
    ));
    (lb, addr)
}
