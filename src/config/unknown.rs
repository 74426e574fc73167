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
    if let Some(near) = nearest(key, section.keys().map(|known| known.name)) {
        return problems.at(
            entry.key_place,
            format!("did you mean `{near}`?"),
            diagnostic,
        );
    }
    let elsewhere = places_of(key);
    let help = if !elsewhere.is_empty() {
        format!("`{key}` is a key of {}", elsewhere.join(", "))
    } else if entry.node.as_table().is_some() && LISTED.contains(&section.title) {
        format!(
            "several are written {} with name = {}",
            section.title,
            quoted(key)
        )
    } else {
        let built = section.keys().filter(|known| !known.takes.is_later());
        let known: Vec<_> = built.map(|known| known.name).collect();
        format!("the keys are {}", known.join(", "))
    };
    problems.at(entry.key_place, "", diagnostic.help(help));
}

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

/// Titles of the tables that have `key`, each once, the outer ones first.
fn places_of(key: &str) -> Vec<&'static str> {
    let mut titles = Vec::new();
    let mut level = vec![&ROOT];
    while !level.is_empty() {
        level = level
            .iter()
            .flat_map(|section| section.keys())
            .filter_map(|known| known.takes.section())
            .collect();
        for section in &level {
            if section.key(key).is_some() && !titles.contains(&section.title) {
                titles.push(section.title);
            }
        }
    }
    titles.truncate(TITLES_MAX);
    titles
}

const TITLES_MAX: usize = 4;

/// Sections in which a table under an unknown key is most likely a name.
const LISTED: &[&str] = &["[[frontend]]", "[[backend]]", "[[listen]]"];
