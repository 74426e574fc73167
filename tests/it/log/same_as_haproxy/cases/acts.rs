//! What a client does to either of them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;

use super::super::MOMENT;
use super::super::sides::Side;
use crate::support::{PATIENCE, RawClient, dawdle, wait_until};

pub(super) fn get(side: &Side, path: &str) {
    raw(
        side,
        &format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    );
}

/// A request that has reached the server that answers none.
pub(super) fn hold(side: &Side, path: &str) -> RawClient {
    let mut client = RawClient::connect(side.www);
    until_unanswered(side, || {
        client.send(format!(
            "GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ));
    });
    client
}

/// Sends it and waits for the end, whatever comes.
pub(super) fn raw(side: &Side, request: &str) {
    let mut client = RawClient::connect(side.www);
    client.send(request).read_end();
}

/// Sends it, and resets the connection once the server has it, or a moment later when it
/// is not to reach one.
pub(super) fn leave(side: &Side, request: &str) {
    let mut client = RawClient::connect(side.www);
    match request.contains("\r\n\r\n") && !request.contains("/deaf") {
        true => until_unanswered(side, || {
            client.send(request);
        }),
        false => {
            client.send(request);
            dawdle(MOMENT);
        }
    }
    client.reset();
}

/// Sends it and half closes; comes back with the end of the connection.
pub(super) fn end(addr: SocketAddr, request: &str) {
    let mut client = RawClient::connect(addr);
    client.send(request);
    dawdle(MOMENT);
    client.finish_sending().read_end();
}

/// Until the request that `send` sends has reached the server that answers none.
pub(super) fn until_unanswered(side: &Side, send: impl FnOnce()) {
    let count = || side.origins.unanswered.load(Ordering::Acquire);
    let before = count();
    send();
    wait_until(PATIENCE, "the request at its server", || count() > before);
}

pub(super) fn tcp(side: &Side, name: &str) -> SocketAddr {
    let of_name = |(n, _): &&(&str, SocketAddr)| *n == name;
    side.tcp.iter().find(of_name).unwrap().1
}

/// Who has no server may be reset at any moment.
pub(super) fn session(side: &Side, name: &str) {
    let Ok(mut stream) = TcpStream::connect(tcp(side, name)) else {
        return;
    };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.write_all(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let _ = stream.read_to_end(&mut Vec::new());
}
