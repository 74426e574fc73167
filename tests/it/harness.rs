//! The harness tested against itself: real parts and scripted ones, rlb left out.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use crate::support::real::{self, Part};
use crate::support::{Answer, Origin, PATIENCE, RawClient, Rlb, answers, free_addr, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn raw_client_and_scripted_origin_speak() {
    let origin = Origin::answering(|request| match request.head.first_line() {
        "GET /last HTTP/1.1" => Answer::Close(b"HTTP/1.1 200 OK\r\n\r\nbye".to_vec()),
        _ => {
            Answer::Keep(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: 1\r\nx: 2\r\n\r\nok".to_vec())
        }
    });
    let mut client = RawClient::connect(origin.addr());
    let post =
        "POST /b HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    client
        .send(GET)
        .send(post)
        .send("GET /last HTTP/1.1\r\n\r\n");
    for _ in 0..2 {
        let (head, body) = client.read_response();
        assert_eq!((head.status(), body.as_slice()), (200, b"ok".as_slice()));
        assert_eq!(head.fields("X"), ["1", "2"]);
    }
    assert_eq!(client.read_head().status(), 200);
    assert_eq!(client.read_until_close(), b"bye");

    let requests = origin.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[1].body, b"3\r\nabc\r\n0\r\n\r\n");
    assert!(requests.iter().all(|request| request.connection == 0));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_dropped_origin_closes_its_connections_and_its_port() {
    let origin = Origin::answering(|_| Answer::Silence);
    let addr = origin.addr();
    let mut client = RawClient::connect(addr);
    client.send(GET).finish_sending();
    wait_until(PATIENCE, "the request is read", || {
        origin.requests().len() == 1
    });
    drop(origin);
    assert_eq!(client.read_until_close(), b"");
    assert!(!answers(addr));
}

#[test]
fn an_origin_comes_back_on_its_address() {
    let first = Origin::raw(|mut stream, number| drop(write!(stream, "first {number}")));
    assert_eq!(
        RawClient::connect(first.addr()).read_until_close(),
        b"first 0"
    );
    let addr = first.addr();
    drop(first);
    let second = Origin::raw_at(addr, |mut stream, number| {
        drop(write!(stream, "second {number}"))
    });
    assert_eq!(
        RawClient::connect(second.addr()).read_until_close(),
        b"second 0"
    );
}

#[test]
fn a_free_address_can_be_bound() {
    TcpListener::bind(free_addr()).unwrap();
}

#[test]
#[should_panic(expected = "ended before it was ready")]
fn an_rlb_that_refuses_its_file_is_reported_with_its_words() {
    Rlb::with("this is not a configuration")
        .arg("-q")
        .ready_on(free_addr())
        .start();
}

#[test]
fn nginx_serves_files_and_logs_what_it_was_asked() {
    let Some(nginx) = real::nginx("location = /ready { return 204; }") else {
        return;
    };
    std::fs::write(nginx.root().join("a"), "file").unwrap();
    let mut client = RawClient::connect(nginx.addr());
    assert_eq!(client.send(GET).read_response().1, b"file");
    assert_eq!(
        client
            .send("HEAD /ready HTTP/1.1\r\nHost: h\r\n\r\n")
            .read_head()
            .status(),
        204
    );
    wait_until(PATIENCE, "two lines in the log", || {
        nginx.access_log().len() == 2
    });
    assert!(nginx.access_log()[1].starts_with(r#""HEAD /ready HTTP/1.1" 204 host=h xff=-"#));
}

#[test]
fn a_frozen_nginx_answers_once_it_thaws() {
    let Some(nginx) = real::nginx("location / { return 200 ok; }") else {
        return;
    };
    nginx.freeze();
    let mut client = RawClient::connect(nginx.addr());
    client.send(GET);
    nginx.thaw();
    assert_eq!(client.read_response().1, b"ok");
}

#[test]
fn haproxy_forwards_to_a_scripted_origin() {
    let origin = Origin::ok("through");
    let Some(haproxy) = real::haproxy(&format!("  server s1 {}", origin.addr())) else {
        return;
    };
    let (head, body) = RawClient::connect(haproxy.addr()).send(GET).read_response();
    assert_eq!(
        (head.status(), body.as_slice()),
        (200, b"through".as_slice()),
        "{}",
        haproxy.stderr()
    );
    assert_eq!(origin.requests()[0].head.first_line(), "GET /a HTTP/1.1");
}

#[test]
fn curl_wrk_and_ab_load_a_scripted_origin() {
    let origin = Origin::ok("hello");
    let url = format!("http://{}/", origin.addr());
    if let Some(curl) = real::tool(Part::Curl) {
        let said = curl.run(["-sS", &url]);
        assert!(said.status.success(), "{}", said.stderr);
        assert_eq!(said.stdout, "hello");
    }
    if let Some(wrk) = real::tool(Part::Wrk) {
        assert!(
            wrk.run(["-t1", "-c2", "-d1s", &url])
                .stdout
                .contains("Requests/sec")
        );
    }
    if let Some(ab) = real::tool(Part::Ab) {
        // An HTTP/1.0 client without keep-alive reads until the connection ends.
        let closing =
            Origin::answering(|_| Answer::Close(b"HTTP/1.0 200 OK\r\n\r\nhello".to_vec()));
        let said = ab.run(["-n20", "-c2", &format!("http://{}/", closing.addr())]);
        assert!(
            said.stdout.contains("Complete requests:      20"),
            "{}",
            said.stdout
        );
    }
}

#[test]
fn chromium_runs_a_page() {
    let Some(chromium) = real::chromium() else {
        return;
    };
    let origin = Origin::ok("<body><script>document.body.append(6 * 7)</script></body>");
    let dom = chromium.dump_dom(&format!("http://{}/", origin.addr()));
    assert!(dom.contains("42"), "{dom}");
}

#[test]
#[should_panic(expected = "not within 20ms: never")]
fn waiting_ends() {
    wait_until(Duration::from_millis(20), "never", || false);
}
