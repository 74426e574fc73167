//! Request heads as sent to the server.

use std::net::{IpAddr, Ipv6Addr};

use super::super::{Client, write_request};
use super::read;
use crate::config::{Forwarded, ForwardedFor, ForwardedPort};

/// Not what is looked at in most tests.
fn silent() -> Forwarded {
    Forwarded {
        for_: ForwardedFor::Off,
        proto: false,
        port: ForwardedPort::Off,
        host: false,
        ..Forwarded::default()
    }
}

fn client() -> Client<'static> {
    Client {
        ip: IpAddr::from([192, 0, 2, 1]),
        ip_text: b"192.0.2.1",
        local_port_text: b"8080",
        https: false,
        trusted: false,
        request_id: None,
        websocket_key: None,
        certificate: None,
    }
}

fn trusted() -> Client<'static> {
    Client {
        trusted: true,
        ..client()
    }
}

fn sent(head: &str, rules: &Forwarded, client: &Client<'_>) -> String {
    let mut out = Vec::new();
    read(head.as_bytes(), |head| {
        write_request(head, rules, client, &mut out)
    })
    .unwrap()
    .unwrap();
    String::from_utf8(out).unwrap()
}

/// The fields after Host that are sent for these fields after Host.
fn fields(fields: &str, rules: &Forwarded, client: &Client<'_>) -> String {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let sent = sent(&head, rules, client);
    let rest = sent.strip_prefix("GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
    rest.strip_suffix("\r\n").unwrap().to_owned()
}

#[test]
fn a_head_is_built_anew() {
    let head = "PUT http://b:81 HTTP/1.0\r\nAccept:a\r\nx-Odd:  b\t\r\nHost: a\r\n\
                Content-Length: 007\r\nB: c\r\n\r\n";
    assert_eq!(
        sent(head, &silent(), &client()),
        "PUT / HTTP/1.1\r\nHost: b:81\r\nAccept: a\r\nx-Odd: b\r\nB: c\r\nContent-Length: 7\r\n\r\n"
    );
}

#[test]
fn a_1_0_request_without_host_gets_one() {
    // 9112 3.2.
    let sent = sent("GET / HTTP/1.0\r\n\r\n", &Forwarded::default(), &client());
    assert!(
        sent.starts_with("GET / HTTP/1.1\r\nHost: localhost\r\n"),
        "{sent}"
    );
    assert!(!sent.contains("X-Forwarded-Host"), "{sent}");
}

#[test]
fn order_and_repetition_are_kept() {
    // 9110 5.3.
    let lines = "A: 1\r\nB: 2\r\nCookie: a\r\nA: 3\r\nCookie: b\r\n";
    assert_eq!(fields(lines, &silent(), &client()), lines);
}

#[test]
fn hop_by_hop_fields_are_removed() {
    // 9110 7.6.1.
    for (came, goes) in [
        ("Connection: close\r\n", ""),
        ("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", ""),
        ("Proxy-Connection: keep-alive\r\n", ""),
        ("Connection: HTTP2-Settings\r\nHTTP2-Settings: AAAA\r\n", ""),
        ("HTTP2-Settings: AAAA\r\n", ""),
        (
            "Trailer: X\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\n",
        ),
        (
            "X: 1\r\nConnection: x , Y\r\nY: 2\r\nx: 3\r\nZ: 4\r\n",
            "Z: 4\r\n",
        ),
        ("Connection: a\r\nA: 1\r\nB: 2\r\nconnection: b\r\n", ""),
        ("Connection: aa\r\nA: 1\r\nAAA: 2\r\n", "A: 1\r\nAAA: 2\r\n"),
        ("Upgrade: websocket\r\n", ""),
        ("Connection: upgrade\r\nUpgrade: h2c\r\n", ""),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nX: 1\r\n",
            "X: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        ),
        // 9110 10.1.4.
        ("TE: gzip\r\nConnection: TE\r\n", ""),
        (
            "TE: gzip;q=0.5, trailers\r\nConnection: TE\r\n",
            "Connection: TE\r\nTE: trailers\r\n",
        ),
        // CVE-2026-26365: not what we need, set, or cannot do without.
        (
            "Connection: Host, Content-Length, Cookie, Authorization\r\nContent-Length: 0\r\n\
             Cookie: a\r\nAuthorization: b\r\n",
            "Cookie: a\r\nAuthorization: b\r\nContent-Length: 0\r\n",
        ),
    ] {
        assert_eq!(fields(came, &silent(), &client()), goes, "{came:?}");
    }
}

#[test]
fn underscores_do_not_shadow() {
    let came = "X_Forwarded_For: 1\r\nContent_Length: 2\r\nX_Other: 3\r\n";
    assert_eq!(fields(came, &silent(), &client()), "X_Other: 3\r\n");
}

#[test]
fn expect_passes_on_from_1_1() {
    // 9110 10.1.1.
    let head = |version| {
        format!(
            "PUT / HTTP/{version}\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
        )
    };
    let recent = sent(&head("1.1"), &silent(), &client());
    assert!(recent.contains("\r\nExpect: 100-continue\r\n"), "{recent}");
    let old = sent(&head("1.0"), &silent(), &client());
    assert!(!old.contains("Expect"), "{old}");
}

#[test]
fn max_forwards_counts_down() {
    // 9110 7.6.2.
    let head = |method| format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n");
    assert!(sent(&head("OPTIONS"), &silent(), &client()).contains("Max-Forwards: 6\r\n"));
    assert!(sent(&head("GET"), &silent(), &client()).contains("Max-Forwards: 7\r\n"));
}

#[test]
fn an_untrusted_peer_is_told_about_truthfully() {
    let forged = "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-proto: https\r\nX-FORWARDED-PORT: 1\r\n\
                  X-Forwarded-Host: x\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-Proto: y\r\n\
                  x-forwarded-for:2.2.2.2\r\n";
    assert_eq!(
        fields(forged, &Forwarded::default(), &client()),
        "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Port: 8080\r\nX-Forwarded-Host: a\r\n"
    );
    let replace = Forwarded {
        for_: ForwardedFor::Replace,
        proto: false,
        port: ForwardedPort::Fixed(443),
        host: false,
        rfc7239: true,
        ..Forwarded::default()
    };
    assert_eq!(
        fields(forged, &replace, &client()),
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Port: 443\r\n\
         Forwarded: for=192.0.2.1;host=\"a\";proto=http\r\n"
    );
    // Off means hands off for X-Forwarded-For; the rest is removed all the same.
    assert_eq!(
        fields(forged, &silent(), &client()),
        "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n"
    );
}

#[test]
fn what_a_trusted_peer_says_is_kept_and_completed() {
    let came = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n";
    for for_ in [ForwardedFor::Append, ForwardedFor::Replace] {
        let rules = Forwarded {
            for_,
            ..Forwarded::default()
        };
        assert_eq!(
            fields(came, &rules, &trusted()),
            "X-Forwarded-Proto: https\r\nX-Forwarded-For: 1.1.1.1, 192.0.2.1\r\n\
             X-Forwarded-Port: 8080\r\nX-Forwarded-Host: a\r\n"
        );
    }
    let rules = Forwarded {
        rfc7239: true,
        ..silent()
    };
    assert_eq!(
        fields("Forwarded: for=1.1.1.1\r\n", &rules, &trusted()),
        "Forwarded: for=1.1.1.1\r\nForwarded: for=192.0.2.1;host=\"a\";proto=http\r\n"
    );
}

#[test]
fn an_ipv6_address_is_quoted_in_forwarded() {
    // RFC 7239 6.
    let client = Client {
        ip: IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip_text: b"::1",
        https: true,
        ..client()
    };
    let rules = Forwarded {
        rfc7239: true,
        ..Forwarded::default()
    };
    assert_eq!(
        fields("", &rules, &client),
        "X-Forwarded-For: ::1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8080\r\n\
         X-Forwarded-Host: a\r\nForwarded: for=\"[::1]\";host=\"a\";proto=https\r\n"
    );
}

#[test]
fn via_is_appended_with_the_version_as_received() {
    // 9110 7.6.3.
    let rules = Forwarded {
        via: Some("rlb".to_owned()),
        ..silent()
    };
    assert_eq!(
        fields("Via: 1.0 x\r\n", &rules, &client()),
        "Via: 1.0 x\r\nVia: 1.1 rlb\r\n"
    );
}

#[test]
fn a_request_id_is_made_where_no_trusted_peer_sent_one() {
    let rules = Forwarded {
        request_id: Some("X-Request-Id".to_owned()),
        ..silent()
    };
    let with_id = |client| Client {
        request_id: Some(b"new"),
        certificate: None,
        ..client
    };
    let came = "x-request-id: old\r\n";
    let new = "X-Request-Id: new\r\n";
    assert_eq!(fields(came, &rules, &with_id(client())), new);
    assert_eq!(fields("", &rules, &with_id(client())), new);
    assert_eq!(fields(came, &rules, &with_id(trusted())), came);
    assert_eq!(fields("", &rules, &with_id(trusted())), new);
    // What Connection names goes no further, so nobody behind us has it.
    let named = "Connection: x-request-id\r\nx-request-id: old\r\n";
    assert_eq!(fields(named, &rules, &with_id(trusted())), new);
}
