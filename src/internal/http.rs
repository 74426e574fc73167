//! What must hold of the `http` room for any bytes, and the work its benches measure.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};

use super::oracle;
use crate::config::{Forwarded, ForwardedFor, ForwardedPort, RequestLimits, ResponseLimits};
use crate::http::{
    Asked, Client, Decoded, Decoder, Field, FieldKind, Framing, Reply, RequestHead,
    ResponseFraming, ResponseHead, Slots, Version, may_complete, parse_request, parse_response,
    reply_framing, request_bound, response_bound, write_request, write_response,
};

/// A request head means the same in whatever pieces it comes, and what is written
/// of it says the same again.
pub fn request_head(data: &[u8]) {
    for limits in [RequestLimits::default(), SMALL] {
        let read = |bytes: &[u8]| {
            let mut slots = Slots::new();
            let result = parse_request(bytes, &limits, &mut slots);
            result.map(|head| head.map(|head| facts(&head))).transpose()
        };
        same_in_pieces(data, read);
        let mut slots = Slots::new();
        if let Ok(Some(head)) = parse_request(data, &limits, &mut slots) {
            assert!(head.len <= limits.head && head.fields.len() <= limits.headers);
            for trusted in [false, true] {
                for rules in rules() {
                    request_survives(&head, &rules, trusted);
                }
            }
        }
    }
}

/// The same for a response head, whatever was asked.
pub fn response_head(data: &[u8]) {
    let limits = ResponseLimits::default();
    for asked in asked() {
        let read = |bytes: &[u8]| {
            let mut slots = Slots::new();
            let result = parse_response(bytes, &limits, asked, &mut slots);
            result
                .map(|head| head.map(|head| response_facts(&head)))
                .transpose()
        };
        same_in_pieces(data, read);
        let mut slots = Slots::new();
        if let Ok(Some(head)) = parse_response(data, &limits, asked, &mut slots) {
            for version in [Version::Http10, Version::Http11] {
                response_survives(&head, asked, version);
            }
        }
    }
}

/// A chunked body gives the same bytes, end and error in whatever pieces it comes.
pub fn chunked(data: &[u8]) {
    let mut buf = data.to_vec();
    let mut decoder = Decoder::from(Framing::Chunked);
    let whole = decoder.decode(&mut buf);
    if let Ok(done) = whole {
        assert!(done.data <= done.consumed && done.consumed <= data.len());
        assert!(done.end || done.consumed == data.len());
        assert_eq!(done.end, decoder.finished());
        assert_eq!(buf[done.consumed..], data[done.consumed..]);
    }
    let whole_trailers = decoder.take_trailers();
    for piece in [1, 2, 3, 7, 64] {
        let mut decoder = Decoder::from(Framing::Chunked);
        let (result, payload) = in_pieces(&mut decoder, data, piece);
        match (whole, result) {
            (Ok(whole), Ok((consumed, end))) => {
                assert_eq!((whole.consumed, whole.end), (consumed, end));
                assert_eq!(buf[..whole.data], payload);
            }
            (whole, result) => assert_eq!(whole.map(|_| ()), result.map(|_| ())),
        }
        assert_eq!(decoder.take_trailers(), whole_trailers);
    }
    if let Some(trailers) = whole_trailers {
        let mut again = [b"0\r\n", &trailers[..], b"\r\n"].concat();
        let mut decoder = Decoder::from(Framing::Chunked);
        let done = decoder.decode(&mut again);
        assert!(done.is_ok_and(|done| done.end), "{trailers:?}");
        assert_eq!(decoder.take_trailers(), Some(trailers));
    }
}

/// What we accept, hyper accepts with the same framing.
pub fn differential(data: &[u8]) {
    oracle::requests_agree(data);
    oracle::responses_agree(data);
}

/// For benches: reads a request head and, with `out`, writes it as sent on; returns its length.
pub fn forward_request(buf: &[u8], out: Option<&mut Vec<u8>>) -> usize {
    let mut slots = Slots::new();
    let limits = RequestLimits::default();
    let Ok(Some(head)) = parse_request(buf, &limits, &mut slots) else {
        return 0;
    };
    if let Some(out) = out {
        write_request(&head, &Forwarded::default(), &client(false), out);
    }
    head.len
}

/// For benches: reads a response head and, with `out`, writes it as sent on; returns its length.
pub fn forward_response(buf: &[u8], out: Option<&mut Vec<u8>>) -> usize {
    let mut slots = Slots::new();
    let limits = ResponseLimits::default();
    let Ok(Some(head)) = parse_response(buf, &limits, Asked::default(), &mut slots) else {
        return 0;
    };
    if let Some(out) = out {
        write_response(&head, &reply(&head, Version::Http11), out);
    }
    head.len
}

