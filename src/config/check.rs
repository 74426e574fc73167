//! Holds the tree against the key tables: unknown keys, wrong types, values
//! out of range. On the way short forms become long ones, so that what reads
//! the tree later knows one form only.

use super::address::Fault;
use super::diagnostics::{Diagnostic, Place, Problems};
use super::keys::{Key, Section, Takes};
use super::shares::SHARE_MAX;
use super::suggest::nearest;
use super::tree::{Entry, Node, Table, Value};
use super::units::{self, quoted, size_text};
use super::{grammar, unknown, words};

/// Checks the keys and values of one table, all below included.
pub(crate) fn table(
    table: &mut Table,
    place: Place,
    section: &'static Section,
    problems: &Problems,
) {
    for entry in &mut table.entries {
        match section.key(&entry.key) {
            Some(key) => value(
                &mut entry.node,
                key.name,
                &key.takes,
                problems,
                entry.key_place,
            ),
            None => {
                unknown::unknown_key(entry, section, problems);
                entry.node.value = Value::Bad;
            }
        }
    }
    for key in section.keys().filter(|key| key.required) {
        if table.get(key.name).is_none() {
            missing_key(key, place, section, problems);
        }
    }
}

fn missing_key(key: &Key, place: Place, section: &Section, problems: &Problems) {
    problems.missing(
        place,
        "",
        Diagnostic::error(format!("{} needs `{}`", section.title, key.name))
            .help(format!("it takes {}", key.takes.describe())),
    );
}

fn value(node: &mut Node, name: &str, takes: &'static Takes, problems: &Problems, key: Place) {
    if let Takes::Or(word, other) = takes {
        if node.as_str() != Some(word) {
            scalar_or_table(node, name, takes, other, problems, key);
        }
        return;
    }
    if let Takes::FlagOr(other) = takes {
        read_flag(node);
        match (&node.value, other) {
            (Value::Bool(true), Takes::Table(_)) => node.value = Value::Table(Table::default()),
            (Value::Bool(_), _) => return,
            _ => {}
        }
        return scalar_or_table(node, name, takes, other, problems, key);
    }
    scalar_or_table(node, name, takes, takes, problems, key);
}

/// `takes` is what may stand here and is not one of the words before it;
/// `whole` is what diagnostics say that the key takes.
fn scalar_or_table(
    node: &mut Node,
    name: &str,
    whole: &'static Takes,
    takes: &'static Takes,
    problems: &Problems,
    key: Place,
) {
    if matches!(node.value, Value::Bad) {
        return;
    }
    let outcome = match takes {
        Takes::List(one) => return list(node, name, one, problems, key),
        Takes::Table(section) => {
            let place = node.place;
            match below(node, section) {
                Some(below) => return table(below, place, section, problems),
                None => Err(wrong_type(node)),
            }
        }
        Takes::Fields => match &mut node.value {
            Value::Table(below) => return fields(below, problems),
            _ => Err(wrong_type(node)),
        },
        Takes::Counts => match &mut node.value {
            Value::Table(below) => return counts(below, problems),
            _ => Err(wrong_type(node)),
        },
        Takes::Shares => match &mut node.value {
            Value::Table(below) => return shares(below, problems),
            _ => Err(wrong_type(node)),
        },
        Takes::Later(more) => {
            node.value = Value::Bad;
            return not_yet(&format!("`{name}`"), more, key, problems);
        }
        Takes::Words { now, later } => match node.as_str() {
            Some(text) if now.contains(&text) => Ok(()),
            Some(text) if later.contains(&text) => {
                let what = format!("`{name} = {}`", quoted(text));
                node.value = Value::Bad;
                return not_yet(&what, "", node.place, problems);
            }
            Some(text) => Err(unknown_word(text, now)),
            None => Err(wrong_type(node)),
        },
        _ => scalar(node, takes),
    };
    if let Err(fault) = outcome {
        complain(node, name, whole, fault, problems);
        node.value = Value::Bad;
    }
}

/// Finds the table in `node`, made out of a string if that is allowed here.
fn below<'n>(node: &'n mut Node, section: &Section) -> Option<&'n mut Table> {
    if let (Value::String { .. }, Some(short)) = (&node.value, section.short) {
        let inner = Node::new(node.place, std::mem::replace(&mut node.value, Value::Bad));
        node.value = Value::Table(Table {
            entries: vec![Entry {
                key: short.to_owned(),
                key_place: node.place,
                node: inner,
            }],
        });
    }
    match &mut node.value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

fn list(node: &mut Node, name: &str, one: &'static Takes, problems: &Problems, key: Place) {
    if !matches!(node.value, Value::Array(_)) {
        let single = Node::new(node.place, std::mem::replace(&mut node.value, Value::Bad));
        node.value = Value::Array(vec![single]);
    }
    if let Value::Array(items) = &mut node.value {
        for item in items {
            value(item, name, one, problems, key);
        }
    }
}

fn fields(table: &mut Table, problems: &Problems) {
    for entry in &mut table.entries {
        if let Err(fault) = grammar::check_field(&entry.key) {
            let title = format!(
                "`{}` cannot be a field of a check",
                entry.key.escape_debug()
            );
            problems.at(entry.key_place, fault.message.clone(), helped(title, fault));
            continue;
        }
        let outcome = match entry.node.as_str() {
            Some(text) => grammar::field_value(text),
            None => Err(wrong_type(&entry.node)),
        };
        if let Err(fault) = outcome {
            let title = format!("the field `{}` takes a string", entry.key);
            problems.at(
                entry.node.place,
                fault.message.clone(),
                helped(title, fault),
            );
        }
    }
}

