//! Durations and sizes as the operator writes them.

use std::time::Duration;

use super::address::Fault;

/// `250ms`, `5s`, `1m`, `1h`, `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, Fault> {
    let (number, unit) = split(text);
    let Ok(number) = number.parse::<u64>() else {
        return Err(Fault::new(format!("{} is not a duration", quoted(text)))
            .help("write a whole number and a unit: \"250ms\", \"5s\", \"1m\", \"1h\" or \"1d\""));
    };
    match scale(DURATION_UNITS, unit) {
        Some(scale) => number
            .checked_mul(scale)
            .map(Duration::from_millis)
            .ok_or_else(|| Fault::new(format!("{} is too long", quoted(text)))),
        None if unit.is_empty() => Err(bare_duration(number)),
        None => Err(unknown_duration_unit(number, unit)),
    }
}

/// What to say of a number that should have had a unit of time.
pub(crate) fn bare_duration(number: u64) -> Fault {
    Fault::new("a number without a unit").help(format!(
        "write \"{number}s\" for seconds or \"{number}ms\" for milliseconds"
    ))
}

fn unknown_duration_unit(number: u64, unit: &str) -> Fault {
    let meant = match unit.trim().to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "h" | "hour" | "hours" | "hr" => Some("h"),
        "d" | "day" | "days" => Some("d"),
        "ms" | "msec" | "millis" | "milliseconds" => Some("ms"),
        _ => None,
    };
    let fault = Fault::new(format!("`{}` is not a unit of time", unit.escape_debug()));
    match meant {
        Some(meant) => fault.help(format!("did you mean \"{number}{meant}\"?")),
        None => fault.help("the units are ms, s, m, h and d; one number and one unit"),
    }
}

/// `16k`, `64KiB`, `1MiB`, `1g`, `512B`; k, m and g are powers of 1,024.
pub(crate) fn size(text: &str) -> Result<u64, Fault> {
    let (number, unit) = split(text);
    let Ok(number) = number.parse::<u64>() else {
        return Err(Fault::new(format!("{} is not a size", quoted(text)))
            .help("write a whole number and a unit: \"512B\", \"16k\", \"64KiB\", \"1MiB\""));
    };
    match scale(SIZE_UNITS, unit) {
        Some(scale) => number
            .checked_mul(scale)
            .ok_or_else(|| Fault::new(format!("{} is too large", quoted(text)))),
        None if unit.is_empty() => Err(bare_size(number)),
        None => Err(unknown_size_unit(number, unit)),
    }
}

/// What to say of a number that should have had a unit of size.
pub(crate) fn bare_size(number: u64) -> Fault {
    Fault::new("a number without a unit").help(format!(
        "write {:?}, or \"{number}B\" for bytes",
        size_text(number)
    ))
}

fn unknown_size_unit(number: u64, unit: &str) -> Fault {
    let meant = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" | "kilobytes" => Some("KiB"),
        "m" | "mb" | "mib" | "megabytes" => Some("MiB"),
        "g" | "gb" | "gib" | "gigabytes" => Some("GiB"),
        "b" | "byte" | "bytes" => Some("B"),
        _ => None,
    };
    let fault = Fault::new(format!("`{}` is not a unit of size", unit.escape_debug()));
    match meant {
        Some(meant) => fault.help(format!("did you mean \"{number}{meant}\"?")),
        None => fault.help("the units are B, k (KiB), m (MiB) and g (GiB)"),
    }
}

/// The shortest way to write `duration`; parts of a millisecond are lost.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let (unit, scale) = DURATION_UNITS
        .iter()
        .find(|(_, scale)| millis.is_multiple_of(*scale))
        .unwrap_or(&("ms", 1));
    format!("{}{unit}", millis / scale)
}

/// The shortest way to write `size`.
pub(crate) fn size_text(size: u64) -> String {
    let whole = |scale: u64| size != 0 && size.is_multiple_of(scale);
    match size {
        _ if whole(1 << 30) => format!("{}GiB", size >> 30),
        _ if whole(1 << 20) => format!("{}MiB", size >> 20),
        _ if whole(1 << 10) => format!("{}KiB", size >> 10),
        _ => format!("{size}B"),
    }
}

/// What one of a unit is in the smallest.
fn scale(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    let mut known = units.iter();
    known
        .find(|(name, _)| *name == unit)
        .map(|(_, scale)| *scale)
}

fn split(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(digits)
}

pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// Milliseconds per unit, the longest first.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Bytes per unit. HAProxy's k, m, g are powers of 1,024 too; `KB` is refused
/// because people disagree about it.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("k", 1 << 10),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("m", 1 << 20),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("g", 1 << 30),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("250ms", 250),
            ("0s", 0),
            ("5s", 5_000),
            ("1m", 60_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
        ] {
            let parsed = duration(text).unwrap();
            assert_eq!(parsed, Duration::from_millis(millis), "{text}");
            assert_eq!(duration_text(parsed), text);
        }
    }

    #[test]
    fn refused_durations_say_what_to_write() {
        for (text, help) in [
            ("5", "write \"5s\" for seconds or \"5ms\" for milliseconds"),
            ("5sec", "did you mean \"5s\"?"),
            ("5 s", "did you mean \"5s\"?"),
            ("2min", "did you mean \"2m\"?"),
            (
                "1m30s",
                "the units are ms, s, m, h and d; one number and one unit",
            ),
            (
                "1.5s",
                "the units are ms, s, m, h and d; one number and one unit",
            ),
            (
                "soon",
                "write a whole number and a unit: \"250ms\", \"5s\", \"1m\", \"1h\" or \"1d\"",
            ),
        ] {
            assert_eq!(duration(text).unwrap_err().help.unwrap(), help, "{text}");
        }
        assert!(duration("99999999999999999d").is_err());
    }

    #[test]
    fn sizes() {
        for (text, bytes, short) in [
            ("512B", 512, "512B"),
            ("16k", 16 << 10, "16KiB"),
            ("64KiB", 64 << 10, "64KiB"),
            ("1MiB", 1 << 20, "1MiB"),
            ("3g", 3 << 30, "3GiB"),
            ("0B", 0, "0B"),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
            assert_eq!(size_text(bytes), short);
        }
        assert_eq!(
            size("16KB").unwrap_err().help.unwrap(),
            "did you mean \"16KiB\"?"
        );
        assert_eq!(
            size("16384").unwrap_err().help.unwrap(),
            "write \"16KiB\", or \"16384B\" for bytes"
        );
    }
}
