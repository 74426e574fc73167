//! Sticky sessions by cookie, for HTTP/2 on either side.

use super::client::{Client, field, request};
use super::{h2_to_h2, h2c, listen};
use crate::support::{Answer, Lb, Origin, RawClient};

/// A server that sets a cookie of the same name, and another.
fn origin() -> Origin {
    Origin::answering(|_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: SRV=own\r\nSet-Cookie: a=b\r\n\r\nok";
        Answer::Keep(head.as_bytes().to_vec())
    })
}

/// What an HTTP/2 client is set, and whether caches may keep it.
fn asked(lb: &Lb, crumbs: &[&str]) -> (Vec<String>, bool) {
    let with = |request, crumb: &&str| field(request, "cookie", crumb);
    let asked = crumbs.iter().fold(request("GET", "/"), with);
    let answer = Client::connect(lb.addr()).ask(asked, None).unwrap();
    assert_eq!(&answer.body[..], b"ok");
    let fields = answer.head.headers();
    let set = fields.get_all("set-cookie").iter();
    let set = set.map(|line| line.to_str().unwrap().to_owned()).collect();
    (
        set,
        fields.get("cache-control").is_some_and(|v| v == "private"),
    )
}

#[test]
fn crumbs_are_read_one_is_hidden_and_answers_are_the_same() {
    let origin = origin();
    let given = |keys: &str| {
        let server = format!(
            "server = {{ address = \"{}\", cookie = \"c1\" }}",
            origin.addr()
        );
        let text = listen("web", origin.addr(), keys);
        let written = format!("server = \"{}\"", origin.addr());
        Lb::start(&text.replace(&written, &server))
    };
    let lb = given("cookie = \"SRV\"");
    let set = "SRV=c1; path=/; HttpOnly";
    assert_eq!(
        asked(&lb, &["x=y"]),
        (vec!["a=b".to_owned(), set.to_owned()], true)
    );
    assert_eq!(
        asked(&lb, &["x=y", "SRV=c1", "z=1"]),
        (vec!["a=b".to_owned()], false)
    );
    let requests = origin.requests();
    let cookies = |n: usize| requests[n].head.fields("cookie").join("|");
    assert_eq!(
        (cookies(0), cookies(1)),
        ("x=y".to_owned(), "x=y; z=1".to_owned())
    );
}

#[test]
fn an_http2_server_and_an_http1_client_make_no_difference() {
    let origin = origin();
    let last = h2c(origin.addr(), "");
    let lb = h2_to_h2(last.addr(), "cookie = \"SRV\"");
    let (set, is_private) = asked(&lb, &[]);
    assert_eq!((set.len(), &*set[0], is_private), (2, "a=b", true));
    let value = set[1].split(';').next().unwrap();
    assert!(value.starts_with("SRV=") && value.len() == 20, "{value}");
    assert_eq!(asked(&lb, &[value, "x=y"]), (vec!["a=b".to_owned()], false));
    let mut client = RawClient::connect(lb.addr());
    for (cookie, is_new) in [("x=1", true), (value, false)] {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: test\r\nCookie: {cookie}\r\n\r\n"
        ));
        let (head, _) = client.read_response();
        let fields = head.fields("set-cookie");
        assert_eq!(
            (fields[0], fields.len() == 2),
            ("a=b", is_new),
            "{}",
            head.0
        );
    }
    let requests = origin.requests();
    let cookies: Vec<_> = requests
        .iter()
        .map(|r| r.head.fields("cookie").join("|"))
        .collect();
    assert_eq!(cookies, ["", "x=y", "x=1", ""]);
}
