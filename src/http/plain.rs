//! Heads as nearly everybody writes them, read in one pass of sixteen bytes at a time.
//!
//! Plain is a head that is whole and whose lines stand as we would write them: a name of
//! letters, digits and dashes, a colon, one space, a value without HTAB or space at its
//! ends, CRLF. Nothing is refused here: what is not plain, good or bad, is httparse's to
//! read. What is plain httparse reads the same; the property tests hold both together.

use wide::u8x16;

use super::Version;
use super::field::{Field, Fields};
use super::{request, response};

/// Reads a plain request head with at most `max` fields, and its length.
#[inline]
pub(super) fn read_request<'b>(
    window: &'b [u8],
    max: usize,
    fields: &mut Fields<'b>,
) -> Option<(request::Line<'b>, usize)> {
    let method_end = find(window, 0, ends_name)?;
    if method_end == 0 || window.get(method_end) != Some(&b' ') {
        return None;
    }
    let target_at = method_end + 1;
    let target_end = find(window, target_at, ends_target)?;
    let version = match window.get(target_end..target_end + VERSION_LEN + 2)? {
        b" HTTP/1.1\r\n" => Version::Http11,
        b" HTTP/1.0\r\n" => Version::Http10,
        _ => return None,
    };
    if target_at == target_end {
        return None;
    }
    let line = request::Line {
        method: str::from_utf8(&window[..method_end]).ok()?,
        target: &window[target_at..target_end],
        version,
        len: target_end + VERSION_LEN,
    };
    let len = read_fields(window, target_end + VERSION_LEN + 2, max, fields)?;
    Some((line, len))
}

/// Reads a plain response head with at most `max` fields, and its length.
#[inline]
pub(super) fn read_response<'b>(
    window: &'b [u8],
    max: usize,
    fields: &mut Fields<'b>,
) -> Option<(response::Line<'b>, usize)> {
    let (minor, code) = match window.first_chunk()? {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor,
            b' ',
            a,
            b,
            c,
            b' ',
        ] => (minor, [a, b, c]),
        _ => return None,
    };
    let version = match minor {
        b'1' => Version::Http11,
        b'0' => Version::Http10,
        _ => return None,
    };
    if !code.iter().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let status = code
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(**digit - b'0'));
    let reason_end = find(window, REASON_AT, ends_value)?;
    if window.get(reason_end..reason_end + 2)? != b"\r\n" {
        return None;
    }
    let line = response::Line {
        version,
        status,
        reason: &window[REASON_AT..reason_end],
    };
    let len = read_fields(window, reason_end + 2, max, fields)?;
    Some((line, len))
}

/// Reads the lines from `at` on up to the empty one, and returns where that ends.
#[inline]
fn read_fields<'b>(
    window: &'b [u8],
    mut at: usize,
    max: usize,
    fields: &mut Fields<'b>,
) -> Option<usize> {
    loop {
        let name_end = find(window, at, ends_name)?;
        if name_end == at {
            let is_end = window.get(at..at + 2)? == b"\r\n";
            return is_end.then_some(at + 2);
        }
        if window.get(name_end..name_end + 2)? != b": " || fields.len() == max {
            return None;
        }
        let value_at = name_end + 2;
        let value_end = find(window, value_at, ends_value)?;
        let value = &window[value_at..value_end];
        if let [] | [b' ', ..] | [.., b' '] = value {
            return None;
        }
        if window.get(value_end..value_end + 2)? != b"\r\n" {
            return None;
        }
        let name = &window[at..name_end];
        fields.try_push(Field::new(name, value)).ok()?;
        at = value_end + 2;
    }
}

/// Where the first byte from `from` on is for which `stops` sets its place to ones.
#[inline]
fn find(window: &[u8], from: usize, stops: impl Fn(u8x16) -> u8x16) -> Option<usize> {
    let mut at = from;
    while let Some(block) = window.get(at..)?.first_chunk() {
        let found = stops(u8x16::new(*block)).to_bitmask();
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += BLOCK;
    }
    // Fewer are left: they are the end of the last sixteen.
    let known = BLOCK - (window.len() - at);
    let found = stops(u8x16::new(*window.last_chunk()?)).to_bitmask() >> known;
    (found != 0).then(|| at + found.trailing_zeros() as usize)
}

/// All but letters, digits and the dash.
#[inline]
fn ends_name(block: u8x16) -> u8x16 {
    let within = |block: u8x16, first: u8, last: u8| {
        let above = block - u8x16::splat(first);
        above.min(u8x16::splat(last - first)).simd_eq(above)
    };
    let letter = within(block | u8x16::splat(0x20), b'a', b'z');
    let digit = within(block, b'0', b'9');
    !(letter | digit | block.simd_eq(u8x16::splat(b'-')))
}

/// Controls, HTAB among them.
#[inline]
fn ends_value(block: u8x16) -> u8x16 {
    let low = block.min(u8x16::splat(0x1f)).simd_eq(block);
    low | block.simd_eq(u8x16::splat(0x7f))
}

/// Controls, the space, and what is not ASCII.
#[inline]
fn ends_target(block: u8x16) -> u8x16 {
    let low = block.min(u8x16::splat(b' ')).simd_eq(block);
    low | block.max(u8x16::splat(0x7f)).simd_eq(block)
}

const BLOCK: usize = 16;

/// With the space before it.
const VERSION_LEN: usize = " HTTP/1.1".len();

/// Where the reason begins in a status line.
const REASON_AT: usize = "HTTP/1.1 200 ".len();
