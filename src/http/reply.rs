//! The response head as sent to the client.

use super::field::Kinds;
use super::forward::{decimal_text, put, put_fields, put_number, put_via};
use super::{FieldKind, ResponseFraming, ResponseHead, SetCookie, Version};

/// What decides the head sent to the client beside the server's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    /// Of the client.
    pub(crate) version: Version,
    /// The client's connection stays; must be false with [`ResponseFraming::UntilClose`].
    pub(crate) keep_alive: bool,
    /// As sent, from [`reply_framing`].
    pub(crate) framing: ResponseFraming,
    /// For a response that has no Date (9110 6.6.1).
    pub(crate) date: &'a [u8; 29],
    /// Pseudonym for Via.
    pub(crate) via: Option<&'a str>,
    /// Where the backend keeps clients by a cookie.
    pub(crate) cookie: Option<SetCookie<'a>>,
}

/// How the body goes out to a client of this version (9112 6.1, 6.3).
#[inline]
pub(crate) fn reply_framing(head: &ResponseHead<'_, '_>, client: Version) -> ResponseFraming {
    match (head.framing, client) {
        (ResponseFraming::UntilClose, Version::Http11 | Version::Http2) => ResponseFraming::Chunked,
        (ResponseFraming::Chunked, Version::Http10) => ResponseFraming::UntilClose,
        (framing, _) => framing,
    }
}

/// Upper bound of what [`write_response`] appends.
pub(crate) fn response_bound(head: &ResponseHead<'_, '_>, reply: &Reply<'_>) -> usize {
    // Each field may gain the space after its colon.
    let cookie = reply.cookie.map_or(0, |cookie| cookie.bound());
    head.len + head.fields.len() + reply.via.map_or(0, str::len) + cookie + 256
}

/// Appends the head as sent to the client. A 1xx head gets no framing, no
/// Connection and no Date; 101 gets Connection and Upgrade.
pub(crate) fn write_response(head: &ResponseHead<'_, '_>, reply: &Reply<'_>, out: &mut Vec<u8>) {
    out.reserve(response_bound(head, reply));
    let mut digits = [0; 20];
    put(
        out,
        &[
            b"HTTP/1.1 ",
            decimal_text(head.status.into(), &mut digits),
            b" ",
            head.reason,
            b"\r\n",
        ],
    );
    write_end_to_end(head, reply, out);
    if let Some(pseudonym) = reply.via {
        put_via(out, head.version, pseudonym);
    }
    if let Some(cookie) = &reply.cookie {
        cookie.write(out);
    }
    match head.status {
        101 => put(
            out,
            &[
                b"Connection: Upgrade\r\nUpgrade: ",
                head.upgrade.unwrap_or_default(),
                b"\r\n",
            ],
        ),
        100..=199 => {}
        _ => write_final(head, reply, out),
    }
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn write_end_to_end(head: &ResponseHead<'_, '_>, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let mut pass = END_TO_END;
    // Of use only beside the trailers themselves.
    let trailers = (head.framing, reply.framing);
    pass.add_if(
        FieldKind::Trailer,
        trailers == (ResponseFraming::Chunked, ResponseFraming::Chunked),
    );
    put_fields(out, head.plain, head.fields, |field| {
        pass.has(field.kind) && !reply.cookie.is_some_and(|cookie| cookie.hides(field))
    });
}

/// Date, framing and Connection of a final response.
#[inline]
fn write_final(head: &ResponseHead<'_, '_>, reply: &Reply<'_>, out: &mut Vec<u8>) {
    debug_assert!(
        !(reply.keep_alive && reply.framing == ResponseFraming::UntilClose),
        "the close is the end of the body"
    );
    if !head.seen.has(FieldKind::Date) {
        put(out, &[b"Date: ", reply.date, b"\r\n"]);
    }
    match (reply.framing, head.content_length) {
        (ResponseFraming::Length(length), _) => put_number(out, b"Content-Length: ", length),
        (ResponseFraming::Chunked, _) => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        // What a GET would have had (9110 8.6); not for 204.
        (ResponseFraming::None, Some(length)) if head.status != 204 => {
            put_number(out, b"Content-Length: ", length);
        }
        (ResponseFraming::None | ResponseFraming::UntilClose, _) => {}
    }
    put_connection(out, reply.keep_alive, reply.version);
}

/// The default of a version need not be said (9112 9.3).
#[inline]
pub(super) fn put_connection(out: &mut Vec<u8>, keep_alive: bool, client: Version) {
    match (keep_alive, client) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, Version::Http11 | Version::Http2) => {}
    }
}

/// What has a meaning for requests alone is end-to-end here.
pub(super) const END_TO_END: Kinds = Kinds::of(&[
    FieldKind::Other,
    FieldKind::Date,
    FieldKind::Cookie,
    FieldKind::Via,
    FieldKind::Host,
    FieldKind::Expect,
    FieldKind::MaxForwards,
    FieldKind::XForwardedFor,
    FieldKind::XForwardedProto,
    FieldKind::XForwardedPort,
    FieldKind::XForwardedHost,
    FieldKind::Forwarded,
    FieldKind::Shadow,
]);