/// For benches: decodes a whole chunked body in place; returns its payload bytes.
pub fn decode_chunked(buf: &mut [u8]) -> usize {
    let mut decoder = Decoder::from(Framing::Chunked);
    decoder.decode(buf).map_or(0, |done| done.data)
}

/// The first answer of `read` over growing prefixes is that over all of `data`.
fn same_in_pieces<T: PartialEq + Debug>(data: &[u8], read: impl Fn(&[u8]) -> Option<T>) {
    let whole = read(data);
    let stride = 1 + data.len() / 512;
    let (mut first, mut seldom) = (None, None);
    let mut tried = 0;
    for end in (0..=data.len()).step_by(stride).chain([data.len()]) {
        let prefix = &data[..end];
        first = first.or_else(|| read(prefix));
        if seldom.is_none() && may_complete(prefix, tried) {
            seldom = read(prefix);
        }
        tried = end;
    }
    assert_eq!(first, whole);
    // What `may_complete` leaves out may only delay an error.
    if let Some(seldom) = seldom {
        assert_eq!(Some(seldom), whole);
    }
}

/// Everything a head says, owned.
fn facts(head: &RequestHead<'_, '_>) -> impl PartialEq + Debug + use<> {
    (
        (head.method.to_owned(), head.kind, head.version),
        (head.target.to_vec(), head.host.to_vec(), head.scheme),
        (head.framing, head.keep_alive, head.expect_continue),
        (head.upgrade.map(<[u8]>::to_vec), head.max_forwards),
        (owned(head.fields), head.len),
    )
}

fn response_facts(head: &ResponseHead<'_, '_>) -> impl PartialEq + Debug + use<> {
    (
        (head.version, head.status, head.reason.to_vec()),
        (head.framing, head.keep_alive),
        (owned(head.fields), head.len),
    )
}

