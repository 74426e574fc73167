//! `[[log]]`.

use super::*;

pub(super) static LOG: Section = Section {
    title: "[[log]]",
    short: Some("target"),
    groups: &[&[
        required(
            "target",
            text(
                "\"stdout\", \"stderr\", \"file:/path\", \"syslog:/dev/log\" or \"syslog:udp:host:514\"",
                parses!(address::log_target),
            ),
        ),
        key(
            "what",
            Takes::Words {
                now: &["access", "events"],
                later: &[],
            },
        ),
        key(
            "format",
            Takes::Words {
                now: &["haproxy", "json"],
                later: &[],
            },
        ),
        key(
            "tag",
            text(
                "a word of at most 32 characters A-Z a-z 0-9 _ . / -",
                grammar::log_tag,
            ),
        ),
        key(
            "only",
            Takes::Words {
                now: &["all", "errors"],
                later: &[],
            },
        ),
        key("uri_max", size(64, 8 * KIB)),
    ]],
};
