//! Heads and trailers of HTTP/2 under the rules of HTTP/1.1 (9113 8), so that
//! routes, forwarding rules and refusals are written once.
//!
//! Frames, HPACK and what is malformed by 9113 8.2 and 8.3 (pseudo-fields out of
//! place, upper case names, fields of a connection, a length that is not that of
//! the data) were dealt with before: such a stream was reset and never comes here.

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Request, Response, StatusCode, Uri, request};
use bytes::Bytes;
use httparse::EMPTY_HEADER;

use super::cookie::set_name;
use super::field::{FIELDS_MAX, Field, Section};
use super::forward::{put, put_via};
use super::reply::{END_TO_END, Reply};
use super::request::{RequestHead, max_forwards};
use super::target::{Target, is_authority};
use super::trailer::may_pass;
use super::websocket::{ACCEPT_FIELD, KEY_FIELD, WEBSOCKET};
use super::{
    Canned, FieldKind, Framing, MethodKind, Refused, ResponseFraming, ResponseHead, SetCookie,
    Slots, Version, WebSocketKey, write_canned,
};
use crate::config::RequestLimits;

/// Cookie crumbs become one line: HTTP/1.1 knows no more than one (9113 8.2.3).
pub(crate) fn join_cookies(fields: &mut HeaderMap) {
    let mut crumbs = fields.get_all(header::COOKIE).iter();
    if crumbs.nth(1).is_none() {
        return;
    }
    let mut line = Vec::new();
    for crumb in fields.get_all(header::COOKIE) {
        if !line.is_empty() {
            line.extend_from_slice(b"; ");
        }
        line.extend_from_slice(crumb.as_bytes());
    }
    // Made of valid values, it is one.
    if let Ok(line) = HeaderValue::from_maybe_shared(Bytes::from(line)) {
        fields.insert(header::COOKIE, line);
    }
}

/// Holds the head of a request against the rules. `ended` = no DATA follows; `protocol` is
/// that of an extended CONNECT (RFC 8441 4), which reads as the request that opens a WebSocket
/// in HTTP/1.1: GET with Upgrade.
///
/// # Errors
/// As for HTTP/1.1, and where the two ways to name the host disagree.
pub(crate) fn read_h2_request<'h, 'b>(
    parts: &'b request::Parts,
    protocol: Option<&str>,
    ended: bool,
    limits: &RequestLimits,
    slots: &'h mut Slots<'b>,
) -> Result<RequestHead<'h, 'b>, Refused> {
    if parts.headers.len() > limits.headers.min(FIELDS_MAX) {
        return Err(Refused::TooManyFields);
    }
    let fields = &mut *slots.fields;
    fields.clear();
    let mut len = 0;
    for (name, value) in &parts.headers {
        let (name, value) = (name.as_str(), value.as_bytes());
        // 9113 8.2.1. HTTP/1.1 would strip it, and so would not say the same.
        if let [b' ' | b'\t', ..] | [.., b' ' | b'\t'] = value {
            return Err(Refused::FieldValue);
        }
        // The handshake that it is of is ours.
        if protocol.is_some() && name == KEY_FIELD {
            continue;
        }
        len += name.len() + value.len() + 4;
        fields.push(Field::new(name.as_bytes(), value));
    }
    let section = Section::read(fields)?;
    let (method, upgrade) = match protocol {
        None => (parts.method.as_str(), None),
        Some(protocol) if protocol.eq_ignore_ascii_case(WEBSOCKET) => ("GET", Some(WEBSOCKET)),
        Some(_) => return Err(Refused::Protocol),
    };
    let kind = MethodKind::of(method);
    let target = read_target(parts, kind)?;
    if method.len() + target.len() > limits.uri {
        return Err(Refused::UriTooLong);
    }
    if !section.expectations_known {
        return Err(Refused::Expectation);
    }
    let framing = match (section.body.content_length, ended) {
        // What follows is no body.
        (None, _) if upgrade.is_some() => Framing::None,
        (Some(_), _) if upgrade.is_some() => return Err(Refused::ContentLength),
        (Some(length), _) => Framing::Length(length),
        // Some servers want to be told (9110 8.6).
        (None, true) if matches!(kind, MethodKind::Post | MethodKind::Put) => Framing::Length(0),
        (None, true) => Framing::None,
        (None, false) => Framing::Chunked,
    };
    Ok(RequestHead {
        method,
        kind,
        version: Version::Http2,
        target,
        host: read_host(parts, &section)?,
        // Says how the client came to us, or to somebody in front of us; it is no target.
        scheme: None,
        fields,
        plain: None,
        framing,
        keep_alive: true,
        expect_continue: framing.has_body() && section.seen.has(FieldKind::Expect),
        upgrade: upgrade.map(str::as_bytes),
        hidden_cookie: None,
        max_forwards: match kind {
            MethodKind::Options if section.seen.has(FieldKind::MaxForwards) => {
                Some(max_forwards(fields)?)
            }
            _ => None,
        },
        len: len + method.len() + target.len() + LINE_EXTRA,
        seen: section.seen,
        te_trailers: section.te_trailers,
    })
}

