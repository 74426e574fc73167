//! Every key of the file and what it takes: the one list the checks, the
//! suggestions and the test of `config/reference.toml` go by.

use std::time::Duration;

use super::address::{self, Fault};
use super::grammar;
use super::shares::SHARE_MAX;
use super::stats;
use super::units::{duration_text, size_text};

/// What can be checked of a text without knowing more.
macro_rules! parses {
    ($parse:path) => {
        |text| $parse(text).map(drop)
    };
}

mod backend;
mod cookie;
mod discovery;
mod frontend;
mod global;
mod http2;
mod log;
mod page;
mod proxy_protocol;
mod tls;

use backend::{BACKEND, BACKEND_ITSELF, BACKEND_SETTINGS, SERVER, SERVER_WAITS};
use discovery::{DISCOVERY, REGISTER};
use frontend::{
    BODY_LIMITS, CLIENT_WAITS, DEFAULT_BACKEND, FRONTEND, FRONTEND_ITSELF, FRONTEND_SETTINGS,
};
use global::GLOBAL;
use http2::{ALL_HTTP2, CLIENT_HTTP2, SERVER_HTTP2};
use log::LOG;
use page::{FRONTEND_STATS, STATS};
use proxy_protocol::{ACCEPTED, SENT};
use tls::{FRONTEND_TLS, REDIRECT_HTTPS, SERVER_TLS, SHOWN};

/// The keys of one table.
#[derive(Debug)]
pub(crate) struct Section {
    /// As diagnostics name it.
    pub(crate) title: &'static str,
    /// The key a string in place of the table stands for.
    pub(crate) short: Option<&'static str>,
    /// In groups, because frontends, backends, listens and defaults share some.
    pub(crate) groups: &'static [&'static [Key]],
}

impl Section {
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    pub(crate) required: bool,
}

/// What a key takes.
#[derive(Debug)]
pub(crate) enum Takes {
    /// A string; the function says what is wrong with it.
    Text {
        expected: &'static str,
        check: fn(&str) -> Result<(), Fault>,
    },
    /// One of these words.
    Words {
        now: &'static [&'static str],
        later: &'static [&'static str],
    },
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number {
        min: i64,
        max: i64,
    },
    /// A string with a unit of time; `step` is 1,000 where seconds count.
    Duration {
        min: u64,
        max: u64,
        step: u64,
    },
    /// A string with a unit of size.
    Size {
        min: u64,
        max: u64,
    },
    /// A status code or a range of them, as number or string.
    Status,
    /// This word, or the other.
    Or(&'static str, &'static Self),
    /// `true` and `false`, or the other. `true` for a table is the empty one.
    FlagOr(&'static Self),
    /// Several; one value stands for a list of one.
    List(&'static Self),
    Table(&'static Section),
    /// Header fields: names are keys, values strings.
    Fields,
    /// Names are keys, values numbers from 1 on.
    Counts,
    /// Names of groups are keys, shares values.
    Shares,
    /// Planned, not built; the sentence (or "") says more.
    Later(&'static str),
}

impl Takes {
    /// Whether the key is planned only.
    pub(crate) fn is_later(&self) -> bool {
        matches!(self, Self::Later(_))
    }

    /// The table one stands for, also in a list or beside a flag.
    pub(crate) fn section(&self) -> Option<&'static Section> {
        match self {
            Self::List(one) | Self::FlagOr(one) | Self::Or(_, one) => one.section(),
            Self::Table(section) => Some(section),
            _ => None,
        }
    }

    /// For "takes ..." in diagnostics and in the reference.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text { expected, .. } => (*expected).to_owned(),
            Self::Words { now, .. } => alternatives(now),
            Self::Flag => "true or false".to_owned(),
            Self::Number { min, max } => format!("a number, {min} to {max}"),
            Self::Duration { min, max, step } => {
                let text = |millis| duration_text(Duration::from_millis(millis));
                let whole = if *step == SECOND {
                    " in whole seconds"
                } else {
                    ""
                };
                format!("a duration{whole}, {} to {}", text(*min), text(*max))
            }
            Self::Size { min, max } => {
                format!("a size, {} to {}", size_text(*min), size_text(*max))
            }
            Self::Status => "status codes, such as 200 or \"200-399\"".to_owned(),
            Self::Or(word, other) => format!("\"{word}\" or {}", other.describe()),
            Self::FlagOr(other) => format!("true, false or {}", other.describe()),
            Self::List(one) => format!("{}, or a list", one.describe()),
            Self::Table(section) => match section.short {
                Some(short) => format!("a table, or a string for its `{short}`"),
                None => "a table".to_owned(),
            },
            Self::Fields => "a table of header fields".to_owned(),
            Self::Counts => "a table of backends and numbers".to_owned(),
            Self::Shares => "a table of groups and their shares".to_owned(),
            Self::Later(_) => "nothing yet".to_owned(),
        }
    }
}

fn alternatives(words: &[&str]) -> String {
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            text.push_str(if index + 1 == words.len() {
                " or "
            } else {
                ", "
            });
        }
        text.push_str(&format!("\"{word}\""));
    }
    text
}

const fn key(name: &'static str, takes: Takes) -> Key {
    Key {
        name,
        takes,
        required: false,
    }
}

const fn required(name: &'static str, takes: Takes) -> Key {
    Key {
        name,
        takes,
        required: true,
    }
}

const fn text(expected: &'static str, check: fn(&str) -> Result<(), Fault>) -> Takes {
    Takes::Text { expected, check }
}

