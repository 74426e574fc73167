//! Every key of the file and what it takes: the one list the checks, the
//! suggestions and the test of `config/reference.toml` go by.

use super::address::{self, Fault};
use super::grammar;
use super::units::{duration_text, size_text};
use std::time::Duration;

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
    /// Planned, not built; the sentence (or "") says more.
    Later(&'static str),
}

impl Takes {
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

/// What can be checked of a text without knowing more.
macro_rules! parses {
    ($parse:path) => {
        |text| $parse(text).map(drop)
    };
}

const NAME: Takes = text(
    "a name of the characters A-Z a-z 0-9 _ . : -",
    address::name,
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
        later("stats"),
        later("log"),
        later("register"),
        later("discovery"),
    ]],
};

/// A file that lists the servers of a backend.
pub(crate) static SERVER_FILE: Section = Section {
    title: "a server file",
    short: None,
    groups: &[&[required("server", Takes::List(&Takes::Table(&SERVER)))]],
};

static GLOBAL: Section = Section {
    title: "[global]",
    short: None,
    groups: &[&[
        key("workers", Takes::Or("auto", &number(1, 1024))),
        key("pin", Takes::Flag),
        key("maxconn", Takes::Or("auto", &number(1, 100_000_000))),
        key("admin", Takes::List(&Takes::Table(&ADMIN))),
        key(
            "state_dir",
            text("a directory, \"\" for none", grammar::directory),
        ),
        key("drain_timeout", duration(0, DAYS_24)),
        key("drain_delay", duration(0, HOUR)),
        key("close_idle_after", duration(0, HOUR)),
        key("worker_stall", duration(0, HOUR)),
        key("pipes_max", number(0, 1_000_000)),
        key("accept_budget", number(1, 65_536)),
        key("user", ACCOUNT),
        key("group", ACCOUNT),
        later("ready_timeout"),
    ]],
};

static ADMIN: Section = Section {
    title: "an admin socket",
    short: Some("path"),
    groups: &[&[
        key(
            "path",
            text(
                "the path of a Unix socket, \"\" for none",
                parses!(address::admin_path),
            ),
        ),
        key(
            "bind",
            text(
                "an address, such as \"127.0.0.1:9999\"",
                parses!(address::admin_tcp),
            ),
        ),
        key("mode", OCTAL),
        key("user", ACCOUNT),
        key("group", ACCOUNT),
        key(
            "level",
            Takes::Words {
                now: &["user", "operator", "admin"],
                later: &[],
            },
        ),
        key("insecure", Takes::Flag),
    ]],
};

const MODE: &[Key] = &[key(
    "mode",
    Takes::Words {
        now: &["http", "tcp"],
        later: &[],
    },
)];

/// What a frontend has alone.
static FRONTEND_ITSELF: &[Key] = &[
    required("bind", Takes::List(&Takes::Table(&BIND))),
    key("route", Takes::List(&Takes::Table(&ROUTE))),
];

static FRONTEND_SETTINGS: &[Key] = &[
    key("maxconn", Takes::Or("auto", &number(1, 100_000_000))),
    key("keep_alive_requests", number(0, 4_294_967_295)),
    key("forwarded", Takes::Table(&FORWARDED)),
    later("discovered_routes"),
    later("monitor"),
    later("tls"),
];

const DEFAULT_BACKEND: &[Key] = &[key(
    "default_backend",
    text("the name of a backend", address::name),
)];

static BACKEND_ITSELF: &[Key] = &[
    key("server", Takes::List(&Takes::Table(&SERVER))),
    key("source", Takes::List(&Takes::Table(&SOURCE))),
    later("groups"),
];

static BACKEND_SETTINGS: &[Key] = &[
    key(
        "balance",
        Takes::Words {
            now: &["roundrobin"],
            later: &[
                "leastconn",
                "random",
                "hash",
                "source",
                "uri",
                "first",
                "hdr",
                "static-rr",
            ],
        },
    ),
    key("retries", number(0, 100)),
    key("check", Takes::FlagOr(&Takes::Table(&CHECK))),
    key("pool_max", number(0, 1_000_000)),
    key("observe_connect", Takes::Flag),
    key("drain_timeout", duration(0, DAYS_24)),
    key("retry_after", seconds(0, 24 * HOUR)),
    later("panic"),
];

