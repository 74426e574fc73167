//! Which metrics: the query of `/metrics`, and what `show metrics` makes of its words.

/// What is asked for. Everything by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Of the process.
    pub(crate) global: bool,
    /// Of frontends.
    pub(crate) frontend: bool,
    /// Of backends.
    pub(crate) backend: bool,
    /// Of servers.
    pub(crate) server: bool,
    /// Our own.
    pub(crate) rlb: bool,
    /// Leave out servers in maintenance.
    pub(crate) no_maint: bool,
    /// Only these names, if any.
    only: Vec<String>,
    /// Not these.
    without: Vec<String>,
}

impl Default for Selection {
    fn default() -> Self {
        Self::scopes(true)
    }
}

impl Selection {
    /// Reads `scope=server&scope=global&no-maint&metrics=a,-b`, without the
    /// question mark. What it does not know selects nothing more; an empty
    /// scope drops those before it.
    pub(crate) fn parse(query: &str) -> Self {
        let mut selection = Self::default();
        let mut scoped = false;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            match key {
                "scope" => {
                    if !std::mem::replace(&mut scoped, true) {
                        selection.set_scopes(false);
                    }
                    selection.scope(&value);
                }
                "no-maint" => selection.no_maint = true,
                "metrics" => {
                    for name in value.split(',').filter(|name| !name.is_empty()) {
                        match name.strip_prefix('-') {
                            Some(name) => selection.without.push(name.to_owned()),
                            None => selection.only.push(name.to_owned()),
                        }
                    }
                }
                _ => {}
            }
        }
        selection
    }

    /// Whether this name is wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|other| other == name);
        (self.only.is_empty() || named(&self.only)) && !named(&self.without)
    }

    fn scope(&mut self, scope: &str) {
        match scope {
            "" => self.set_scopes(false),
            "*" => self.set_scopes(true),
            "global" => self.global = true,
            "frontend" => self.frontend = true,
            "backend" => self.backend = true,
            "server" => self.server = true,
            "rlb" => self.rlb = true,
            _ => {}
        }
    }

    fn set_scopes(&mut self, on: bool) {
        *self = Self {
            no_maint: self.no_maint,
            only: std::mem::take(&mut self.only),
            without: std::mem::take(&mut self.without),
            ..Self::scopes(on)
        };
    }

    fn scopes(on: bool) -> Self {
        Self {
            global: on,
            frontend: on,
            backend: on,
            server: on,
            rlb: on,
            no_maint: false,
            only: Vec::new(),
            without: Vec::new(),
        }
    }
}

/// `%2C` is a comma (RFC 3986 2.1). A broken escape stays as it is.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escape {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = &rest[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(query: &str) -> [bool; 5] {
        let s = Selection::parse(query);
        [s.global, s.frontend, s.backend, s.server, s.rlb]
    }

    #[test]
    fn scopes_are_read_in_order() {
        let cases = [
            ("", [true; 5]),
            ("scope=server", [false, false, false, true, false]),
            (
                "scope=frontend&scope=backend",
                [false, true, true, false, false],
            ),
            ("scope=*&scope=", [false; 5]),
            ("scope=&scope=global", [true, false, false, false, false]),
            ("scope=%2A", [true; 5]),
            ("scope=listener", [false; 5]),
        ];
        for (query, expected) in cases {
            assert_eq!(scopes(query), expected, "{query}");
        }
    }

    #[test]
    fn names_are_taken_or_left_out() {
        let only = Selection::parse("metrics=a,b%2Cc&no-maint");
        assert!(only.wants("a") && only.wants("c") && !only.wants("d") && only.no_maint);
        let without = Selection::parse("metrics=-a&scope=server");
        assert!(!without.wants("a") && without.wants("b"));
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }
}
