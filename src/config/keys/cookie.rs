//! `[backend.cookie]`, and the `cookie` of a server.

use super::*;

pub(super) static COOKIE: Section = Section {
    title: "[backend.cookie]",
    short: Some("name"),
    groups: &[&[
        key(
            "name",
            text(
                "the name of a cookie, such as \"SERVERID\"",
                grammar::cookie_name,
            ),
        ),
        key(
            "mode",
            Takes::Words {
                now: &["insert"],
                later: &["rewrite", "prefix", "passive"],
            },
        ),
        key("indirect", Takes::Flag),
        key("nocache", Takes::Flag),
        key("preserve", Takes::Flag),
        key("httponly", Takes::Flag),
        key("secure", Takes::Or("auto", &Takes::Flag)),
        key(
            "same_site",
            Takes::Words {
                now: &["lax", "strict", "none"],
                later: &[],
            },
        ),
        key(
            "domain",
            text(
                "a domain, such as \"example.com\"",
                parses!(grammar::cookie_domain),
            ),
        ),
        key("path", text("a path, such as \"/\"", grammar::cookie_path)),
        key("max_age", seconds(SECOND, YEARS_10)),
        key("maxidle", seconds(SECOND, YEARS_10)),
        key("maxlife", seconds(SECOND, YEARS_10)),
        key("key", text("a text, \"\" for none", grammar::cookie_key)),
    ]],
};

pub(super) const COOKIE_VALUE: Takes = text(
    "the value of a cookie: up to 64 visible characters, without \" , ; \\ and |",
    grammar::cookie_value,
);

/// Browsers keep none for longer than 400 days; HAProxy takes ten years.
const YEARS_10: u64 = 3650 * 24 * HOUR;