static FRONTEND: Section = Section {
    title: "[[frontend]]",
    short: None,
    groups: &[
        &[required("name", NAME)],
        MODE,
        FRONTEND_ITSELF,
        FRONTEND_SETTINGS,
        DEFAULT_BACKEND,
        &[
            key("timeouts", Takes::Table(&CLIENT_TIMEOUTS)),
            key("limits", Takes::Table(&REQUEST_LIMITS)),
            later("stats"),
        ],
    ],
};

static BACKEND: Section = Section {
    title: "[[backend]]",
    short: None,
    groups: &[
        &[required("name", NAME)],
        MODE,
        BACKEND_ITSELF,
        BACKEND_SETTINGS,
        &[
            key("timeouts", Takes::Table(&SERVER_TIMEOUTS)),
            key("limits", Takes::Table(&RESPONSE_LIMITS)),
        ],
    ],
};

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
        &[later("stats")],
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
];

const CLIENT_WAITS: &[Key] = &[
    key("client", TIMEOUT),
    key("http_request", TIMEOUT),
    key("keep_alive", TIMEOUT),
    key("half_closed", TIMEOUT),
    later("tls_handshake"),
];

const SERVER_WAITS: &[Key] = &[
    key("connect", TIMEOUT),
    key("server", TIMEOUT),
    key("pool_idle", TIMEOUT),
];

const TUNNEL_WAIT: &[Key] = &[key("tunnel", TIMEOUT)];

static CLIENT_TIMEOUTS: Section = Section {
    title: "[frontend.timeouts]",
    short: None,
    groups: &[CLIENT_WAITS, TUNNEL_WAIT],
};

static SERVER_TIMEOUTS: Section = Section {
    title: "[backend.timeouts]",
    short: None,
    groups: &[SERVER_WAITS, TUNNEL_WAIT],
};

static ALL_TIMEOUTS: Section = Section {
    title: "timeouts",
    short: None,
    groups: &[CLIENT_WAITS, SERVER_WAITS, TUNNEL_WAIT],
};

const HEAD_LIMITS: &[Key] = &[
    key("head", size(KIB, HEAD_MAX)),
    key("headers", number(1, 256)),
];

const BODY_LIMITS: &[Key] = &[
    key("uri", size(64, HEAD_MAX)),
    key("body", Takes::Or("off", &size(0, 1 << 50))),
];

static REQUEST_LIMITS: Section = Section {
    title: "[frontend.limits]",
    short: None,
    groups: &[HEAD_LIMITS, BODY_LIMITS],
};

static RESPONSE_LIMITS: Section = Section {
    title: "[backend.limits]",
    short: None,
    groups: &[HEAD_LIMITS],
};

static ALL_LIMITS: Section = Section {
    title: "limits",
    short: None,
    groups: &[HEAD_LIMITS, BODY_LIMITS],
};

static FORWARDED: Section = Section {
    title: "forwarded",
    short: None,
    groups: &[&[
        key(
            "for",
            Takes::Words {
                now: &["append", "replace", "off"],
                later: &[],
            },
        ),
        key("proto", Takes::Flag),
        key("port", Takes::FlagOr(&number(1, 65_535))),
        key("host", Takes::Flag),
        key(
            "trusted",
            Takes::List(&text(
                "a network, such as \"10.0.0.0/8\"",
                parses!(address::network),
            )),
        ),
        key("rfc7239", Takes::Flag),
        key(
            "via",
            text(
                "a name for this proxy, \"\" for none",
                grammar::token_or_none,
            ),
        ),
        key(
            "request_id",
            text("a field's name, \"\" for none", grammar::token_or_none),
        ),
    ]],
};

static BIND: Section = Section {
    title: "a bind",
    short: Some("address"),
    groups: &[&[
        required(
            "address",
            text(
                "an address: \":80\", \"10.0.0.1:80\", \"[::]:80\", \"unix:/path\", \"unix:@name\" or \"fd@3\"",
                parses!(address::bind),
            ),
        ),
        key("backlog", number(1, 65_535)),
        key("nodelay", Takes::Flag),
        key("keepalive", Takes::Or("off", &seconds(SECOND, 9 * HOUR))),
        key(
            "defer_accept",
            Takes::Or("off", &seconds(SECOND, 60 * SECOND)),
        ),
        key(
            "interface",
            text("a network interface, such as \"eth0\"", grammar::interface),
        ),
        key("mode", OCTAL),
        key("user", ACCOUNT),
        key("group", ACCOUNT),
        later("tls"),
        later("proxy_protocol"),
    ]],
};

