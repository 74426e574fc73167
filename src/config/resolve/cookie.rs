//! `cookie` of backends and servers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::diagnostics::{Diagnostic, Place, Problems};
use crate::config::grammar;
use crate::config::tree::{Node, Reader, Value};
use crate::config::{Cookie, CookieSecure, Mode, SameSite};

/// Of a backend. One of TCP mode has none: `[defaults]` may be meant for others.
pub(super) fn cookie(backend: &Reader<'_>, mode: Mode, problems: &Problems) -> Option<Cookie> {
    let written = backend.node("cookie");
    let cookie = match (written.map(|node| &node.value), mode) {
        (Some(Value::Table(_)), Mode::Http) => Some(of_table(&backend.table("cookie"), problems)),
        _ => None,
    };
    // One that was refused counts as one: complaining twice helps nobody.
    let is_bad = matches!(written.map(|node| &node.value), Some(Value::Bad));
    if cookie.is_none() && !is_bad {
        for node in backend.list("server") {
            value_without_cookie(&Reader::of(node), mode, problems);
        }
    }
    cookie
}

fn of_table(reader: &Reader<'_>, problems: &Problems) -> Cookie {
    let default = Cookie::default();
    let flag = |key, default| reader.flag(key).unwrap_or(default);
    let cookie = Cookie {
        name: reader.text("name").map_or(default.name, Arc::from),
        indirect: flag("indirect", default.indirect),
        nocache: flag("nocache", default.nocache),
        preserve: flag("preserve", default.preserve),
        httponly: flag("httponly", default.httponly),
        secure: match reader.flag("secure") {
            None => CookieSecure::Auto,
            Some(true) => CookieSecure::Always,
            Some(false) => CookieSecure::Never,
        },
        same_site: reader.text("same_site").and_then(|word| match word {
            "lax" => Some(SameSite::Lax),
            "strict" => Some(SameSite::Strict),
            "none" => Some(SameSite::None),
            _ => None,
        }),
        domain: reader
            .parsed("domain", grammar::cookie_domain)
            .map(Arc::from),
        path: reader.text("path").map_or(default.path, Arc::from),
        max_age: reader.duration("max_age"),
        maxidle: reader.duration("maxidle"),
        maxlife: reader.duration("maxlife"),
        key: reader.text("key").map_or(default.key, Arc::from),
    };
    refused_by_browsers(reader, &cookie, problems);
    cookie
}

/// Cookies that browsers do not take (RFC 6265bis 5.7).
fn refused_by_browsers(reader: &Reader<'_>, cookie: &Cookie, problems: &Problems) {
    let place = |key: &str| {
        let entry = reader.entry(key);
        entry.map_or_else(|| reader.place(), |entry| entry.key_place)
    };
    if (cookie.same_site, cookie.secure) == (Some(SameSite::None), CookieSecure::Never) {
        problems.at_all(
            &[
                (place("same_site"), "sent by other sites' pages".to_owned()),
                (place("secure"), "also without TLS".to_owned()),
            ],
            Diagnostic::error("browsers take no cookie with SameSite=None that is not Secure")
                .help("write secure = true, or leave it out: then it is so over TLS"),
        );
    }
    let host = cookie.name.starts_with("__Host-");
    let is_prefixed = host || cookie.name.starts_with("__Secure-");
    if is_prefixed && cookie.secure != CookieSecure::Always {
        problems.at(
            place("name"),
            "",
            Diagnostic::error("browsers take a cookie of this prefix only if it is Secure")
                .help("write secure = true"),
        );
    }
    if host && (cookie.domain.is_some() || &*cookie.path != "/") {
        problems.at(
            place("name"),
            "",
            Diagnostic::error(
                "browsers take a `__Host-` cookie only without domain and with path \"/\"",
            ),
        );
    }
}

fn value_without_cookie(server: &Reader<'_>, mode: Mode, problems: &Problems) {
    let Some(entry) = server.own("cookie") else {
        return;
    };
    let (why, help) = match mode {
        Mode::Tcp => ("there are none in tcp mode", None),
        Mode::Http => (
            "the backend keeps no clients by a cookie",
            Some("write cookie = \"SERVERID\" in the backend"),
        ),
    };
    let diagnostic = Diagnostic::warning("this `cookie` has no effect");
    let diagnostic = match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    };
    problems.at(entry.key_place, why, diagnostic);
}

/// Two servers of one value: a client of one would be sent to the other.
pub(super) fn unique_values(servers: &[Node], problems: &Problems) {
    let mut seen: HashMap<&str, Place> = HashMap::new();
    for node in servers {
        let reader = Reader::of(node);
        let (Some(value), Some(node)) = (reader.text("cookie"), reader.node("cookie")) else {
            continue;
        };
        if let Some(first) = seen.insert(value, node.place) {
            problems.at_all(
                &[
                    (node.place, "again".to_owned()),
                    (first, "first given here".to_owned()),
                ],
                Diagnostic::error(format!("two servers have the cookie `{value}`"))
                    .help("without one a server gets a value of its own"),
            );
        }
    }
}
