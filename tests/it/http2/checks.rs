//! Checks of servers that speak HTTP/2.

use super::raw::*;
use super::{accept, answer, h2_to_h2};
use crate::support::authority::Authority;
use crate::support::{Lb, Origin, PATIENCE, PlayedOrigin, free_addr, real, wait_until};

const FAST: &str = "interval = \"100ms\", timeout = \"5s\", rise = 1, fall = 1";

fn checked(server: std::net::SocketAddr, check: &str, more: &str) -> Lb {
    h2_to_h2(server, &format!("check = {{ {check}, {FAST} }}\n{more}"))
}

#[track_caller]
fn wait_for(lb: &Lb, server: std::net::SocketAddr, check: &str) {
    let name = server.to_string();
    wait_until(PATIENCE, check, || lb.server("web", &name).check == check);
}

#[test]
fn an_nginx_that_speaks_http2_alone_is_asked_by_request() {
    let addr = free_addr();
    let sick = "location /sick { return 503; }\nlocation / { return 200; }";
    let Some(_nginx) = real::nginx(&format!("listen {addr} http2;\n{sick}")) else {
        return;
    };
    let well = checked(addr, "type = \"http\"", "");
    wait_for(&well, addr, "L7OK/200");
    let sick = checked(addr, "type = \"http\", path = \"/sick\"", "");
    wait_for(&sick, addr, "L7STS/503");
    // It answers a call as what it is, a page.
    let no_grpc = checked(addr, "type = \"grpc\"", "");
    wait_for(&no_grpc, addr, "L7STS/200");
}

#[test]
fn with_tls_http2_is_agreed_on_first() {
    let ca = Authority::new("ca");
    let (addr, file) = (free_addr(), ca.write("a.pem", &["a.test"]));
    let directives = format!(
        "listen {addr} ssl http2;\nssl_certificate {file:?};\nssl_certificate_key {file:?};\n\
         location / {{ return 200; }}"
    );
    let Some(nginx) = real::nginx(&directives) else {
        return;
    };
    let server = format!(
        "[[frontend]]\nname = \"f\"\nbind = \"127.0.0.1:0\"\ndefault_backend = \"web\"\n\
         [[backend]]\nname = \"web\"\nserver = \"{addr}\"\nprotocol = \"h2\"\n\
         tls = {{ ca_file = {:?}, host = \"a.test\" }}\n\
         check = {{ type = \"http\", path = \"/checked\", {FAST} }}\n",
        ca.file()
    );
    let lb = Lb::start(&server);
    wait_for(&lb, addr, "L7OK/200");
    let line = "HEAD /checked HTTP/2.0";
    wait_until(PATIENCE, line, || {
        nginx.access_log().iter().any(|seen| seen.contains(line))
    });
}

#[test]
fn a_server_of_http1_fails_a_request_by_http2() {
    let origin = Origin::ok("hello");
    let lb = checked(origin.addr(), "type = \"http\"", "");
    wait_for(&lb, origin.addr(), "L7RSP");
}

/// A server of gRPC that says of itself what `says` is at that moment.
#[test]
fn a_grpc_server_says_itself_whether_it_serves() {
    let origin = PlayedOrigin::listen();
    let lb = checked(
        origin.addr(),
        "type = \"grpc\", service = \"shop.Cart\"",
        "",
    );
    let reply = |status: u8, code: &str| {
        let mut server = accept(&origin);
        let stream = server.read_kind(HEADERS).stream;
        assert_eq!(server.body(stream), b"\0\0\0\0\x0b\x0a\x09shop.Cart");
        let kind = [("content-type", "application/grpc")];
        answer(&mut server, stream, 0, &kind);
        server.send(DATA, 0, stream, &[0, 0, 0, 0, 2, 8, status]);
        let trailers = block(&[("grpc-status", code)]);
        server.send(HEADERS, END_HEADERS | END_STREAM, stream, &trailers);
        server
    };
    let (serving, not_serving) = (1, 2);
    let _first = reply(serving, "0");
    wait_for(&lb, origin.addr(), "L7OK/200");
    let _second = reply(not_serving, "0");
    wait_for(&lb, origin.addr(), "L7STS/200");
    let _third = reply(serving, "0");
    wait_for(&lb, origin.addr(), "L7OK/200");
    let _fourth = reply(serving, "5");
    wait_for(&lb, origin.addr(), "L7STS/200");
}
