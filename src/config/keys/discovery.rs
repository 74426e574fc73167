//! `[discovery]`.

use super::*;

pub(super) static DISCOVERY: Section = Section {
    title: "[discovery]",
    short: None,
    groups: &[&[
        key("coalesce", duration(0, 60 * SECOND)),
        key("max_delay", duration(0, 60 * SECOND)),
        key("empty_hold", duration(0, 24 * HOUR)),
        key("stale_warn", duration(SECOND, DAYS_24)),
        key("backoff", Takes::Table(&BACKOFF)),
        key("consul", Takes::Table(&CONSUL)),
        later("docker"),
        later("dns"),
    ]],
};

static BACKOFF: Section = Section {
    title: "[discovery.backoff]",
    short: None,
    groups: &[&[
        key("min", duration(10, HOUR)),
        key("max", duration(10, HOUR)),
    ]],
};

static CONSUL: Section = Section {
    title: "[discovery.consul]",
    short: None,
    groups: &[&[
        key(
            "address",
            text(
                "an address: \"http://127.0.0.1:8500\", \"https://consul:8501\", \"consul:8500\" or \"unix:///path\", \"\" for CONSUL_HTTP_ADDR",
                parses!(address::api_or_none),
            ),
        ),
        key(
            "token_file",
            text("the path of a file, \"\" for none", grammar::no_zero),
        ),
        key(
            "ca_file",
            text("the path of a file, \"\" for none", grammar::no_zero),
        ),
        key(
            "datacenter",
            text(
                "a datacenter of Consul, \"\" for the agent's own",
                grammar::consul_name_or_none,
            ),
        ),
        key("stale", Takes::Flag),
        key("wait", duration(SECOND, 600 * SECOND)),
        key("max_watches", number(1, 10_000)),
        key(
            "expose",
            Takes::Words {
                now: &["named"],
                later: &["tagged"],
            },
        ),
    ]],
};