fn owned(fields: &[Field<'_>]) -> Vec<(Vec<u8>, Vec<u8>, FieldKind)> {
    fields
        .iter()
        .map(|field| (field.name.to_vec(), field.value.to_vec(), field.kind))
        .collect()
}

/// Fields without a place in the rules, in order.
fn end_to_end(fields: &[Field<'_>], also: &[FieldKind]) -> Vec<(Vec<u8>, Vec<u8>, FieldKind)> {
    let passes =
        |kind| matches!(kind, FieldKind::Other | FieldKind::Cookie) || also.contains(&kind);
    let kept = fields.iter().filter(|field| passes(field.kind));
    owned(&kept.copied().collect::<Vec<_>>())
}

fn request_survives(head: &RequestHead<'_, '_>, rules: &Forwarded, trusted: bool) {
    let client = client(trusted);
    let mut out = Vec::new();
    write_request(head, rules, &client, &mut out);
    assert!(out.len() <= request_bound(head, rules, &client));

    // Our own lines may take it over the limits it was read with.
    let limits = RequestLimits {
        headers: 256,
        uri: usize::MAX,
        head: usize::MAX,
        body: None,
    };
    let mut slots = Slots::new();
    let again = match parse_request(&out, &limits, &mut slots) {
        Ok(Some(again)) => again,
        Err(_) if head.fields.len() > 240 => return,
        other => panic!("{other:?} of {}", out.escape_ascii()),
    };
    assert_eq!(again.len, out.len());
    assert_eq!(again.method, head.method);
    assert_eq!(again.version, Version::Http11);
    assert_eq!(again.target, head.target);
    assert_eq!(again.scheme, None);
    assert_eq!(again.framing, head.framing);
    assert_eq!(again.expect_continue, head.expect_continue);
    assert_eq!(again.upgrade, head.upgrade);
    assert!(again.keep_alive);
    if !head.host.is_empty() {
        assert_eq!(again.host, head.host);
    }
    let also = [FieldKind::Date];
    let sent = end_to_end(head.fields, &also);
    let got = end_to_end(again.fields, &also);
    if rules.request_id.is_none() {
        assert_eq!(got, sent);
    }
    let count = |kind| again.fields.iter().filter(|f| f.kind == kind).count();
    for kind in [
        FieldKind::Shadow,
        FieldKind::KeepAlive,
        FieldKind::ProxyConnection,
        FieldKind::Http2Settings,
        FieldKind::Trailer,
        FieldKind::Nominated,
    ] {
        assert_eq!(count(kind), 0, "{kind:?}");
    }
    if !trusted {
        assert_eq!(count(FieldKind::XForwardedProto), usize::from(rules.proto));
        let host = rules.host && !head.host.is_empty();
        assert_eq!(count(FieldKind::XForwardedHost), usize::from(host));
        assert_eq!(count(FieldKind::Forwarded), usize::from(rules.rfc7239));
    }
    if rules.for_ != ForwardedFor::Off {
        let mut ours = again.fields.iter().rev();
        let ours = ours.find(|field| field.kind == FieldKind::XForwardedFor);
        assert!(ours.is_some_and(|field| field.value.ends_with(client.ip_text)));
        assert_eq!(count(FieldKind::XForwardedFor), 1);
    }
}

fn response_survives(head: &ResponseHead<'_, '_>, asked: Asked, version: Version) {
    let reply = reply(head, version);
    let mut out = Vec::new();
    write_response(head, &reply, &mut out);
    assert!(out.len() <= response_bound(head, &reply));
    let limits = ResponseLimits {
        head: usize::MAX,
        headers: 256,
    };
    let mut slots = Slots::new();
    let again = match parse_response(&out, &limits, asked, &mut slots) {
        Ok(Some(again)) => again,
        Err(_) if head.fields.len() > 240 => return,
        other => panic!("{other:?} of {}", out.escape_ascii()),
    };
    assert_eq!(again.len, out.len());
    assert_eq!(again.version, Version::Http11);
    assert_eq!((again.status, again.reason), (head.status, head.reason));
    assert_eq!(again.framing, reply.framing);
    assert!(version == Version::Http11 || again.framing != ResponseFraming::Chunked);
    let also = [FieldKind::Via, FieldKind::Shadow, FieldKind::Forwarded];
    let sent = end_to_end(head.fields, &also);
    assert_eq!(end_to_end(again.fields, &also), sent);
    let has = |kind| again.fields.iter().any(|field| field.kind == kind);
    if head.status >= 200 {
        assert!(has(FieldKind::Date));
        assert_eq!(again.keep_alive, reply.keep_alive);
    }
    if matches!(head.status, 100..=199 | 204) {
        assert!(!has(FieldKind::ContentLength) && !has(FieldKind::TransferEncoding));
    }
}

/// Feeds `data` in pieces; returns (consumed, end) and the payload.
fn in_pieces(
    decoder: &mut Decoder,
    data: &[u8],
    piece: usize,
) -> (Result<(usize, bool), crate::http::BodyError>, Vec<u8>) {
    let (mut payload, mut consumed) = (Vec::new(), 0);
    for bytes in data.chunks(piece) {
        let mut buf = bytes.to_vec();
        let done: Decoded = match decoder.decode(&mut buf) {
            Ok(done) => done,
            Err(error) => return (Err(error), payload),
        };
        payload.extend_from_slice(&buf[..done.data]);
        consumed += done.consumed;
        if done.end {
            return (Ok((consumed, true)), payload);
        }
    }
    (Ok((consumed, false)), payload)
}

fn client(trusted: bool) -> Client<'static> {
    Client {
        ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        ip_text: b"192.0.2.1",
        local_port_text: b"8080",
        https: false,
        trusted,
        request_id: Some(b"0123456789abcdef"),
        websocket_key: None,
        certificate: None,
    }
}

fn reply(head: &ResponseHead<'_, '_>, version: Version) -> Reply<'static> {
    let framing = reply_framing(head, version);
    Reply {
        version,
        keep_alive: framing != ResponseFraming::UntilClose,
        framing,
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        via: None,
        cookie: None,
    }
}

fn rules() -> [Forwarded; 3] {
    let all = Forwarded {
        for_: ForwardedFor::Replace,
        port: ForwardedPort::Fixed(443),
        rfc7239: true,
        via: Some("rlb".to_owned()),
        request_id: Some("X-Request-Id".to_owned()),
        ..Forwarded::default()
    };
    let none = Forwarded {
        for_: ForwardedFor::Off,
        proto: false,
        port: ForwardedPort::Off,
        host: false,
        ..Forwarded::default()
    };
    [Forwarded::default(), all, none]
}

/// Nothing special, HEAD, and an upgrade to WebSocket.
fn asked() -> [Asked; 3] {
    let of = |request: &[u8]| {
        let mut slots = Slots::new();
        let head = parse_request(request, &RequestLimits::default(), &mut slots);
        head.ok()
            .flatten()
            .map_or_else(Asked::default, |head| head.asked())
    };
    [
        Asked::default(),
        of(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
        of(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ]
}

/// Small enough for a fuzzer to run into.
const SMALL: RequestLimits = RequestLimits {
    uri: 32,
    head: 160,
    headers: 4,
    body: None,
};