/// Origin-form or `*`, without what may not stand in a request line.
fn read_target(parts: &request::Parts, kind: MethodKind) -> Result<&[u8], Refused> {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if matches!(kind, MethodKind::Connect) {
        return Err(Refused::Method);
    }
    if !path.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        return Err(Refused::Target);
    }
    let target = Target::read(path.as_bytes(), kind)?;
    match target.absolute {
        None => Ok(target.origin),
        Some(_) => Err(Refused::Target),
    }
}

/// `:authority`, else Host; both must name the same (9113 8.3.1).
fn read_host<'b>(parts: &'b request::Parts, section: &Section<'b>) -> Result<&'b [u8], Refused> {
    let authority = parts.uri.authority().map(|name| name.as_str().as_bytes());
    let host = match (authority, section.host) {
        (_, Some(_)) if section.hosts > 1 => return Err(Refused::HostTwice),
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return Err(Refused::Host);
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => return Err(Refused::HostMissing),
    };
    if is_authority(host) {
        Ok(host)
    } else {
        Err(Refused::Host)
    }
}

/// A head that [`write_request`](super::write_request) wrote, for an HTTP/2
/// server: what is sent on is decided there and nowhere else. `None` if something
/// of it has no form in HTTP/2.
pub(crate) fn to_h2_request(text: Vec<u8>, scheme: &str) -> Option<Request<()>> {
    let text = Text::from(Bytes::from(text));
    let mut slots = [EMPTY_HEADER; FIELDS_MAX];
    let mut line = httparse::Request::new(&mut slots);
    line.parse(&text.bytes).ok()?.is_complete().then_some(())?;
    let mut request = Request::new(());
    let mut host = None;
    let fields = request.headers_mut();
    fields.reserve(line.headers.len());
    for field in line.headers.iter() {
        let name = field.name.as_bytes();
        match FieldKind::of(name) {
            FieldKind::Host => host = Some(field.value),
            FieldKind::Connection | FieldKind::TransferEncoding => {}
            _ => text.append(name, field.value, fields)?,
        }
    }
    *request.method_mut() = Method::from_bytes(line.method?.as_bytes()).ok()?;
    *request.uri_mut() = Uri::builder()
        .scheme(scheme)
        .authority(host?)
        .path_and_query(line.path?)
        .build()
        .ok()?;
    Some(request)
}

