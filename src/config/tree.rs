//! The file as a tree in which every key and value knows its place.

use std::time::Duration;

use super::address::Fault;
use super::diagnostics::Place;
use super::units;

/// One value.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

impl Node {
    pub(crate) fn new(place: Place, value: Value) -> Self {
        Self { place, value }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String { text, .. } => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The members of a list; empty for anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }
}

/// What stands behind a key.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    String {
        text: String,
        /// Something in it came from the environment: a number or a flag may
        /// be meant, and diagnostics do not repeat it.
        expanded: bool,
    },
    /// `None`: beyond 64 bits.
    Integer(Option<i64>),
    Float,
    Bool(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
    /// Already complained about.
    Bad,
}

impl Value {
    pub(crate) fn string(text: impl Into<String>) -> Self {
        Self::String {
            text: text.into(),
            expanded: false,
        }
    }

    /// What the operator would call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::String { .. } => "a string",
            Self::Integer(_) => "a number",
            Self::Float => "a number with a fraction",
            Self::Bool(_) => "true or false",
            Self::Datetime => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Bad => "nothing",
        }
    }
}

/// A table, in the order of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) node: Node,
}

/// Reads a checked table and, for what it does not set, its defaults.
///
/// The tree was held against the key tables before, so a value that does not
/// parse here was reported there and reads as absent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'t> {
    own: Option<&'t Table>,
    defaults: Option<&'t Table>,
    place: Place,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(place: Place, own: Option<&'t Table>, defaults: Option<&'t Table>) -> Self {
        Self {
            own,
            defaults,
            place,
        }
    }

    /// Of a member of a list of tables.
    pub(crate) fn of(node: &'t Node) -> Self {
        Self::new(node.place, node.as_table(), None)
    }

    /// The same table with what `defaults` sets for those like it.
    pub(crate) fn with_defaults(self, defaults: Self) -> Self {
        Self {
            defaults: defaults.own,
            ..self
        }
    }

    /// Where the table begins.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The same table without its defaults.
    pub(crate) fn without_defaults(self) -> Self {
        Self {
            defaults: None,
            ..self
        }
    }

    /// The entry as written in this very table.
    pub(crate) fn own(&self, key: &str) -> Option<&'t Entry> {
        self.own?.get(key)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&'t Entry> {
        self.own(key)
            .or_else(|| self.defaults.and_then(|table| table.get(key)))
    }

    pub(crate) fn node(&self, key: &str) -> Option<&'t Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'t str> {
        self.node(key)?.as_str()
    }

    /// A text in which "" stands for nothing.
    pub(crate) fn some_text(&self, key: &str) -> Option<String> {
        self.text(key)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.node(key)?.value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    pub(crate) fn number<N: TryFrom<i64>>(&self, key: &str) -> Option<N> {
        match self.node(key)?.value {
            Value::Integer(Some(number)) => N::try_from(number).ok(),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        self.parsed(key, units::duration)
    }

    pub(crate) fn size<N: TryFrom<u64>>(&self, key: &str) -> Option<N> {
        N::try_from(self.parsed(key, units::size)?).ok()
    }

    pub(crate) fn parsed<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        parse(self.text(key)?).ok()
    }

    /// The members of a list.
    pub(crate) fn list(&self, key: &str) -> &'t [Node] {
        self.node(key).map_or(&[], Node::items)
    }

    /// A table below this one, merged key by key; empty if it is nowhere.
    pub(crate) fn table(&self, key: &str) -> Self {
        fn below<'t>(table: Option<&'t Table>, key: &str) -> Option<&'t Node> {
            table?.get(key).map(|entry| &entry.node)
        }
        let own = below(self.own, key);
        let defaults = below(self.defaults, key);
        Self {
            own: own.and_then(Node::as_table),
            defaults: defaults.and_then(Node::as_table),
            place: own.or(defaults).map_or(self.place, |node| node.place),
        }
    }

    /// Keys of the table and of its defaults, each once, with their values.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &'t Entry> {
        let own = self.own;
        let from = |table: Option<&'t Table>| table.map_or(&[][..], |table| &table.entries);
        from(own).iter().chain(
            from(self.defaults)
                .iter()
                .filter(move |entry| own.is_none_or(|own| own.get(&entry.key).is_none())),
        )
    }
}
