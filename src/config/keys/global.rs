//! `[global]`.

use super::*;

pub(super) static GLOBAL: Section = Section {
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
        key("ready_timeout", duration(0, HOUR)),
        key("close_idle_after", duration(0, HOUR)),
        key("worker_stall", duration(0, HOUR)),
        key("pipes_max", number(0, 1_000_000)),
        key("accept_budget", number(1, 65_536)),
        key("user", ACCOUNT),
        key("group", ACCOUNT),
        key("tls_handshakes_max", number(1, 1_000_000)),
    ]],
};

pub(super) static ADMIN: Section = Section {
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
