//! What a gRPC client is told where another would get a status code of HTTP: it
//! looks at `grpc-status`, in trailers or in a head that is the whole answer
//! (gRPC over HTTP/2, "Responses").

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use crate::http::{Canned, RequestHead};

/// Whether the request is a call.
pub(super) fn is_asked_for(head: &RequestHead<'_, '_>) -> bool {
    let is_type = |name: &[u8]| name.eq_ignore_ascii_case(b"content-type");
    let mut types = head.fields.iter().filter(|field| is_type(field.name));
    types.any(|field| {
        field
            .value
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    })
}

/// An answer of our own as a head without a body.
pub(super) fn answer(canned: &Canned<'_>) -> Response<()> {
    let mut response = Response::new(());
    let fields = response.headers_mut();
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    fields.insert(STATUS, HeaderValue::from(code_of(canned.status)));
    let message = canned.reason.unwrap_or_default();
    // Ours are plain words, so that nothing is to be percent-encoded.
    fields.extend(HeaderValue::from_str(message).map(|message| (MESSAGE, message)));
    response
}

/// The end of a call whose server was too slow.
pub(super) fn deadline_exceeded() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from(DEADLINE_EXCEEDED));
    trailers.insert(MESSAGE, HeaderValue::from_static("server timeout"));
    trailers
}

/// As gRPC's own table for proxies has it (http-grpc-status-mapping.md), but that
/// a server timeout is said to be one.
fn code_of(status: u16) -> u16 {
    match status {
        400 | 431 => INTERNAL,
        401 => 16,
        403 => 7,
        404 => 12,
        408 | 504 => DEADLINE_EXCEEDED,
        413 => 8,
        429 | 502 | 503 => 14,
        500 | 501 => INTERNAL,
        _ => 2,
    }
}

const DEADLINE_EXCEEDED: u16 = 4;
const INTERNAL: u16 = 13;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
