//! Table tests of the room, by direction; what holds for any bytes is in
//! `crate::internal` and driven from `properties.rs`.

mod bodies;
mod forwarding;
mod limits;
mod plain;
mod properties;
mod replies;
mod requests;
mod responses;

use super::{Asked, BadResponse, Refused, RequestHead, ResponseHead, Slots};
use crate::config::{RequestLimits, ResponseLimits};

/// What came of reading a whole request head.
fn read<T>(
    bytes: &[u8],
    look: impl FnOnce(&RequestHead<'_, '_>) -> T,
) -> Result<Option<T>, Refused> {
    let mut slots = Slots::new();
    let head = super::parse_request(bytes, &RequestLimits::default(), &mut slots)?;
    Ok(head.map(|head| look(&head)))
}

fn refused(bytes: &[u8]) -> Option<Refused> {
    read(bytes, |_| ()).err()
}

/// A good head whose fields after Host are `fields`.
fn with_fields(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

fn read_response<T>(
    bytes: &[u8],
    asked: Asked,
    look: impl FnOnce(&ResponseHead<'_, '_>) -> T,
) -> Result<Option<T>, BadResponse> {
    let mut slots = Slots::new();
    let head = super::parse_response(bytes, &ResponseLimits::default(), asked, &mut slots)?;
    Ok(head.map(|head| look(&head)))
}

/// What a request with these fields asks of the response.
fn asked(method: &str, fields: &str) -> Asked {
    let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    read(request.as_bytes(), |head| head.asked())
        .unwrap()
        .unwrap()
}
