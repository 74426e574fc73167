//! Dates in the value of a balancer's cookie, as HAProxy writes them behind its own:
//! `value|last`, `value|last|first`, each five digits of base 64 that count four seconds:
//! until 2106.

use std::num::NonZeroU32;

/// When a cookie was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct CookieDates {
    /// Last, Unix seconds.
    pub(crate) last: Option<NonZeroU32>,
    /// And the first time.
    pub(crate) first: Option<NonZeroU32>,
}

impl CookieDates {
    /// Parts a value from its dates. What is none is ignored.
    pub(crate) fn split(value: &[u8]) -> (&[u8], Self) {
        let mut parts = value.splitn(3, |byte| *byte == SEPARATOR);
        let value = parts.next().unwrap_or_default();
        let (last, first) = (parts.next(), parts.next());
        let dates = Self {
            last: last.and_then(read),
            first: first.and_then(read),
        };
        (value, dates)
    }

    /// The dates as they stand behind a value; "" for none.
    pub(crate) fn write<'t>(&self, text: &'t mut [u8; DATES_MAX]) -> &'t str {
        let Some(last) = self.last else { return "" };
        put(last, &mut text[..DATE_LEN]);
        let len = match self.first {
            None => DATE_LEN,
            Some(first) => {
                put(first, &mut text[DATE_LEN..]);
                DATES_MAX
            }
        };
        // All of it is ASCII.
        std::str::from_utf8(&text[..len]).unwrap_or_default()
    }
}

fn read(digits: &[u8]) -> Option<NonZeroU32> {
    let digits = digits.get(..DIGITS)?;
    let number = digits.iter().try_fold(0_u32, |number, digit| {
        let value = TABLE.iter().position(|known| known == digit)?;
        Some(number << 6 | value as u32)
    })?;
    NonZeroU32::new(number * STEP)
}

fn put(seconds: NonZeroU32, out: &mut [u8]) {
    let steps = seconds.get().div_ceil(STEP);
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = match index.checked_sub(1) {
            None => SEPARATOR,
            Some(digit) => TABLE[(steps >> (6 * (DIGITS - 1 - digit)) & 63) as usize],
        };
    }
}

const SEPARATOR: u8 = b'|';
const DIGITS: usize = 5;
const DATE_LEN: usize = DIGITS + 1;
/// Seconds that one of them counts.
const STEP: u32 = 4;
/// Two of them.
pub(crate) const DATES_MAX: usize = 2 * DATE_LEN;
const TABLE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_is_five_digits() {
        let dates = CookieDates {
            last: NonZeroU32::new(1_700_000_000),
            first: None,
        };
        assert_eq!(dates.write(&mut [0; DATES_MAX]), "|ZVPxA");
        assert_eq!(CookieDates::split(b"s1|ZVPxA"), (&b"s1"[..], dates));
    }

    #[test]
    fn what_is_no_date_is_none() {
        let none = CookieDates::default();
        for (value, text) in [
            ("s1", "s1"),
            ("s1|", "s1"),
            ("s1|abcd", "s1"),
            ("s1|ab_de", "s1"),
            ("s1|AAAAA|", "s1"),
            ("|", ""),
            ("", ""),
        ] {
            let split = CookieDates::split(value.as_bytes());
            assert_eq!(split, (text.as_bytes(), none), "{value}");
        }
    }

    proptest! {
        #[test]
        fn dates_are_read_as_they_were_written(
            last in 1_u32..u32::MAX - 3,
            first in prop::option::of(1_u32..u32::MAX - 3),
        ) {
            let dates = |by: fn(u32) -> u32| CookieDates {
                last: NonZeroU32::new(by(last)),
                first: first.and_then(|first| NonZeroU32::new(by(first))),
            };
            let mut text = [0; DATES_MAX];
            let written = format!("s1{}", dates(|seconds| seconds).write(&mut text));
            let expected = dates(|seconds| seconds.div_ceil(4) * 4);
            prop_assert_eq!(CookieDates::split(written.as_bytes()), (&b"s1"[..], expected));
        }
    }
}
