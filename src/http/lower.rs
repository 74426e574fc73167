//! The answer of an HTTP/2 server, for an HTTP/1 client (9113 8, 9112 6).

use ::http::{Response, header};

use super::forward::{decimal_text, put, put_number};
use super::reply::{END_TO_END, put_connection};
use super::{FieldKind, ResponseFraming, Version};

/// How its body goes out. `ended` = the head was all of it.
pub(crate) fn lowered_framing(
    response: &Response<()>,
    is_head: bool,
    client: Version,
    ended: bool,
) -> ResponseFraming {
    match (response.status().as_u16(), content_length(response)) {
        (100..=199 | 204 | 304, _) => ResponseFraming::None,
        _ if is_head => ResponseFraming::None,
        _ if ended => ResponseFraming::Length(0),
        // HTTP/2 holds the length against the data (9113 8.1.1).
        (_, Some(length)) => ResponseFraming::Length(length),
        _ if client == Version::Http10 => ResponseFraming::UntilClose,
        _ => ResponseFraming::Chunked,
    }
}

/// Appends the head for a client of this version, whose connection stays or not. A
/// 1xx head gets neither framing nor Connection.
pub(crate) fn write_lowered(
    response: &Response<()>,
    (framing, keep_alive, client): (ResponseFraming, bool, Version),
    out: &mut Vec<u8>,
) {
    let status = response.status();
    let mut digits = [0; 20];
    let text = status.canonical_reason().unwrap_or_default().as_bytes();
    let code = decimal_text(status.as_u16().into(), &mut digits);
    put(out, &[b"HTTP/1.1 ", code, b" ", text, b"\r\n"]);
    for (name, value) in response.headers() {
        // Of use only beside the trailers themselves.
        let is_trailer = name == header::TRAILER && framing == ResponseFraming::Chunked;
        if is_trailer || END_TO_END.has(FieldKind::of(name.as_str().as_bytes())) {
            let name = name.as_str().as_bytes();
            put(out, &[name, b": ", value.as_bytes(), b"\r\n"]);
        }
    }
    if !status.is_informational() {
        match (framing, content_length(response)) {
            (ResponseFraming::Length(length), _) => put_number(out, b"Content-Length: ", length),
            (ResponseFraming::Chunked, _) => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            // What a GET would have had (9110 8.6); not for 204.
            (ResponseFraming::None, Some(length)) if status != 204 => {
                put_number(out, b"Content-Length: ", length);
            }
            (ResponseFraming::None | ResponseFraming::UntilClose, _) => {}
        }
        put_connection(out, keep_alive, client);
    }
    out.extend_from_slice(b"\r\n");
}

/// Digits alone, as HTTP/1 wants them.
fn content_length(response: &Response<()>) -> Option<u64> {
    let value = response.headers().get(header::CONTENT_LENGTH)?.as_bytes();
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = is_number.then(|| str::from_utf8(value).ok())??;
    text.parse().ok()
}
