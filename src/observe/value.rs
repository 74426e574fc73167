//! One cell: a typed value, and HAProxy's tags for what it means.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// A value with HAProxy's type.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Value<'a> {
    /// Does not apply here: nothing in CSV, left out elsewhere.
    #[default]
    Empty,
    U32(u32),
    U64(u64),
    S32(i32),
    /// Seconds with a fraction (`show info float`).
    Float(f64),
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// A 32-bit number; what does not fit is the largest.
    pub(super) fn u32(number: impl TryInto<u32>) -> Self {
        Self::U32(number.try_into().unwrap_or(u32::MAX))
    }

    /// A text.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::Empty
    }

    /// As in the typed form.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::U32(_) => "u32",
            Self::U64(_) => "u64",
            Self::S32(_) => "s32",
            Self::Float(_) => "flt",
            Self::Text(_) => "str",
        }
    }

    /// As a number, where it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::U32(number) => Some(f64::from(*number)),
            Self::U64(number) => Some(*number as f64),
            Self::S32(number) => Some(f64::from(*number)),
            Self::Float(number) => Some(*number),
            Self::Empty | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => Ok(()),
            Self::U32(number) => number.fmt(f),
            Self::U64(number) => number.fmt(f),
            Self::S32(number) => number.fmt(f),
            Self::Float(number) => {
                let text = format!("{number:.6}");
                f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Origin, nature and scope of a column: HAProxy's three letters (management guide 9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tags(pub(super) &'static str);

/// The fourth letter: the value does not outlive the process.
pub(super) const VOLATILE: char = 'V';

/// The three words of the JSON form.
#[derive(Debug, Serialize)]
pub(super) struct TagWords {
    origin: &'static str,
    nature: &'static str,
    scope: &'static str,
}

impl Tags {
    /// In words.
    pub(super) fn words(self) -> TagWords {
        let letter = |index: usize| self.0.as_bytes().get(index).copied().unwrap_or(b'?');
        TagWords {
            origin: match letter(0) {
                b'S' => "Status",
                b'K' => "Key",
                b'C' => "Config",
                b'P' => "Product",
                _ => "Metric",
            },
            nature: match letter(1) {
                b'L' => "Limit",
                b'm' => "Min",
                b'M' => "Max",
                b'R' => "Rate",
                b'C' => "Counter",
                b'D' => "Duration",
                b'A' => "Age",
                b'T' => "Time",
                b'N' => "Name",
                b'O' => "Output",
                b'a' => "Avg",
                _ => "Gauge",
            },
            scope: match letter(2) {
                b'C' => "Cluster",
                b'S' => "Service",
                _ => "Process",
            },
        }
    }
}

/// `field` of the JSON form.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    pub(super) pos: usize,
    pub(super) name: &'static str,
}

/// `value` of the JSON form.
#[derive(Debug, Serialize)]
pub(super) struct Typed<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    value: Json<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Json<'a> {
    Number(u64),
    Signed(i32),
    Float(f64),
    Text(&'a str),
}

impl<'a> Typed<'a> {
    /// `None` = there is no value.
    pub(super) fn of(value: &'a Value<'_>) -> Option<Self> {
        let json = match value {
            Value::Empty => return None,
            Value::U32(number) => Json::Number(u64::from(*number)),
            Value::U64(number) => Json::Number(*number),
            Value::S32(number) => Json::Signed(*number),
            Value::Float(number) => Json::Float(*number),
            Value::Text(text) => Json::Text(text),
        };
        Some(Self {
            kind: value.kind(),
            value: json,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_no_needless_zeros() {
        let shown = [0.0, 2.5, 100.0, 3.118_274].map(|number| Value::Float(number).to_string());
        assert_eq!(shown, ["0", "2.5", "100", "3.118274"]);
    }

    #[test]
    fn what_does_not_fit_is_the_largest() {
        assert_eq!(Value::u32(u64::MAX), Value::U32(u32::MAX));
    }
}
