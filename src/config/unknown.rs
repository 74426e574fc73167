//! What is said of a key nobody knows.

use super::diagnostics::{Diagnostic, Problems};
use super::keys::{ROOT, Section};
use super::suggest::nearest;
use super::tree::Entry;
use super::units::quoted;
use super::words;

/// Says the most helpful thing there is about a key nobody knows: a slip of
/// the fingers, another program's word, a key of another table.
pub(crate) fn unknown_key(entry: &Entry, section: &'static Section, problems: &Problems) {
    let key = entry.key.as_str();
    let diagnostic = Diagnostic::error(format!(
        "unknown key `{}` in {}",
        key.escape_debug(),
        section.title
    ));
    let same = section
        .keys()
        .find(|known| words::normal(known.name) == words::normal(key))
        .map(|known| known.name);
    let near = || nearest(key, section.keys().map(|known| known.name));
    let elsewhere = || {
        let mut titles = Vec::new();
        places_of(&ROOT, key, &mut titles);
        titles
    };
    if let Some(same) = same {
        return problems.at(
            entry.key_place,
            format!("did you mean `{same}`?"),
            diagnostic,
        );
    }
    if let Some(advice) = foreign(entry) {
        return problems.at(
            entry.key_place,
            "not a word of rlb",
            diagnostic.help(advice),
        );
    }
    if let Some(near) = near() {
        return problems.at(
            entry.key_place,
            format!("did you mean `{near}`?"),
            diagnostic,
        );
    }
    let elsewhere = elsewhere();
    let help = if !elsewhere.is_empty() {
        format!("`{key}` is a key of {}", elsewhere.join(", "))
    } else if entry.node.as_table().is_some() && LISTED.contains(&section.title) {
        format!(
            "several are written {} with name = {}",
            section.title,
            quoted(key)
        )
    } else {
        let known: Vec<_> = section.keys().map(|known| known.name).collect();
        format!("the keys are {}", known.join(", "))
    };
    problems.at(entry.key_place, "", diagnostic.help(help));
}

/// Sections in which a table under an unknown key is most likely a name.
const LISTED: &[&str] = &["[[frontend]]", "[[backend]]", "[[listen]]"];

/// Another program's word; `option.forwardfor = true` is looked up as one.
fn foreign(entry: &Entry) -> Option<String> {
    let below = entry.node.as_table().and_then(|table| {
        table
            .entries
            .iter()
            .find_map(|inner| words::foreign(&format!("{} {}", entry.key, inner.key)))
    });
    below.or_else(|| words::foreign(&entry.key))
}

/// Titles of the tables that have `key`, each once.
fn places_of(section: &'static Section, key: &str, titles: &mut Vec<&'static str>) {
    for known in section.keys() {
        if let Some(below) = known.takes.section() {
            if below.key(key).is_some() && !titles.contains(&below.title) && titles.len() < 4 {
                titles.push(below.title);
            }
            places_of(below, key, titles);
        }
    }
}
