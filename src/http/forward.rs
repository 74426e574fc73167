//! The request head as sent to the server.

use std::net::IpAddr;

use super::cookie;
use super::field::{Field, Kinds};
use super::{FieldKind, Framing, RequestHead, Version, WebSocketKey};
use crate::config::{Forwarded, ForwardedFor, ForwardedPort};

/// What is known of the client's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) ip: IpAddr,
    /// `ip` as text, without brackets.
    pub(crate) ip_text: &'a [u8],
    /// Local port of the client's connection.
    pub(crate) local_port_text: &'a [u8],
    pub(crate) https: bool,
    /// `ip` lies in [`Forwarded::trusted`].
    pub(crate) trusted: bool,
    /// Made by the caller when [`Forwarded::request_id`] names a field.
    pub(crate) request_id: Option<&'a [u8]>,
    /// Made by the caller for an Upgrade that has none: its client speaks HTTP/2 (RFC 8441).
    pub(crate) websocket_key: Option<WebSocketKey>,
    /// X-SSL-Client-* lines, each with its end; `None` = clients are not asked for certificates.
    pub(crate) certificate: Option<&'a [u8]>,
}

/// Upper bound of what [`write_request`] appends.
pub(crate) fn request_bound(
    head: &RequestHead<'_, '_>,
    rules: &Forwarded,
    client: &Client<'_>,
) -> usize {
    // Each field may gain the space after its colon; Host may be written three
    // times; the names and fixed values that we add have 400 bytes together.
    head.len
        + head.fields.len()
        + 3 * head.host.len()
        + 2 * client.ip_text.len()
        + client.local_port_text.len()
        + rules.via.as_ref().map_or(0, String::len)
        + rules.request_id.as_ref().map_or(0, String::len)
        + client.request_id.map_or(0, <[u8]>::len)
        + client.certificate.map_or(0, <[u8]>::len)
        + 512
}

