//! Each request on a connection is one to a server with a limit.

use std::time::Duration;

use super::client::Client;
use super::{h2_to_h2, h2c};
use crate::support::{Answer, Lb, Origin, PATIENCE, dawdle, wait_until};

/// Long enough for others to come meanwhile.
const WORK: Duration = Duration::from_millis(100);

/// Answers after a while.
fn slow(work: Duration) -> Origin {
    Origin::answering(move |_| {
        dawdle(work);
        Answer::Keep(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
    })
}

fn at_rest(lb: &Lb, server: &str) {
    wait_until(PATIENCE, "rest", || {
        let server = lb.server("web", server);
        (server.current, server.places, lb.queued("web")) == (0, 0, 0)
    });
}

#[test]
fn requests_of_one_connection_wait_for_each_other() {
    let origin = slow(WORK);
    let lb = h2c(
        origin.addr(),
        "server_maxconn = 1\ntimeouts = { queue = \"30s\" }",
    );
    let mut client = Client::connect(lb.addr());
    let answers = client.get_at_once("/", 5);
    assert!(answers.iter().all(|answer| answer.head.status() == 200));
    // One after the other on one connection: there were never two.
    assert_eq!(origin.connections(), 1);
    at_rest(&lb, &origin.addr().to_string());
}

#[test]
fn who_waits_too_long_is_told() {
    let origin = slow(WORK * 10);
    let lb = h2c(
        origin.addr(),
        "server_maxconn = 1\ntimeouts = { queue = \"20ms\" }",
    );
    let mut client = Client::connect(lb.addr());
    let mut statuses: Vec<u16> = client
        .get_at_once("/", 3)
        .iter()
        .map(|answer| answer.head.status().as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503, 503]);
    at_rest(&lb, &origin.addr().to_string());
}

#[test]
fn a_connection_that_ends_leaves_the_queue() {
    let origin = slow(WORK);
    let lb = h2c(
        origin.addr(),
        "server_maxconn = 1\ntimeouts = { queue = \"30s\" }",
    );
    let mut client = Client::connect(lb.addr());
    client.send_at_once("/", 20);
    wait_until(PATIENCE, "some wait", || lb.queued("web") > 5);
    drop(client);
    at_rest(&lb, &origin.addr().to_string());
    assert!(origin.requests().len() < 20, "most never got there");
}

#[test]
fn servers_of_http_2_have_places_too() {
    let inner = slow(WORK);
    let server = h2c(inner.addr(), "");
    let lb = h2_to_h2(
        server.addr(),
        "server_maxconn = 2\ntimeouts = { queue = \"30s\" }",
    );
    let mut client = Client::connect(lb.addr());
    let answers = client.get_at_once("/", 6);
    assert!(answers.iter().all(|answer| answer.head.status() == 200));
    assert!(inner.connections() <= 2, "{}", inner.connections());
    at_rest(&lb, &server.addr().to_string());
}