static ROUTE: Section = Section {
    title: "[[frontend.route]]",
    short: None,
    groups: &[&[
        key(
            "host",
            text(
                "a host: \"demo.example.com\" or \"*.example.com\"",
                parses!(grammar::host_match),
            ),
        ),
        key(
            "path_prefix",
            text(
                "the start of a path, such as \"/api\"",
                grammar::path_prefix,
            ),
        ),
        key(
            "method",
            Takes::List(&text("a method, such as \"GET\"", grammar::method)),
        ),
        key("header", Takes::List(&Takes::Table(&HEADER))),
        required("backend", text("the name of a backend", address::name)),
    ]],
};

static HEADER: Section = Section {
    title: "a header condition",
    short: Some("name"),
    groups: &[&[
        required("name", text("a field's name", grammar::token)),
        key("value", text("a field's value", grammar::field_value)),
    ]],
};

static SERVER: Section = Section {
    title: "a server",
    short: Some("address"),
    groups: &[&[
        required(
            "address",
            text(
                "an address: \"10.0.0.11:80\", \"[2001:db8::1]:80\", \"unix:/path\" or \"unix:@name\"",
                parses!(address::server),
            ),
        ),
        key(
            "name",
            text(
                "a name of the characters A-Z a-z 0-9 _ . : -",
                address::server_name_written,
            ),
        ),
        key("weight", number(0, 256)),
        key("backup", Takes::Flag),
        key("disabled", Takes::Flag),
        key("check", Takes::Flag),
        key("check_port", number(1, 65_535)),
        key("check_address", text("an IP address", parses!(grammar::ip))),
        later("maxconn"),
        later("tls"),
        later("proxy_protocol"),
        later("slow_start"),
        later("cookie"),
    ]],
};

static SOURCE: Section = Section {
    title: "a source",
    short: None,
    groups: &[&[
        key(
            "file",
            text("the path of a server file", grammar::file_path),
        ),
        key("consul", Takes::Later("only `file` can be a source now")),
        key("docker", Takes::Later("only `file` can be a source now")),
        key("dns", Takes::Later("only `file` can be a source now")),
    ]],
};

static CHECK: Section = Section {
    title: "[backend.check]",
    short: None,
    groups: &[&[
        key(
            "type",
            Takes::Words {
                now: &["http", "tcp"],
                later: &["agent", "grpc", "redis", "mysql", "postgres", "smtp"],
            },
        ),
        key(
            "method",
            text("a method, such as \"HEAD\"", grammar::check_method),
        ),
        key(
            "path",
            text("a path, such as \"/health\"", grammar::request_path),
        ),
        key(
            "host",
            text("a host, \"\" for the server's address", grammar::check_host),
        ),
        key("headers", Takes::Fields),
        key("expect", Takes::List(&Takes::Status)),
        key("interval", TIMEOUT),
        key("fast_interval", TIMEOUT),
        key("down_interval", TIMEOUT),
        key("timeout", TIMEOUT),
        key("rise", number(1, 1_000)),
        key("fall", number(1, 1_000)),
        later("tls"),
    ]],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_name_unit_and_range() {
        let describe = |section: &Section, name| section.key(name).unwrap().takes.describe();
        for (section, name, expected) in [
            (&GLOBAL, "workers", "\"auto\" or a number, 1 to 1024"),
            (&SERVER_TIMEOUTS, "connect", "a duration, 1ms to 24d"),
            (&REQUEST_LIMITS, "head", "a size, 1KiB to 60KiB"),
            (&FORWARDED, "for", "\"append\", \"replace\" or \"off\""),
            (&FORWARDED, "port", "true, false or a number, 1 to 65535"),
            (
                &BIND,
                "keepalive",
                "\"off\" or a duration in whole seconds, 1s to 9h",
            ),
        ] {
            assert_eq!(describe(section, name), expected);
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
                let mut takes = &key.takes;
                while let Takes::List(inner) | Takes::FlagOr(inner) = takes {
                    takes = inner;
                }
                if let Takes::Table(below) = takes {
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