fn counts(table: &mut Table, problems: &Problems) {
    static COUNT: Takes = Takes::Number {
        min: 1,
        max: 1_000_000,
    };
    for entry in &mut table.entries {
        value(
            &mut entry.node,
            &entry.key,
            &COUNT,
            problems,
            entry.key_place,
        );
    }
}

fn shares(table: &mut Table, problems: &Problems) {
    for entry in &mut table.entries {
        if let Err(fault) = grammar::group(&entry.key) {
            let title = format!("`{}` cannot be a group", entry.key.escape_debug());
            problems.at(entry.key_place, fault.message.clone(), helped(title, fault));
            continue;
        }
        if let Err(fault) = scalar(&mut entry.node, &SHARE) {
            complain(&entry.node, &entry.key, &SHARE, fault, problems);
            entry.node.value = Value::Bad;
        }
    }
}

static SHARE: Takes = Takes::Number {
    min: 0,
    max: SHARE_MAX,
};

fn scalar(node: &mut Node, takes: &Takes) -> Result<(), Fault> {
    match takes {
        Takes::Text { check, .. } => match node.as_str() {
            Some(text) => check(text),
            None => Err(wrong_type(node)),
        },
        Takes::Flag => {
            read_flag(node);
            match node.value {
                Value::Bool(_) => Ok(()),
                _ => Err(quoted_value(node, |text| text.parse::<bool>().is_ok())),
            }
        }
        Takes::Number { min, max } => {
            read_number(node);
            match node.value {
                Value::Integer(Some(number)) if (*min..=*max).contains(&number) => Ok(()),
                Value::Integer(_) => Err(Fault::new("out of range")),
                _ => Err(quoted_value(node, |text| text.parse::<i64>().is_ok())),
            }
        }
        Takes::Duration { min, max, step } => duration(node, *min, *max, *step),
        Takes::Size { min, max } => size(node, *min, *max),
        Takes::Status => {
            if let Value::Integer(Some(number)) = node.value {
                node.value = Value::string(number.to_string());
            }
            match node.as_str() {
                Some(text) => grammar::status_range(text).map(drop),
                None => Err(wrong_type(node)),
            }
        }
        // The callers have taken these apart.
        _ => Ok(()),
    }
}

fn duration(node: &Node, min: u64, max: u64, step: u64) -> Result<(), Fault> {
    let text = match &node.value {
        Value::String { text, .. } => text,
        Value::Integer(Some(number)) if *number >= 0 => {
            return Err(units::bare_duration(number.unsigned_abs()));
        }
        _ => return Err(wrong_type(node)),
    };
    let millis = u64::try_from(units::duration(text)?.as_millis()).unwrap_or(u64::MAX);
    if !(min..=max).contains(&millis) {
        let fault = Fault::new("out of range");
        return Err(match millis {
            0 => fault.help("0 does not turn it off: for a wait without end write a long one"),
            _ => fault,
        });
    }
    if !millis.is_multiple_of(step) {
        return Err(Fault::new("the kernel counts whole seconds here"));
    }
    Ok(())
}

fn size(node: &Node, min: u64, max: u64) -> Result<(), Fault> {
    let text = match &node.value {
        Value::String { text, .. } => text,
        Value::Integer(Some(number)) if *number >= 0 => {
            return Err(units::bare_size(number.unsigned_abs()));
        }
        _ => return Err(wrong_type(node)),
    };
    let bytes = units::size(text)?;
    if !(min..=max).contains(&bytes) {
        return Err(Fault::new(format!("{} is out of range", size_text(bytes))));
    }
    Ok(())
}

/// The environment holds only strings: `weight = "${WEIGHT}"` means a number.
fn read_number(node: &mut Node) {
    if let Value::String {
        text,
        expanded: true,
    } = &node.value
        && let Ok(number) = text.parse()
    {
        node.value = Value::Integer(Some(number));
    }
}

fn read_flag(node: &mut Node) {
    if let Value::String {
        text,
        expanded: true,
    } = &node.value
        && let Ok(flag) = text.parse()
    {
        node.value = Value::Bool(flag);
    }
}

fn wrong_type(node: &Node) -> Fault {
    Fault::new(format!("this is {}", node.value.kind()))
}

/// A number or flag in quotes.
fn quoted_value(node: &Node, is_meant: impl Fn(&str) -> bool) -> Fault {
    let fault = wrong_type(node);
    match node.as_str() {
        Some(text) if is_meant(text) => fault.help(format!("write {text} without quotes")),
        _ => fault,
    }
}

fn unknown_word(text: &str, now: &'static [&'static str]) -> Fault {
    let fault = Fault::new("no such word");
    let near = nearest(text, now.iter().copied());
    let meant = near.map(|near| format!("did you mean \"{near}\"?"));
    match meant.or_else(|| words::foreign(text)) {
        Some(help) => fault.help(help),
        None => fault,
    }
}

/// What came from the environment may be a secret and is not repeated: the
/// snippet shows the reference.
fn complain(node: &Node, name: &str, takes: &Takes, fault: Fault, problems: &Problems) {
    let title = format!("`{name}` takes {}", takes.describe());
    if matches!(node.value, Value::String { expanded: true, .. }) {
        let diagnostic = Diagnostic::error(title);
        return problems.at(
            node.place,
            "what the environment makes of this is not one",
            diagnostic,
        );
    }
    problems.at(node.place, fault.message.clone(), helped(title, fault));
}

fn helped(title: String, fault: Fault) -> Diagnostic {
    let diagnostic = Diagnostic::error(title);
    match fault.help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

fn not_yet(what: &str, more: &str, place: Place, problems: &Problems) {
    let diagnostic = Diagnostic::error(format!("{what} is not in this version yet"));
    let diagnostic = match more {
        "" => diagnostic,
        more => diagnostic.help(more),
    };
    problems.at(place, "planned, not built", diagnostic);
}
