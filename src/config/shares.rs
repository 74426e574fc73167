//! The shares of groups as texts outside of the configuration have them: a file,
//! or values of a key-value store.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::GroupBy;
use super::grammar;
use super::units::quoted;

/// Shares by the name of the group.
type Shares = BTreeMap<Arc<str>, u32>;

/// The largest share: a millionth of the work can be said.
pub(crate) const SHARE_MAX: i64 = 1_000_000;

/// Reads an object of shares, JSON or TOML. Two shapes: `{"0.0.1": 80}`, and the
/// one that deployments write which keep a table for each version,
/// `{"version=0.0.1": {"weight": 80}}`, where `version=` is what `by` looks for.
///
/// # Errors
/// One sentence. Nothing at all is an error, too: a file that is being written
/// starts so, and "no weights" can be said by `{}`.
pub(crate) fn parse(text: &str, by: Option<&GroupBy>) -> Result<Shares, String> {
    let bare = text.trim_start_matches('\u{feff}').trim();
    if bare.is_empty() {
        return Err("it is empty; no weights at all are written as {}".to_owned());
    }
    let value = if bare.starts_with('{') {
        serde_json::from_str(bare).map_err(|error| format!("not JSON: {error}"))?
    } else {
        toml::from_str::<Value>(bare).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                1 + bare[..span.start.min(bare.len())].matches('\n').count()
            });
            format!("neither JSON nor TOML: line {line}: {}", error.message())
        })?
    };
    let Value::Object(entries) = value else {
        return Err("not an object of groups and their weights".to_owned());
    };
    let prefix = match by {
        Some(GroupBy::Tag(word) | GroupBy::Meta(word) | GroupBy::Label(word)) => Some(word),
        None => None,
    };
    let mut shares = Shares::new();
    for (key, value) in &entries {
        let rest = prefix.and_then(|word| key.strip_prefix(&**word)?.strip_prefix('='));
        let group = rest.unwrap_or(key);
        grammar::group(group).map_err(|_| format!("{} is not the name of a group", quoted(key)))?;
        let share = share(value).map_err(|why| format!("{}: {why}", quoted(key)))?;
        if shares.insert(group.into(), share).is_some() {
            return Err(format!("{} stands twice", quoted(group)));
        }
    }
    Ok(shares)
}

/// One share as a value of a store: digits.
///
/// # Errors
/// One sentence.
pub(crate) fn parse_one(text: &str) -> Result<u32, String> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse::<i64>().ok().filter(|_| digits);
    match number.filter(|number| *number <= SHARE_MAX) {
        Some(number) => Ok(number as u32),
        None => Err(format!(
            "a weight is a whole number, 0 to {SHARE_MAX}, not {}",
            quoted(text)
        )),
    }
}

fn share(value: &Value) -> Result<u32, String> {
    match value {
        Value::Object(table) => match table.get("weight") {
            Some(Value::Object(_)) | None => Err("a table needs a `weight`".to_owned()),
            Some(weight) => share(weight),
        },
        Value::String(text) => parse_one(text),
        other => parse_one(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, u32)>, String> {
        let by = GroupBy::Tag("version".to_owned());
        let shares = parse(text, Some(&by))?;
        Ok(shares
            .into_iter()
            .map(|(g, s)| (g.to_string(), s))
            .collect())
    }

    #[test]
    fn both_shapes_in_json_and_toml_say_the_same() {
        let expected = Ok(vec![("0.0.1".to_owned(), 80), ("0.0.2".to_owned(), 20)]);
        for text in [
            r#"{"0.0.1":80,"0.0.2":20}"#,
            r#" {"version=0.0.1":{"weight":80},"version=0.0.2":{"weight":"20"}} "#,
            "\"0.0.1\" = 80\n\"0.0.2\" = 20\n",
            "[\"version=0.0.1\"]\nweight = 80\n[\"0.0.2\"]\nweight = 20\nnote = \"new\"\n",
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        assert_eq!(parsed("{}"), Ok(Vec::new()));
    }

    #[test]
    fn half_a_text_is_an_error_and_says_which() {
        let whole = r#"{"version=0.0.1":{"weight":80},"0.0.2":20}"#;
        for end in 0..whole.len() {
            assert!(parsed(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        for (text, why) in [
            ("", "it is empty; no weights at all are written as {}"),
            ("[1]", r#""1": a table needs a `weight`"#),
            (
                r#"{"a":-1}"#,
                r#""a": a weight is a whole number, 0 to 1000000, not "-1""#,
            ),
            (r#"{"a":0.5}"#, r#"not "0.5""#),
            (r#"{"a":1000001}"#, r#"not "1000001""#),
            (r#"{"a":{}}"#, r#""a": a table needs a `weight`"#),
            (r#"{"a":null}"#, r#"not "null""#),
            (r#"{"":1}"#, r#""" is not the name of a group"#),
            (r#"{"a":1,"version=a":2}"#, r#""a" stands twice"#),
            ("x = \n", "neither JSON nor TOML: line 1"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