const fn number(min: i64, max: i64) -> Takes {
    Takes::Number { min, max }
}

const fn duration(min: u64, max: u64) -> Takes {
    Takes::Duration { min, max, step: 1 }
}

const fn seconds(min: u64, max: u64) -> Takes {
    Takes::Duration {
        min,
        max,
        step: SECOND,
    }
}

const fn size(min: u64, max: u64) -> Takes {
    Takes::Size { min, max }
}

const fn later(name: &'static str) -> Key {
    key(name, Takes::Later(""))
}

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
/// Deadlines are counted in milliseconds in 32 bits; HAProxy stops here too.
const DAYS_24: u64 = 24 * 24 * HOUR;
const KIB: u64 = 1 << 10;
/// What fits in the buffer a head is parsed in.
const HEAD_MAX: u64 = 60 * KIB;

const NAME: Takes = text(
    "a name of the characters A-Z a-z 0-9 _ . : -",
    address::name,
);
const GROUP: Takes = text(
    "a group: up to 128 visible characters of ASCII",
    grammar::group,
);
const ACCOUNT: Takes = text("a name or number, \"\" for none", grammar::account);
const OCTAL: Takes = text(
    "an octal mode, such as \"0600\"",
    parses!(grammar::octal_mode),
);
const TIMEOUT: Takes = duration(1, DAYS_24);

/// The whole file.
pub(crate) static ROOT: Section = Section {
    title: "the file",
    short: None,
    groups: &[&[
        key("global", Takes::Table(&GLOBAL)),
        key("defaults", Takes::Table(&DEFAULTS)),
        key("frontend", Takes::List(&Takes::Table(&FRONTEND))),
        key("backend", Takes::List(&Takes::Table(&BACKEND))),
        key("listen", Takes::List(&Takes::Table(&LISTEN))),
        key("stats", Takes::Table(&STATS)),
        key("log", Takes::List(&Takes::Table(&LOG))),
        key("register", Takes::List(&Takes::Table(&REGISTER))),
        key("discovery", Takes::Table(&DISCOVERY)),
    ]],
};

/// A file that lists the servers of a backend.
pub(crate) static SERVER_FILE: Section = Section {
    title: "a server file",
    short: None,
    groups: &[&[required("server", Takes::List(&Takes::Table(&SERVER)))]],
};

const MODE: &[Key] = &[key(
    "mode",
    Takes::Words {
        now: &["http", "tcp"],
        later: &[],
    },
)];

static LISTEN: Section = Section {
    title: "[[listen]]",
    short: None,
    groups: &[
        &[required("name", NAME)],
        MODE,
        FRONTEND_ITSELF,
        BACKEND_ITSELF,
        FRONTEND_SETTINGS,
        BACKEND_SETTINGS,
        BOTH_SIDES,
        &[key("stats", Takes::Table(&FRONTEND_STATS))],
    ],
};

static DEFAULTS: Section = Section {
    title: "[defaults]",
    short: None,
    groups: &[
        MODE,
        FRONTEND_SETTINGS,
        DEFAULT_BACKEND,
        BACKEND_SETTINGS,
        BOTH_SIDES,
    ],
};

static BOTH_SIDES: &[Key] = &[
    key("timeouts", Takes::Table(&ALL_TIMEOUTS)),
    key("limits", Takes::Table(&ALL_LIMITS)),
    key("http2", Takes::Table(&ALL_HTTP2)),
];

const TUNNEL_WAIT: &[Key] = &[key("tunnel", TIMEOUT)];

static ALL_TIMEOUTS: Section = Section {
    title: "timeouts",
    short: None,
    groups: &[CLIENT_WAITS, SERVER_WAITS, TUNNEL_WAIT],
};

const HEAD_LIMITS: &[Key] = &[
    key("head", size(KIB, HEAD_MAX)),
    key("headers", number(1, 256)),
];

static ALL_LIMITS: Section = Section {
    title: "limits",
    short: None,
    groups: &[HEAD_LIMITS, BODY_LIMITS],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_name_unit_and_range() {
        for (path, expected) in [
            ("global.workers", "\"auto\" or a number, 1 to 1024"),
            ("backend.timeouts.connect", "a duration, 1ms to 24d"),
            ("frontend.limits.head", "a size, 1KiB to 60KiB"),
            (
                "defaults.forwarded.for",
                "\"append\", \"replace\" or \"off\"",
            ),
            (
                "listen.forwarded.port",
                "true, false or a number, 1 to 65535",
            ),
            (
                "frontend.bind.keepalive",
                "\"off\" or a duration in whole seconds, 1s to 9h",
            ),
        ] {
            let (section, name) = path.rsplit_once('.').unwrap();
            let section = section.split('.').fold(&ROOT, |section, name| {
                section.key(name).unwrap().takes.section().unwrap()
            });
            assert_eq!(section.key(name).unwrap().takes.describe(), expected);
        }
    }

    #[test]
    fn no_table_names_a_key_twice() {
        fn look(section: &'static Section) {
            for (index, key) in section.keys().enumerate() {
                assert!(
                    !section
                        .keys()
                        .skip(index + 1)
                        .any(|other| other.name == key.name),
                    "{} {}",
                    section.title,
                    key.name
                );
                if let Some(below) = key.takes.section() {
                    look(below);
                }
            }
            assert!(
                section
                    .short
                    .is_none_or(|short| section.key(short).is_some())
            );
        }
        look(&ROOT);
        look(&SERVER_FILE);
    }
}
