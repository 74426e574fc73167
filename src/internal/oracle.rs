//! hyper as the oracle: what we accept, it accepts with the same framing. We may
//! refuse more. Exceptions, where it is hyper that refuses:
//!
//! - targets that `http::Uri` does not take (`<`, `>`, `` ` ``, ...), by [`known_to_hyper`];
//! - versions above 1.1.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::{RequestLimits, ResponseLimits};
use crate::http::{Asked, Decoder, Slots, parse_request, parse_response};

/// One message as either side saw it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Method and target, or status.
    start: String,
    body: Vec<u8>,
}

/// Reads `data` as pipelined requests; returns how many were compared.
pub(super) fn requests_agree(data: &[u8]) -> usize {
    let ours = our_requests(data);
    if ours.is_empty() {
        return 0;
    }
    let theirs = block_on(hyper_requests(data));
    assert!(
        theirs.len() >= ours.len() && theirs[..ours.len()] == ours[..],
        "ours: {ours:#?}\nhyper: {theirs:#?}\nof {}",
        data.escape_ascii()
    );
    ours.len()
}

/// Reads `data` as the response to a GET; returns how many were compared.
pub(super) fn responses_agree(data: &[u8]) -> usize {
    let Some(ours) = our_response(data) else {
        return 0;
    };
    let theirs = block_on(hyper_response(data));
    assert_eq!(Some(ours), theirs, "of {}", data.escape_ascii());
    1
}

/// The whole requests at the start of `data`.
fn our_requests(data: &[u8]) -> Vec<Seen> {
    let mut all = Vec::new();
    let mut rest = data;
    loop {
        let mut slots = Slots::new();
        let Ok(Some(head)) = parse_request(rest, &RequestLimits::default(), &mut slots) else {
            return all;
        };
        let raw_target = raw_target(rest);
        if !known_to_hyper(rest, raw_target) {
            return all;
        }
        let mut body = rest[head.len..].to_vec();
        let mut decoder = Decoder::from(head.framing);
        let Ok(done) = decoder.decode(&mut body) else {
            return all;
        };
        if !done.end {
            return all;
        }
        all.push(Seen {
            start: format!("{} {}", head.method, String::from_utf8_lossy(raw_target)),
            body: body[..done.data].to_vec(),
        });
        rest = &rest[head.len + done.consumed..];
        if !head.keep_alive {
            return all;
        }
    }
}

/// Second word of the first line, empty lines skipped.
fn raw_target(data: &[u8]) -> &[u8] {
    let start = data
        .iter()
        .position(|byte| !b"\r\n".contains(byte))
        .unwrap_or(0);
    data[start..]
        .split(|byte| *byte == b' ')
        .nth(1)
        .unwrap_or_default()
}

fn known_to_hyper(data: &[u8], raw_target: &[u8]) -> bool {
    let line_end = data.windows(10).find(|w| w.starts_with(b" HTTP/1."));
    // The `http` crate writes a target anew: compare only where it changes nothing.
    let target = http::Uri::try_from(raw_target).map(|uri| uri.to_string());
    line_end.is_some_and(|w| matches!(w[8], b'0' | b'1'))
        && target.is_ok_and(|uri| uri.as_bytes() == raw_target)
}

fn our_response(data: &[u8]) -> Option<Seen> {
    let mut slots = Slots::new();
    let limits = ResponseLimits::default();
    let head = parse_response(data, &limits, Asked::default(), &mut slots).ok()??;
    if head.status < 200 || data.get(7).is_some_and(|minor| *minor > b'1') {
        return None;
    }
    let mut body = data[head.len..].to_vec();
    let mut decoder = Decoder::from(head.framing);
    let done = decoder.decode(&mut body).ok()?;
    decoder.eof().ok()?;
    Some(Seen {
        start: head.status.to_string(),
        body: body[..done.data].to_vec(),
    })
}

async fn hyper_requests(data: &[u8]) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (near, far) = tokio::io::duplex(data.len().max(1) + 1024);
    let service = {
        let seen = Rc::clone(&seen);
        hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let seen = Rc::clone(&seen);
            async move {
                let (head, body) = request.into_parts();
                if let Ok(body) = body.collect().await {
                    seen.borrow_mut().push(Seen {
                        start: format!("{} {}", head.method, head.uri),
                        body: body.to_bytes().to_vec(),
                    });
                }
                Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
            }
        })
    };
    let (mut read, mut write) = tokio::io::split(near);
    let feed = async {
        // A connection that hyper has closed is what we are here to find out.
        let _ = write.write_all(data).await;
        let _ = write.shutdown().await;
    };
    let drain = async {
        let _ = read.read_to_end(&mut Vec::new()).await;
    };
    let serve = hyper::server::conn::http1::Builder::new()
        .max_headers(256)
        .half_close(true)
        .serve_connection(TokioIo::new(far), service);
    let _ = tokio::join!(feed, drain, serve);
    seen.take()
}

async fn hyper_response(data: &[u8]) -> Option<Seen> {
    let (near, far) = tokio::io::duplex(data.len().max(1) + 1024);
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(256)
        .handshake(TokioIo::new(near))
        .await
        .ok()?;
    let (mut read, mut write) = tokio::io::split(far);
    let feed = async {
        // Nothing is an answer before the question.
        let _ = read.read(&mut [0; 1024]).await;
        let _ = write.write_all(data).await;
        let _ = write.shutdown().await;
    };
    let ask = async {
        let request = http::Request::get("/")
            .header("host", "a")
            .body(Empty::<Bytes>::new())
            .ok()?;
        let (head, body) = sender.send_request(request).await.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes().to_vec();
        drop(sender);
        Some(Seen {
            start: head.status.as_u16().to_string(),
            body,
        })
    };
    let (_, seen, _) = tokio::join!(feed, ask, connection);
    seen
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime without drivers needs nothing that could be missing");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_really_compared() {
        let requests = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;x\r\nabc\r\n0\r\nX: y\r\n\r\n\
            PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc\
            GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
            GET /d HTTP/1.0\r\n\r\nGET /e HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(requests_agree(requests), 4);
        assert_eq!(our_requests(requests)[0].body, b"abc");
        for response in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"[..],
            b"HTTP/1.0 404 x\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 204 No\r\n\r\n",
        ] {
            assert_eq!(responses_agree(response), 1, "{}", response.escape_ascii());
        }
    }
}
