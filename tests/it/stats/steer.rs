//! Forms: HAProxy's and the page's own.

use super::{ANN, Page, cell, get, request};
use crate::support::{End, Lb, Origin, RawClient};

fn status(page: &Page, server: &str, column: &str) -> String {
    let (_, csv) = get(page.addr, "/haproxy_stats;csv", ANN);
    cell(&csv, "web", server, column)
}

/// The code in the answer's URL.
#[track_caller]
fn post(page: &Page, fields: &str, body: &str) -> String {
    let fields = format!("{ANN}{fields}");
    let (head, _) = request(page.addr, "POST", "/haproxy_stats", &fields, body);
    assert_eq!(head.status(), 303, "{body}: {}", head.0);
    let location = head.field("location").unwrap();
    location
        .strip_prefix("/haproxy_stats;st=")
        .unwrap()
        .to_owned()
}

#[test]
fn haproxys_actions_do_what_they_say() {
    let page = Page::steered();
    for (action, expected) in [
        ("drain", "DRAIN"),
        ("maint", "MAINT"),
        ("ready", "no check"),
        ("hnolb", "NOLB"),
        ("hdown", "DOWN"),
        ("hrunn", "no check"),
        ("disable", "MAINT"),
        ("enable", "no check"),
        ("stop", "DRAIN"),
        ("start", "no check"),
    ] {
        let form = format!("s=s1&action={action}&b=web");
        assert_eq!(post(&page, "", &form), "DONE", "{action}");
        assert_eq!(status(&page, "s1", "status"), expected, "{action}");
    }
    assert_eq!(
        post(&page, "", "b=web&s=s1&s=s2&action=weight&weight=50%25"),
        "DONE"
    );
    assert_eq!(status(&page, "s1", "weight"), "5");
    assert_eq!(post(&page, "", "b=web&s=s1&action=clear"), "DONE");
    assert_eq!(status(&page, "s1", "weight"), "10");
}

#[test]
fn codes_tell_what_came_of_a_form() {
    let page = Page::steered();
    let iid = status(&page, "s1", "iid");
    for (form, code) in [
        (format!("b=%23{iid}&s=s1&action=drain"), "DONE"),
        ("b=web&s=s1&s=nope&action=ready".to_owned(), "PART"),
        ("b=web&action=ready".to_owned(), "NONE"),
        ("b=web&s=s1&action=explode".to_owned(), "ERRP"),
        ("b=nope&s=s1&action=ready".to_owned(), "ERRP"),
        ("b=web&s=nope&action=ready".to_owned(), "ERRP"),
        ("b=web&s=s1&action=arunn".to_owned(), "ERRP"),
        ("b=web&s=s1&action=weight&weight=999".to_owned(), "ERRP"),
        ("b=web&s=%zz&action=ready".to_owned(), "IVAL"),
        (
            format!("b=web&action=ready{}", "&s=s1".repeat(20_000)),
            "EXCD",
        ),
    ] {
        assert_eq!(post(&page, "", &form), code, "{form:.60}");
    }
    // What was looked at stays.
    let form = "b=web&s=s1&action=ready";
    let (head, _) = request(page.addr, "POST", "/haproxy_stats;up;scope=we", ANN, form);
    let location = head.field("location");
    assert_eq!(location, Some("/haproxy_stats;up;scope=we;st=DONE"));
    let (_, html) = get(page.addr, "/haproxy_stats;st=PART", ANN);
    assert!(html.contains("\"outcome\":\"PART\""));
}

#[test]
fn a_chunked_form_is_a_form() {
    let page = Page::steered();
    let text = format!(
        "POST /haproxy_stats HTTP/1.1\r\nHost: x\r\n{ANN}Transfer-Encoding: chunked\r\n\r\n\
         7\r\nb=web&s\r\n10\r\n=s1&action=drain\r\n0\r\n\r\n"
    );
    let (head, _) = RawClient::connect(page.addr).send(text).read_response();
    assert_eq!(head.field("location"), Some("/haproxy_stats;st=DONE"));
    assert_eq!(status(&page, "s1", "status"), "DRAIN");
}

#[test]
fn nobody_steers_without_leave() {
    let page = Page::with(&["auth = \"ann:secret\""]);
    let form = "b=web&s=s1&action=drain";
    assert_eq!(post(&page, "", form), "DENY");
    assert_eq!(status(&page, "s1", "status"), "no check");
    let page = Page::steered();
    let (head, _) = request(page.addr, "POST", "/haproxy_stats", "", form);
    assert_eq!(head.status(), 401);
    assert_eq!(status(&page, "s1", "status"), "no check");
}

#[test]
fn other_sites_cannot_steer_with_their_readers_password() {
    let page = Page::steered();
    let form = "b=web&s=s1&action=maint";
    let (_, html) = get(page.addr, "/haproxy_stats", ANN);
    let token = html.split("\"token\":\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    let with_token = format!("{form}&token={token}");
    let here = format!("Origin: http://{}\r\n", page.addr);
    for fields in [
        "Origin: http://evil.example\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        "Sec-Fetch-Site: cross-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\n".to_owned(),
        "Referer: http://evil.example/x\r\n".to_owned(),
    ] {
        assert_eq!(post(&page, &fields, form), "DENY", "{fields}");
        assert_eq!(post(&page, &fields, &with_token), "DENY", "{fields}");
    }
    // Even the page's own origin needs the token.
    assert_eq!(post(&page, &here, form), "DENY");
    assert_eq!(post(&page, &here, &format!("{form}&token=x")), "DENY");
    assert_eq!(status(&page, "s1", "status"), "no check");
    let same = format!("{here}Sec-Fetch-Site: same-origin\r\n");
    assert_eq!(post(&page, &same, &with_token), "DONE");
    assert_eq!(status(&page, "s1", "status"), "MAINT");
}

#[test]
fn through_a_frontend_too() {
    let page = Page::steered();
    let (addr, path) = page.places()[1];
    let form = "b=web&s=s2&action=drain";
    let (head, _) = request(addr, "POST", path, ANN, form);
    assert_eq!(head.field("location"), Some("/haproxy?stats;st=DONE"));
    assert_eq!(status(&page, "s2", "status"), "DRAIN");
    let fields = format!("{ANN}Accept: application/json\r\n");
    let (head, body) = request(addr, "POST", path, &fields, "b=web&s=x&action=ready");
    assert_eq!(head.status(), 200);
    assert_eq!(body, "{\"more\":\"no server `x`\",\"outcome\":\"ERRP\"}");
}

#[test]
fn sessions_of_a_server_are_shut_down() {
    let origin = Origin::raw(|stream, _| {
        let _ = std::io::copy(&mut &stream, &mut &stream);
    });
    let addr = crate::support::free_addr();
    let lb = Lb::start(&format!(
        "[stats]\nbind = \"{addr}\"\nauth = \"ann:secret\"\nadmin = true\n\
         [[listen]]\nname = \"db\"\nmode = \"tcp\"\nbind = \"127.0.0.1:0\"\n\
         server = {{ name = \"d1\", address = \"{}\" }}\n",
        origin.addr()
    ));
    let mut client = lb.client();
    assert_eq!(client.send("hello").read_bytes(5), b"hello");
    let form = "b=db&s=d1&action=shutdown";
    let (head, _) = request(addr, "POST", "/haproxy_stats", ANN, form);
    assert_eq!(head.field("location"), Some("/haproxy_stats;st=DONE"));
    assert!(matches!(client.read_end(), (rest, End::Fin | End::Reset) if rest.is_empty()));
}
