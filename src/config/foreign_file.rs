//! Recognises whole files of HAProxy and nginx, for one answer in place of a
//! hundred syntax errors.

use std::ops::Range;

use super::diagnostics::Diagnostic;

/// A file of somebody else.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForeignFile {
    kind: Kind,
    /// The line that gives it away.
    pub(crate) span: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Haproxy,
    Nginx,
    Yaml,
}

impl ForeignFile {
    pub(crate) fn label(&self) -> &'static str {
        match self.kind {
            Kind::Haproxy => "a section of HAProxy",
            Kind::Nginx => "a block of nginx",
            Kind::Yaml => "YAML",
        }
    }

    pub(crate) fn diagnostic(&self, name: &str) -> Diagnostic {
        let what = match self.kind {
            Kind::Haproxy => "a configuration of HAProxy",
            Kind::Nginx => "a configuration of nginx",
            Kind::Yaml => "YAML, as Traefik and Envoy take it",
        };
        Diagnostic::error(format!("{name} is {what}; rlb reads TOML"))
            .help("it cannot be converted in this version yet")
            .help(format!("the smallest file of rlb:\n{SMALLEST}"))
    }
}

const SMALLEST: &str = "\
[[listen]]
name = \"web\"
bind = \":80\"
server = [\"10.0.0.11:80\", \"10.0.0.12:80\"]";

/// Says whose file `text` is. Only asked of what is not TOML.
///
/// Two lines must speak for it, so that one slip in a file of ours stays one
/// syntax error.
pub(crate) fn recognise(text: &str) -> Option<ForeignFile> {
    let mut first: [Option<Range<usize>>; 3] = [const { None }; 3];
    let mut count = [0_usize; 3];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let begin = at + (line.len() - line.trim_start().len());
        at += line.len();
        let bare = line.trim();
        if bare.starts_with('[') && bare.ends_with(']') && !bare.contains(' ') {
            // A header of TOML: ours, with mistakes.
            return None;
        }
        if let Some(kind) = line_of(bare) {
            let kind_index = kind as usize;
            count[kind_index] += 1;
            first[kind_index].get_or_insert(begin..begin + bare.len());
        }
    }
    [Kind::Haproxy, Kind::Nginx, Kind::Yaml]
        .into_iter()
        .filter(|kind| count[*kind as usize] >= 2)
        .max_by_key(|kind| count[*kind as usize])
        .and_then(|kind| {
            Some(ForeignFile {
                kind,
                span: first[kind as usize].take()?,
            })
        })
}

fn line_of(line: &str) -> Option<Kind> {
    if line.is_empty() || line.starts_with('#') || line.contains(" = ") {
        return None;
    }
    if line.ends_with('{') || line.ends_with(';') {
        return Some(Kind::Nginx);
    }
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let rest = words.count();
    if HAPROXY_SECTIONS.contains(&first) && rest <= 1 || HAPROXY_WORDS.contains(&first) && rest >= 1
    {
        return Some(Kind::Haproxy);
    }
    if first.ends_with(':') && !first.starts_with(['"', '\'']) || first == "-" {
        return Some(Kind::Yaml);
    }
    None
}

const HAPROXY_SECTIONS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "resolvers",
    "peers",
    "userlist",
];

const HAPROXY_WORDS: &[&str] = &[
    "acl",
    "balance",
    "bind",
    "default_backend",
    "http-request",
    "http-response",
    "log",
    "maxconn",
    "mode",
    "option",
    "retries",
    "server",
    "stats",
    "timeout",
    "use_backend",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_files_are_recognised_at_their_first_line() {
        for (text, kind, line) in [
            (
                "# x\nglobal\n    maxconn 100\nfrontend web\n    bind :80\n",
                Kind::Haproxy,
                "global",
            ),
            (
                "events {}\nhttp {\n  upstream web {\n    server 10.0.0.1:80;\n  }\n}\n",
                Kind::Nginx,
                "http {",
            ),
            (
                "entryPoints:\n  web:\n    address: \":80\"\n",
                Kind::Yaml,
                "entryPoints:",
            ),
        ] {
            let found = recognise(text).unwrap();
            assert_eq!(found.kind, kind);
            assert_eq!(&text[found.span], line);
        }
    }

    #[test]
    fn a_slip_in_our_own_file_is_not_a_foreign_file() {
        for text in [
            "[[listen]]\nname = \"web\"\noption forwardfor\nbalance roundrobin\n",
            "mode http\nname = \"x\"\n",
        ] {
            assert_eq!(recognise(text), None, "{text}");
        }
    }
}
