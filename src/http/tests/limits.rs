//! Limits hold while reading, at any segmentation.

use super::super::{BadResponse, Refused, Slots, may_complete, parse_request, parse_response};
use crate::config::{RequestLimits, ResponseLimits};
use crate::http::Asked;

const SMALL: RequestLimits = RequestLimits {
    uri: 20,
    head: 64,
    headers: 3,
    body: None,
};

fn outcome(bytes: &[u8]) -> Result<bool, Refused> {
    let mut slots = Slots::new();
    parse_request(bytes, &SMALL, &mut slots).map(|head| head.is_some())
}

#[test]
fn a_line_may_be_as_long_as_its_limit() {
    let head = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    assert_eq!(outcome(&head("/234567")), Ok(true));
    assert_eq!(outcome(&head("/2345678")), Err(Refused::UriTooLong));
    // 414 before the line is complete, and not a byte too early.
    assert_eq!(outcome(b"GET /2345678901234567"), Ok(false));
    assert_eq!(outcome(b"GET /23456789012345678"), Err(Refused::UriTooLong));
}

#[test]
fn what_stands_behind_a_limit_does_not_matter() {
    assert_eq!(outcome(b"GET /2345678901234567\x01"), Err(Refused::Target));
    assert_eq!(
        outcome(b"GET /234567890123456\x01\x01\x01"),
        Err(Refused::Target)
    );
    assert_eq!(
        outcome(b"GET /23456789012345678\x01 HTTP/3.0\r\n"),
        Err(Refused::UriTooLong)
    );
    let mut long = b"GET / HTTP/1.1\r\nX: ".to_vec();
    long.resize(SMALL.head, b'a');
    assert_eq!(outcome(&long), Err(Refused::HeadTooLong));
    long.push(0);
    assert_eq!(outcome(&long), Err(Refused::HeadTooLong));
    long[SMALL.head - 1] = 0;
    assert_eq!(outcome(&long), Err(Refused::FieldValue));
}

#[test]
fn a_head_may_be_as_long_as_its_limit() {
    let head = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        let pad = "a".repeat(len - start.len() - 4);
        format!("{start}{pad}\r\n\r\nbody").into_bytes()
    };
    assert_eq!(outcome(&head(64)), Ok(true));
    assert_eq!(outcome(&head(65)), Err(Refused::HeadTooLong));
    assert_eq!(outcome(&head(65)[..63]), Ok(false));
}

#[test]
fn fields_are_counted() {
    let head = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X:\r\n".repeat(count)
        )
    };
    assert_eq!(outcome(head(2).as_bytes()), Ok(true));
    assert_eq!(outcome(head(3).as_bytes()), Err(Refused::TooManyFields));
}

#[test]
fn response_heads_have_limits_of_their_own() {
    let limits = ResponseLimits {
        head: 48,
        headers: 2,
    };
    let outcome = |bytes: &[u8]| {
        let mut slots = Slots::new();
        parse_response(bytes, &limits, Asked::default(), &mut slots).map(|head| head.is_some())
    };
    assert_eq!(
        outcome(b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n"),
        Ok(true)
    );
    let three = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nE: f\r\n\r\n";
    assert_eq!(outcome(three), Err(BadResponse::TooManyFields));
    let mut long = b"HTTP/1.1 200 ".to_vec();
    long.resize(48, b'a');
    assert_eq!(outcome(&long), Err(BadResponse::HeadTooLong));
    assert_eq!(outcome(&long[..47]), Ok(false));
}

#[test]
fn a_head_is_tried_when_its_last_byte_came() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for already in 1..head.len() {
        assert!(may_complete(head, already), "{already}");
        let until_now = &head[..already];
        assert!(
            !may_complete(until_now, already - 1) || already == 1,
            "{already}"
        );
    }
    // Errors are noticed at least each 4 KiB.
    let long = [b'a'; 5000];
    assert!(may_complete(&long[..4096], 4095));
    assert!(!may_complete(&long[..4098], 4097));
    // Nothing new, or bounds that make no sense: no panic.
    assert!(!may_complete(head, head.len()));
    assert!(!may_complete(head, head.len() + 1));
}
