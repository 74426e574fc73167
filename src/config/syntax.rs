//! Text to tree: TOML's own errors, environment, keys given twice.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Diagnostic, Place, Problems};
use super::expand::{ExpandFault, ExpandFaultKind, Lookup, expand};
use super::foreign_file::{self, ForeignFile};
use super::tree::{Entry, Node, Table, Value};
use super::words;

/// Turns texts into trees. What is wrong goes to `problems`; a tree holds what
/// could be read in spite of it.
pub(crate) struct Parser<'a> {
    pub(crate) problems: &'a Problems,
    pub(crate) lookup: Lookup<'a>,
    /// Values taken from the environment so far.
    pub(crate) expanded: Vec<String>,
}

impl Parser<'_> {
    /// Reads one text; `name` is what diagnostics call it.
    pub(crate) fn parse(&mut self, name: &str, text: String) -> Table {
        let (file, source) = self.problems.add_source(name, text);
        if source.text.len() > SOURCE_MAX {
            self.problems.report(Diagnostic::error(format!(
                "{name} is larger than {} MiB",
                SOURCE_MAX >> 20
            )));
            self.problems.set_incomplete();
            return Table::default();
        }
        let mut readable = Cow::Borrowed(source.text.as_str());
        for _ in 0..LOST_LINES_MAX {
            let (table, errors) = DeTable::parse_recoverable(&readable);
            let lost = errors
                .iter()
                .find(|error| error.message().starts_with(LOSES_THE_REST));
            let Some(line) = lost.and_then(|error| error.span()) else {
                return self.recovered(file, &readable, table.get_ref(), &errors, name);
            };
            if let Some(foreign) = foreign_file::recognise(&source.text) {
                return self.foreign(file, &foreign, name);
            }
            let before: Vec<_> = errors
                .iter()
                .filter(|error| error.span().is_some_and(|span| span.start <= line.start))
                .take(SYNTAX_ERRORS_MAX)
                .collect();
            for error in before {
                self.syntax_error(file, &readable, table.get_ref(), error);
            }
            readable = Cow::Owned(without_line(&readable, line.start));
        }
        Table::default()
    }

    fn recovered(
        &mut self,
        file: u32,
        text: &str,
        table: &DeTable<'_>,
        errors: &[toml::de::Error],
        name: &str,
    ) -> Table {
        if !errors.is_empty()
            && let Some(foreign) = foreign_file::recognise(text)
        {
            return self.foreign(file, &foreign, name);
        }
        for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
            self.syntax_error(file, text, table, error);
        }
        self.table(file, table)
    }

    fn foreign(&self, file: u32, foreign: &ForeignFile, name: &str) -> Table {
        let place = Place::new(file, foreign.span.clone());
        self.problems
            .syntax(place, foreign.label(), foreign.diagnostic(name));
        Table::default()
    }

    fn syntax_error(&self, file: u32, text: &str, table: &DeTable<'_>, error: &toml::de::Error) {
        let span = error.span().unwrap_or_default();
        let place = Place::new(file, span.clone());
        // The first error of a line is the cause, the others follow from it.
        if self.problems.is_broken(place) {
            return;
        }
        let message = error.message();
        if message == "duplicate key" {
            return self.duplicate(file, text, table, span);
        }
        let no_value = text[span.start..].starts_with(['\n', '\r']) || span.start == text.len();
        let message = match message {
            NOT_QUOTED if no_value => "a value is missing, expected one behind the `=`",
            message => message,
        };
        let (message, label) = message.split_once(", expected ").map_or_else(
            || (message, String::new()),
            |(message, expected)| (message, format!("expected {expected}")),
        );
        let mut diagnostic = Diagnostic::error(message);
        if let Some(help) = foreign_line(line_at(text, span.start)) {
            diagnostic = diagnostic.help(help);
        }
        self.problems.syntax(place, label, diagnostic);
        if line_at(text, span.start).starts_with('[') {
            // Whose keys follow is not known.
            let rest = &text[span.start..];
            let end = rest
                .find("\n[")
                .map_or(text.len(), |next| span.start + next);
            self.problems.silence(Place::new(file, span.start..end));
        }
    }

    /// A key or table given twice in one file. The parser names the second
    /// place; the first is searched for.
    fn duplicate(&self, file: u32, text: &str, table: &DeTable<'_>, span: Range<usize>) {
        let key = text.get(span.clone()).unwrap_or_default();
        let line = line_at(text, span.start);
        let first = if line.starts_with('[') {
            earlier_header(text, line, span.start)
        } else {
            earlier_key(table, text, unquoted(key), span.start)
        };
        let mut places = vec![(Place::new(file, span), "again".to_owned())];
        if let Some(first) = first {
            places.push((Place::new(file, first), "first given here".to_owned()));
        }
        let what = if line.starts_with('[') {
            line.trim_end().to_owned()
        } else {
            format!("`{}`", unquoted(key).escape_debug())
        };
        self.problems
            .at_all(&places, Diagnostic::error(format!("{what} is given twice")));
        self.problems.set_incomplete();
    }

    fn table(&mut self, file: u32, table: &DeTable<'_>) -> Table {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_place: Place::new(file, key.span()),
                node: self.node(file, value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_place);
        Table { entries }
    }

    fn node(&mut self, file: u32, spanned: &Spanned<DeValue<'_>>) -> Node {
        let place = Place::new(file, spanned.span());
        let value = match spanned.get_ref() {
            DeValue::String(text) => self.string(place, text),
            DeValue::Integer(number) => {
                Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(_) => Value::Float,
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => {
                Value::Array(items.iter().map(|item| self.node(file, item)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(file, table)),
        };
        Node::new(place, value)
    }

    fn string(&mut self, place: Place, text: &str) -> Value {
        match expand(text, self.lookup) {
            Ok(None) => Value::string(text),
            Ok(Some(expanded)) => {
                self.expanded.extend(expanded.values);
                Value::String {
                    text: expanded.text,
                    expanded: true,
                }
            }
            Err(faults) => {
                for fault in faults {
                    self.expand_fault(place, text, &fault);
                }
                Value::Bad
            }
        }
    }

    fn expand_fault(&self, place: Place, text: &str, fault: &ExpandFault) {
        // Escapes may stand before it, so it is searched in what was written.
        let reference = &text[fault.range.clone()];
        let written = self.problems.written(place);
        let found = match fault.kind {
            // It runs to the end.
            ExpandFaultKind::Unclosed => written.rfind(reference),
            _ => written.find(reference),
        };
        let place = match found {
            Some(at) => {
                let start = place.start as usize + at;
                Place::new(place.file, start..start + reference.len())
            }
            None => place,
        };
        let (label, diagnostic) = match &fault.kind {
            ExpandFaultKind::Unset(name) => (
                "not set",
                Diagnostic::error(format!("the environment has no `{name}`"))
                    .help(format!("a default is written ${{{name}:-default}}")),
            ),
            ExpandFaultKind::Unclosed => (
                "no `}` follows",
                Diagnostic::error("unclosed reference to the environment")
                    .help("a `$` that stands for itself is written $$"),
            ),
            ExpandFaultKind::Name => (
                "not a name",
                Diagnostic::error("this cannot be the name of a variable")
                    .help("write ${NAME} or ${NAME:-default}; $$ for a `$`"),
            ),
        };
        self.problems.at(place, label, diagnostic);
    }
}

/// `text` with blanks in place of the line around `at`; every other byte keeps
/// its offset.
fn without_line(text: &str, at: usize) -> String {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..]
        .find('\n')
        .map_or(text.len(), |newline| at + newline);
    let blanks = " ".repeat(end - start);
    [&text[..start], &blanks, &text[end..]].concat()
}

fn line_at(text: &str, at: usize) -> &str {
    let start = text
        .get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    line.trim_start()
}

/// What a line in another program's syntax means here.
fn foreign_line(line: &str) -> Option<String> {
    let mut found = line.split_whitespace().filter(|word| *word != "=");
    let first = found.next()?.trim_end_matches(['{', ';', ':']);
    let second = found.next().unwrap_or_default();
    let second = second.trim_end_matches(['{', ';', ':']);
    // A word that is rlb's own is followed by `=`.
    let behind = line.split_once(first).map_or("", |(_, behind)| behind);
    if behind.trim_start().starts_with('=') {
        return None;
    }
    words::foreign(&format!("{first} {second}")).or_else(|| words::foreign(first))
}

fn unquoted(key: &str) -> &str {
    key.trim_matches(['"', '\''])
}

/// The `[header]` like `line` above `before`.
fn earlier_header(text: &str, line: &str, before: usize) -> Option<Range<usize>> {
    let header = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    let wanted = header(line);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if at + line.len() > before {
            return None;
        }
        if header(line) == wanted {
            return Some(at + indent..at + indent + wanted.len());
        }
        at += line.len();
    }
    None
}

