//! Numbers and times as HAProxy's commands write them.

use std::num::IntErrorKind;
use std::time::Duration;

use crate::control::WeightChange;
use crate::control::admin::answer::Reply;

/// `0-256` or `N%` of the written weight.
pub(crate) fn weight(text: &str) -> Result<WeightChange, Reply> {
    if text.is_empty() {
        return Err(Reply::refused("Require <weight> or <weight%>."));
    }
    let (number, rest) = leading_number(text)
        .ok_or_else(|| Reply::refused("Empty weight string empty or preceded by garbage"))?;
    match rest {
        "%" if number < 0 => Err(Reply::refused("Relative weight must be positive.")),
        "%" => Ok(WeightChange::Percent(
            u32::try_from(number).unwrap_or(u32::MAX),
        )),
        "" => u16::try_from(number)
            .ok()
            .filter(|weight| *weight <= 256)
            .map(WeightChange::Absolute)
            .ok_or_else(|| {
                Reply::refused("Absolute weight can only be between 0 and 256 inclusive.")
            }),
        _ => Err(Reply::refused("Trailing garbage in weight string")),
    }
}

/// What C's strtol reads, and the rest. Numbers too large become the largest.
pub(super) fn leading_number(text: &str) -> Option<(i64, &str)> {
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(sign + digits);
    match number.parse() {
        Ok(number) => Some((number, rest)),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Some((i64::MAX, rest)),
            IntErrorKind::NegOverflow => Some((i64::MIN, rest)),
            _ => None,
        },
    }
}

/// A limit: HAProxy would take `abc` for 0.
pub(super) fn count(text: &str, expected: &'static str) -> Result<usize, Reply> {
    match leading_number(text) {
        Some((number, "")) => {
            let number =
                u32::try_from(number).map_err(|_| Reply::refused("Value out of range."))?;
            Ok(number as usize)
        }
        _ => Err(Reply::refused(expected)),
    }
}

/// 1-65535.
pub(super) fn port(text: &str, not_a_number: impl FnOnce() -> Reply) -> Result<u16, Reply> {
    match leading_number(text) {
        Some((number, "")) if !text.starts_with('+') => u16::try_from(number)
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| Reply::refused("provided port is invalid")),
        _ => Err(not_a_number()),
    }
}

/// A time in HAProxy's units (us, ms, s, m, h, d); a bare number is in `unit`.
pub(super) fn time(text: &str, unit: Duration) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    let number: u32 = number.parse().ok()?;
    let unit = match suffix {
        "" => unit,
        "us" => Duration::from_micros(1),
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        "d" => Duration::from_secs(86_400),
        _ => return None,
    };
    // HAProxy's own bound: 2^31 ms, about 24.8 days.
    unit.checked_mul(number)
        .filter(|time| time.as_millis() < 1 << 31)
}
