//! `${NAME}`, `${NAME:-default}` and `$$` inside string values.

use std::ops::Range;

/// Looks up a variable of the environment.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A string after expansion.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Values that came from the environment, in order.
    pub(crate) values: Vec<String>,
}

/// Why a string cannot be expanded; `range` is the reference within it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExpandFault {
    pub(crate) range: Range<usize>,
    pub(crate) kind: ExpandFaultKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpandFaultKind {
    /// Not set, and no default was written.
    Unset(String),
    /// `${` without `}`.
    Unclosed,
    /// What stands in the braces is not a name.
    Name,
}

/// Expands `text`. `None` when there is nothing to expand.
///
/// As in a shell, `:-default` stands in for a variable that is unset or empty.
/// A `$` before anything but `{` or `$` is itself.
pub(crate) fn expand(text: &str, lookup: Lookup<'_>) -> Result<Option<Expanded>, Vec<ExpandFault>> {
    if !text.contains("${") && !text.contains("$$") {
        return Ok(None);
    }
    let mut expanded = Expanded {
        text: String::with_capacity(text.len()),
        values: Vec::new(),
    };
    let mut faults = Vec::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        expanded.text.push_str(&text[at..dollar]);
        let rest = &text[dollar + 1..];
        if rest.starts_with('$') {
            expanded.text.push('$');
            at = dollar + 2;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let Some(length) = inner.find('}') else {
                faults.push(ExpandFault {
                    range: dollar..text.len(),
                    kind: ExpandFaultKind::Unclosed,
                });
                at = text.len();
                break;
            };
            at = dollar + "${".len() + length + "}".len();
            match reference(&inner[..length], lookup, &mut expanded.values) {
                Ok(value) => expanded.text.push_str(&value),
                Err(kind) => faults.push(ExpandFault {
                    range: dollar..at,
                    kind,
                }),
            }
        } else {
            expanded.text.push('$');
            at = dollar + 1;
        }
    }
    expanded.text.push_str(&text[at..]);
    if faults.is_empty() {
        Ok(Some(expanded))
    } else {
        Err(faults)
    }
}

fn reference(
    inner: &str,
    lookup: Lookup<'_>,
    values: &mut Vec<String>,
) -> Result<String, ExpandFaultKind> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let first_is_digit = name.starts_with(|c: char| c.is_ascii_digit());
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || first_is_digit || !name.bytes().all(is_name) {
        return Err(ExpandFaultKind::Name);
    }
    match (lookup(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => {
            if !value.is_empty() {
                values.push(value.clone());
            }
            Ok(value)
        }
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(ExpandFaultKind::Unset(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("10.0.0.1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn references_defaults_and_dollars() {
        for (text, expected) in [
            ("${HOST}:80", "10.0.0.1:80"),
            ("${NONE:-127.0.0.1}:80", "127.0.0.1:80"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("${NONE:-}", ""),
            ("a$$b", "a$b"),
            ("$${HOST}", "${HOST}"),
            ("$HOST ${HOST} $", "$HOST 10.0.0.1 $"),
            ("${HOST}${HOST}", "10.0.0.110.0.0.1"),
        ] {
            let expanded = expand(text, &environment).unwrap().unwrap();
            assert_eq!(expanded.text, expected, "{text}");
        }
        assert_eq!(expand("user:$2y$05$x", &environment), Ok(None));
    }

    #[test]
    fn values_of_the_environment_are_remembered() {
        let expanded = expand("${HOST}${EMPTY:-a}${NONE:-b}", &environment);
        assert_eq!(expanded.unwrap().unwrap().values, ["10.0.0.1"]);
    }

    #[test]
    fn every_bad_reference_is_named() {
        let faults = expand("a ${NONE} ${1X} ${HOST", &environment).unwrap_err();
        let expected = [
            (2..9, ExpandFaultKind::Unset("NONE".to_owned())),
            (10..15, ExpandFaultKind::Name),
            (16..22, ExpandFaultKind::Unclosed),
        ];
        for (fault, (range, kind)) in faults.into_iter().zip(expected) {
            assert_eq!(fault, ExpandFault { range, kind });
        }
    }
}