/// Where the table around `before` has `key` already.
fn earlier_key(root: &DeTable<'_>, text: &str, key: &str, before: usize) -> Option<Range<usize>> {
    let table = table_around(root, text, before);
    let mut nearest = None;
    earlier_in(table, key, before, &mut nearest);
    nearest
}

fn earlier_in(table: &DeTable<'_>, key: &str, before: usize, nearest: &mut Option<Range<usize>>) {
    for (name, value) in table {
        let span = name.span();
        if name.get_ref() == key && span.start < before {
            *nearest = Some(span);
            return;
        }
        // `a.b = 1` puts b into a table whose span is the key's.
        if let DeValue::Table(below) = value.get_ref()
            && value.span() == span
        {
            earlier_in(below, key, before, nearest);
        }
    }
}

/// The innermost table whose keys may stand at `at`: an inline one around it,
/// or that of the last header before.
fn table_around<'t, 'i>(root: &'t DeTable<'i>, text: &str, at: usize) -> &'t DeTable<'i> {
    let mut best = (0, root);
    let mut left: Vec<&Spanned<DeValue<'i>>> = root.values().collect();
    while let Some(value) = left.pop() {
        match value.get_ref() {
            DeValue::Table(table) => {
                let span = value.span();
                let holds = match text.as_bytes().get(span.start) {
                    Some(b'{') => span.contains(&at),
                    Some(b'[') => span.start < at,
                    // Made by a dotted key or by the header of a table below.
                    _ => false,
                };
                if holds && span.start >= best.0 {
                    best = (span.start, table);
                }
                left.extend(table.values());
            }
            DeValue::Array(items) => left.extend(items.iter()),
            _ => {}
        }
    }
    best.1
}

/// A configuration is written by people; 10,000 servers take less than 1 MiB.
pub(crate) const SOURCE_MAX: usize = 16 << 20;

/// More of them are no slips; each looks at those before.
const SYNTAX_ERRORS_MAX: usize = 200;

/// After this one the parser gives up on the rest of the text; without the
/// line it goes on.
const LOSES_THE_REST: &str = "key with no value";

/// What the parser says of `key =` too.
const NOT_QUOTED: &str = "string values must be quoted, expected literal string";

/// Each costs a pass over the text.
const LOST_LINES_MAX: usize = 20;