/// The answer of an HTTP/1.1 server, for an HTTP/2 client. `raw` are the bytes
/// that `head` was read from. `None` if something of it has no form in HTTP/2.
pub(crate) fn to_h2_response(
    raw: &[u8],
    head: &ResponseHead<'_, '_>,
    reply: &Reply<'_>,
) -> Option<Response<()>> {
    let text = Text {
        bytes: Bytes::copy_from_slice(raw.get(..head.len)?),
        base: raw.as_ptr().addr(),
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).ok()?;
    let fields = response.headers_mut();
    fields.reserve(head.fields.len() + 2);
    for field in head.fields {
        if END_TO_END.has(field.kind) {
            text.append(field.name, field.value, fields)?;
        }
    }
    let length = match (reply.framing, head.content_length) {
        (ResponseFraming::Length(length), _) => Some(length),
        (ResponseFraming::None, length) if head.status >= 200 && head.status != 204 => length,
        _ => None,
    };
    if let Some(length) = length {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    finish_response(head.status, head.version, reply.date, reply.via, fields);
    Some(response)
}

/// The answer of an HTTP/1.1 server that switched to WebSocket, for the client that asked
/// for it by extended CONNECT (RFC 8441 5). `None` as for [`to_h2_response`], and if it is not
/// the answer to this key.
pub(crate) fn to_h2_tunnel(
    raw: &[u8],
    head: &ResponseHead<'_, '_>,
    key: &WebSocketKey,
    reply: &Reply<'_>,
) -> Option<Response<()>> {
    let mut response = to_h2_response(raw, head, reply)?;
    let fields = response.headers_mut();
    let mut accepts = fields.get_all(ACCEPT_FIELD).iter();
    let is_answer = accepts
        .next()
        .is_some_and(|accept| key.is_answered_by(accept.as_bytes()));
    if !is_answer || accepts.next().is_some() {
        return None;
    }
    fields.remove(ACCEPT_FIELD);
    fields.remove(header::CONTENT_LENGTH);
    *response.status_mut() = StatusCode::OK;
    Some(response)
}

/// The answer of an HTTP/2 server, for an HTTP/2 client.
pub(crate) fn relay_h2_response(response: &mut Response<()>, date: &[u8; 29], via: Option<&str>) {
    let status = response.status().as_u16();
    finish_response(status, Version::Http2, date, via, response.headers_mut());
}

/// Whether it sets the cookie of this name.
pub(crate) fn h2_sets_cookie(fields: &HeaderMap, name: &str) -> bool {
    let mut lines = fields.get_all(header::SET_COOKIE).iter();
    lines.any(|line| set_name(line.as_bytes()) == name.as_bytes())
}

/// What keeps the client at its server, in a head of either version.
pub(crate) fn set_h2_cookie(fields: &mut HeaderMap, cookie: &SetCookie<'_>) {
    if cookie.replaces && h2_sets_cookie(fields, cookie.name) {
        let lines: Vec<_> = fields.get_all(header::SET_COOKIE).iter().cloned().collect();
        fields.remove(header::SET_COOKIE);
        for line in lines {
            if set_name(line.as_bytes()) != cookie.name.as_bytes() {
                fields.append(header::SET_COOKIE, line);
            }
        }
    }
    let Some(crumb) = cookie.crumb else { return };
    let (value, suffix) = (crumb.value, crumb.suffix);
    let line = [cookie.name, "=", value, suffix, crumb.attributes].concat();
    // All of it is visible ASCII.
    if let Ok(line) = HeaderValue::from_maybe_shared(Bytes::from(line)) {
        fields.append(header::SET_COOKIE, line);
    }
    if crumb.private {
        let private = HeaderValue::from_static("private");
        fields.append(header::CACHE_CONTROL, private);
    }
}

/// Date where there is none (9110 6.6.1), and Via.
fn finish_response(
    status: u16,
    version: Version,
    date: &[u8; 29],
    via: Option<&str>,
    fields: &mut HeaderMap,
) {
    if status >= 200 && !fields.contains_key(header::DATE) {
        fields.extend(HeaderValue::from_bytes(date).map(|date| (header::DATE, date)));
    }
    if let Some(pseudonym) = via {
        let mut line = Vec::new();
        put_via(&mut line, version, pseudonym);
        let value = line.strip_prefix(b"Via: ").unwrap_or(&line).trim_ascii();
        fields.append(
            header::VIA,
            HeaderValue::from_bytes(value).unwrap_or(UNNAMED),
        );
    }
}

/// An answer of our own.
pub(crate) fn to_h2_answer(answer: &Canned<'_>) -> (Response<()>, Bytes) {
    let mut text = Vec::new();
    write_canned(answer, &mut text);
    let text = Text::from(Bytes::from(text));
    let mut slots = [EMPTY_HEADER; 16];
    let mut line = httparse::Response::new(&mut slots);
    let mut response = Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let Ok(httparse::Status::Complete(end)) = line.parse(&text.bytes) else {
        return (response, Bytes::new());
    };
    for field in line.headers.iter() {
        // What we write is valid.
        let _ = text.append(field.name.as_bytes(), field.value, response.headers_mut());
    }
    (response, text.bytes.slice(end..))
}

/// The fields of a trailer section that may be sent on (9110 6.5.1).
pub(crate) fn filter_trailers(mut trailers: HeaderMap) -> HeaderMap {
    if trailers.keys().all(|name| may_pass(name.as_str())) {
        return trailers;
    }
    let names: Vec<HeaderName> = trailers.keys().cloned().collect();
    for name in names.iter().filter(|name| !may_pass(name.as_str())) {
        trailers.remove(name);
    }
    trailers
}

/// Appends them as the end of a chunked body, behind its last chunk's line.
pub(crate) fn write_trailers(trailers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in trailers {
        put(
            out,
            &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"],
        );
    }
}

/// The lines of [`Decoder::take_trailers`](super::Decoder::take_trailers) as fields.
pub(crate) fn read_trailers(lines: Vec<u8>) -> HeaderMap {
    let mut section = lines;
    section.extend_from_slice(b"\r\n");
    let text = Text::from(Bytes::from(section));
    let mut slots = [EMPTY_HEADER; 64];
    let mut trailers = HeaderMap::new();
    if let Ok(httparse::Status::Complete((_, fields))) =
        httparse::parse_headers(&text.bytes, &mut slots)
    {
        for field in fields {
            // They passed the same rules when they were read.
            let _ = text.append(field.name.as_bytes(), field.value, &mut trailers);
        }
    }
    trailers
}

/// A head's bytes, and where those it was parsed from stood: values are slices of
/// it and cost no allocation each.
struct Text {
    bytes: Bytes,
    base: usize,
}

impl Text {
    fn append(&self, name: &[u8], value: &[u8], fields: &mut HeaderMap) -> Option<()> {
        let at = value.as_ptr().addr().wrapping_sub(self.base);
        let value = match value.len() {
            0 => HeaderValue::from_static(""),
            len if self
                .bytes
                .len()
                .checked_sub(len)
                .is_some_and(|last| at <= last) =>
            {
                HeaderValue::from_maybe_shared(self.bytes.slice(at..at + len)).ok()?
            }
            _ => HeaderValue::from_bytes(value).ok()?,
        };
        let name = HeaderName::from_bytes(name).ok()?;
        fields.try_append(name, value).ok().map(drop)
    }
}

impl From<Bytes> for Text {
    fn from(bytes: Bytes) -> Self {
        let base = bytes.as_ptr().addr();
        Self { bytes, base }
    }
}

/// Via of a proxy whose name is none.
const UNNAMED: HeaderValue = HeaderValue::from_static("2 rlb");

/// Of a request line beside method and target.
const LINE_EXTRA: usize = " HTTP/1.1\r\nHost: \r\n\r\n".len();
