//! Clients that take a request back while we connect to its server.

use super::raw::{RST_STREAM, Raw};
use super::{h2_to_h2, h2c};
use crate::support::{DeafOrigin, Lb, PATIENCE, wait_until};

const CANCEL: [u8; 4] = [0, 0, 0, 8];
const FOR_EVER: &str =
    "retries = 0\ntimeouts = { connect = \"1h\", server = \"1h\", client = \"1h\" }";

#[track_caller]
fn under_way(lb: &Lb, name: &str, requests: u64) {
    let what = format!("{requests} under way at {name}");
    wait_until(PATIENCE, &what, || {
        lb.server("web", name).current == requests
    });
}

#[test]
fn a_stream_that_is_reset_is_noticed_and_the_connection_stays() {
    let origin = DeafOrigin::listen();
    let name = &*origin.addr().to_string();
    for lb in [
        h2c(origin.addr(), FOR_EVER),
        h2_to_h2(origin.addr(), FOR_EVER),
    ] {
        let mut client = Raw::connect(lb.addr());
        // One dials; where the server speaks HTTP/2 the others wait for it.
        client.get(1).get(3).get(5);
        under_way(&lb, name, 3);
        client.send(RST_STREAM, 0, 1, &CANCEL);
        client.send(RST_STREAM, 0, 5, &CANCEL);
        under_way(&lb, name, 1);
        client.send(RST_STREAM, 0, 3, &CANCEL);
        under_way(&lb, name, 0);
        assert!(client.is_alive());
        assert_eq!(lb.server("web", name).connect_errors, 0);
    }
}

#[test]
fn an_http1_client_that_is_reset_is_noticed_before_an_http2_server() {
    let origin = DeafOrigin::listen();
    let name = &*origin.addr().to_string();
    let lb = h2_to_h2(origin.addr(), FOR_EVER);
    let mut client = lb.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    under_way(&lb, name, 1);
    client.reset();
    under_way(&lb, name, 0);
}
