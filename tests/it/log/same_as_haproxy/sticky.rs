//! Backends of both that keep clients at their servers by a cookie.

use super::sides::Origins;

/// The backends.
pub(super) const NAMES: [&str; 8] = [
    "sticky", "moved", "given", "kept", "stuck", "idle", "aged", "lined",
];

/// Options of a cookie to HAProxy, and keys to rlb.
fn cookie(name: &str) -> [&'static str; 2] {
    match name {
        "kept" => ["preserve", ", preserve = true"],
        "idle" => [
            "maxidle 1h maxlife 8h",
            ", maxidle = \"1h\", maxlife = \"8h\"",
        ],
        "aged" => ["maxlife 8h", ", maxlife = \"8h\""],
        _ => ["", ""],
    }
}

/// Servers: origin, cookie, words of both.
type Servers = &'static [(&'static str, &'static str, [&'static str; 2])];

fn servers(name: &str) -> Servers {
    const PLAIN: [&str; 2] = ["", ""];
    const WEIGHTLESS: [&str; 2] = ["weight 0", ", weight = 0"];
    const DISABLED: [&str; 2] = ["disabled", ", disabled = true"];
    match name {
        "sticky" => &[
            ("ok", "ca", PLAIN),
            ("ok", "cb", PLAIN),
            ("ok", "cd", WEIGHTLESS),
            ("ok", "ce", DISABLED),
            ("ok", "cf", ["backup", ", backup = true"]),
        ],
        "moved" => &[("refused", "ca", PLAIN), ("ok", "cb", PLAIN)],
        "given" | "kept" => &[("setter", "ca", PLAIN)],
        "stuck" => &[("ok", "ca", DISABLED)],
        "lined" => &[
            ("silent", "ca", ["maxconn 1", ", maxconn = 1"]),
            ("ok", "cb", PLAIN),
        ],
        _ => &[("ok", "ca", PLAIN)],
    }
}

pub(super) fn haproxy(origins: &Origins) -> String {
    let mut text = String::new();
    for name in NAMES {
        let [options, _] = cookie(name);
        text += &format!(
            "backend {name}\n  timeout queue 100ms\n  cookie SRV insert indirect nocache {options}\n"
        );
        for (n, (origin, value, [words, _])) in (1..).zip(servers(name)) {
            let addr = origins.addr(origin);
            text += &format!("  server s{n} {addr} cookie {value} {words}\n");
        }
    }
    text
}

pub(super) fn rlb(origins: &Origins) -> String {
    let mut text = String::new();
    for name in NAMES {
        let [_, keys] = cookie(name);
        text += &format!(
            "[[backend]]\nname = \"{name}\"\ntimeouts = {{ queue = \"100ms\" }}\n\
             cookie = {{ name = \"SRV\"{keys} }}\n"
        );
        for (n, (origin, value, [_, words])) in (1..).zip(servers(name)) {
            let addr = origins.addr(origin);
            let server = format!("name = \"s{n}\", address = \"{addr}\", cookie = \"{value}\"");
            text += &format!(
                "[[backend.server]]\n{}\n",
                (server + words).replace(", ", "\n")
            );
        }
    }
    text
}