/// Appends the head as sent to the server: HTTP/1.1, origin-form, Host, the
/// end-to-end fields in order with names unchanged, framing by our decision,
/// X-Forwarded-* and friends by `rules`. No Connection line unless Upgrade or TE
/// need one: persistence is implied in 1.1.
pub(crate) fn write_request(
    head: &RequestHead<'_, '_>,
    rules: &Forwarded,
    client: &Client<'_>,
    out: &mut Vec<u8>,
) {
    out.reserve(request_bound(head, rules, client));
    let host = match head.host {
        [] => HOST_UNKNOWN,
        host => host,
    };
    put(
        out,
        &[
            head.method.as_bytes(),
            b" ",
            head.target,
            b" HTTP/1.1\r\nHost: ",
            host,
            b"\r\n",
        ],
    );
    let has_id = write_end_to_end(head, rules, client, out);
    write_forwarded(head, rules, client, out);
    if let (Some(name), Some(id), false) = (&rules.request_id, client.request_id, has_id) {
        put(out, &[name.as_bytes(), b": ", id, b"\r\n"]);
    }
    match head.framing {
        Framing::None => {}
        Framing::Length(length) => put_number(out, b"Content-Length: ", length),
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if let Some(hops) = head.max_forwards {
        put_number(out, b"Max-Forwards: ", hops.saturating_sub(1));
    }
    match (head.upgrade, head.te_trailers) {
        (None, false) => {}
        (None, true) => out.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n"),
        (Some(protocols), _) => {
            // An upgrade has no use for trailers.
            put(
                out,
                &[b"Connection: Upgrade\r\nUpgrade: ", protocols, b"\r\n"],
            );
            if let Some(key) = &client.websocket_key {
                put(out, &[b"Sec-WebSocket-Key: ", key.as_bytes(), b"\r\n"]);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The fields that pass as they are; returns whether the request id is among them.
#[inline]
fn write_end_to_end(
    head: &RequestHead<'_, '_>,
    rules: &Forwarded,
    client: &Client<'_>,
    out: &mut Vec<u8>,
) -> bool {
    let mut pass = Kinds::of(&[FieldKind::Other, FieldKind::Date, FieldKind::Via]);
    // To be ignored in 1.0 (9110 10.1.1), and what we send is 1.1.
    pass.add_if(FieldKind::Expect, head.version != Version::Http10);
    pass.add_if(FieldKind::Cookie, head.hidden_cookie.is_none());
    pass.add_if(FieldKind::MaxForwards, head.max_forwards.is_none());
    pass.add_if(FieldKind::XForwardedFor, rules.for_ == ForwardedFor::Off);
    pass.add_if(FieldKind::XForwardedProto, client.trusted);
    pass.add_if(FieldKind::XForwardedPort, client.trusted);
    pass.add_if(FieldKind::XForwardedHost, client.trusted);
    pass.add_if(FieldKind::Forwarded, client.trusted);

    let is_told = client.trusted && client.certificate.is_none();
    pass.add_if(FieldKind::ClientCertificate, is_told);

    let id_name = rules.request_id.as_deref();
    let mut has_id = false;
    let mut passes = |field: &Field<'_>| {
        let is_id = |name: &str| name.as_bytes().eq_ignore_ascii_case(field.name);
        let is_id = id_name.is_some_and(is_id);
        let passes = pass.has(field.kind) && (client.trusted || !is_id);
        has_id |= passes && is_id;
        passes
    };
    let Some(hidden) = head.hidden_cookie else {
        put_fields(out, head.plain, head.fields, passes);
        return has_id;
    };
    let is_cookie = |field: &Field<'_>| field.kind == FieldKind::Cookie;
    for part in head.fields.split_inclusive(is_cookie) {
        put_fields(out, head.plain, part, &mut passes);
        if let Some(line) = part.last().filter(|last| is_cookie(last)) {
            cookie::put_without(out, line, hidden);
        }
    }
    has_id
}

/// X-Forwarded-* and friends. What a trusted peer sent stays and only what is
/// missing is set; of the lists (X-Forwarded-For, Forwarded) we become the last member.
#[inline]
fn write_forwarded(
    head: &RequestHead<'_, '_>,
    rules: &Forwarded,
    client: &Client<'_>,
    out: &mut Vec<u8>,
) {
    let set = |kind| !(client.trusted && head.seen.has(kind));
    if rules.for_ != ForwardedFor::Off {
        out.extend_from_slice(b"X-Forwarded-For: ");
        if head.seen.has(FieldKind::XForwardedFor)
            && (client.trusted || rules.for_ == ForwardedFor::Append)
        {
            // One line: many servers look at the first alone.
            for field in head.fields {
                if field.kind == FieldKind::XForwardedFor && !field.value.is_empty() {
                    put(out, &[field.value, b", "]);
                }
            }
        }
        put(out, &[client.ip_text, b"\r\n"]);
    }
    if rules.proto && set(FieldKind::XForwardedProto) {
        out.extend_from_slice(if client.https {
            b"X-Forwarded-Proto: https\r\n"
        } else {
            b"X-Forwarded-Proto: http\r\n"
        });
    }
    if set(FieldKind::XForwardedPort) {
        match rules.port {
            ForwardedPort::Off => {}
            ForwardedPort::Local => put(
                out,
                &[b"X-Forwarded-Port: ", client.local_port_text, b"\r\n"],
            ),
            ForwardedPort::Fixed(port) => put_number(out, b"X-Forwarded-Port: ", port.into()),
        }
    }
    if rules.host && set(FieldKind::XForwardedHost) && !head.host.is_empty() {
        put(out, &[b"X-Forwarded-Host: ", head.host, b"\r\n"]);
    }
    if let Some(lines) = client.certificate {
        out.extend_from_slice(lines);
    }
    if rules.rfc7239 {
        write_rfc7239(head, client, out);
    }
    if let Some(pseudonym) = &rules.via {
        put_via(out, head.version, pseudonym);
    }
}

/// `Forwarded` (RFC 7239 4); a valid Host needs no escapes within quotes.
fn write_rfc7239(head: &RequestHead<'_, '_>, client: &Client<'_>, out: &mut Vec<u8>) {
    let (open, close): (&[u8], &[u8]) = match client.ip {
        IpAddr::V4(_) => (b"", b""),
        IpAddr::V6(_) => (b"\"[", b"]\""),
    };
    put(out, &[b"Forwarded: for=", open, client.ip_text, close]);
    if !head.host.is_empty() {
        put(out, &[b";host=\"", head.host, b"\""]);
    }
    out.extend_from_slice(if client.https {
        b";proto=https\r\n"
    } else {
        b";proto=http\r\n"
    });
}

/// Host for a 1.0 client that sent none. An empty one would be valid (9112 3.2),
/// but nginx answers it with 400.
const HOST_UNKNOWN: &[u8] = b"localhost";

/// Via with the version as received (9110 7.6.3), a line of its own behind those that came.
pub(super) fn put_via(out: &mut Vec<u8>, version: Version, pseudonym: &str) {
    let received: &[u8] = match version {
        Version::Http10 => b"Via: 1.0 ",
        Version::Http11 => b"Via: 1.1 ",
        Version::Http2 => b"Via: 2 ",
    };
    put(out, &[received, pseudonym.as_bytes(), b"\r\n"]);
}

#[inline]
pub(super) fn put(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

/// Appends the fields that pass, each asked for once and in order. Neighbours in a head that
/// is `plain` leave in one go: there they stand as they would be written.
#[inline]
pub(super) fn put_fields(
    out: &mut Vec<u8>,
    plain: Option<&[u8]>,
    fields: &[Field<'_>],
    mut passes: impl FnMut(&Field<'_>) -> bool,
) {
    let Some(text) = plain else {
        for field in fields {
            if passes(field) {
                put_field(out, field);
            }
        }
        return;
    };
    let base = text.as_ptr().addr();
    // Lines that pass and were not written yet.
    let mut run = 0..0;
    for field in fields {
        if !passes(field) {
            continue;
        }
        let start = field.name.as_ptr().addr() - base;
        if start != run.end {
            out.extend_from_slice(&text[run]);
            run = start..start;
        }
        run.end = start + field.name.len() + b": ".len() + field.value.len() + b"\r\n".len();
    }
    out.extend_from_slice(&text[run]);
}

#[inline]
pub(super) fn put_field(out: &mut Vec<u8>, field: &Field<'_>) {
    put(out, &[field.name, b": ", field.value, b"\r\n"]);
}

#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, name: &[u8], number: u64) {
    let mut digits = [0; 20];
    put(out, &[name, decimal_text(number, &mut digits), b"\r\n"]);
}

pub(super) fn decimal_text(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}
