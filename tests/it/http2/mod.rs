//! HTTP/2: clients of both kinds of server, as frames, through real programs, and gRPC.

mod browser;
mod checks;
mod client;
mod drain;
mod elsewhere;
mod floods;
mod frames;
mod grpc;
mod heads;
mod leaving;
mod lifted;
mod messages;
mod numbers;
mod places;
mod raw;
mod real;
mod sticky;
mod tls;
pub(crate) mod websocket;

use std::net::SocketAddr;

use crate::support::{Lb, PlayedOrigin};
use raw::{ACK, END_HEADERS, HEADERS, PREFACE, Raw, SETTINGS, block};

/// HTTP/2 clients by prior knowledge, HTTP/1 servers; more keys of the `[[listen]]`.
fn h2c(server: SocketAddr, keys: &str) -> Lb {
    Lb::start(&listen("web", server, keys))
}

fn listen(name: &str, server: SocketAddr, keys: &str) -> String {
    format!(
        "[[listen]]\nname = \"{name}\"\nbind = {{ address = \"127.0.0.1:0\", protocol = \"both\" }}\n\
         server = \"{server}\"\n{keys}\n"
    )
}

/// HTTP/2 on both sides.
fn h2_to_h2(server: SocketAddr, keys: &str) -> Lb {
    h2c(server, &format!("protocol = \"h2\"\n{keys}"))
}

/// An HTTP/2 server, played frame by frame, behind its settings.
#[track_caller]
fn accept(origin: &PlayedOrigin) -> Raw {
    let mut server = Raw(origin.accept());
    assert_eq!(server.0.read_bytes(PREFACE.len()), PREFACE);
    server.send(SETTINGS, 0, 0, &[]);
    server.send(SETTINGS, ACK, 0, &[]);
    server
}

/// Sends an answer's head; `more` are flags.
fn answer(server: &mut Raw, stream: u32, more: u8, fields: &[(&str, &str)]) {
    let block = block(&[&[(":status", "200")], fields].concat());
    server.send(HEADERS, END_HEADERS | more, stream, &block);
}
