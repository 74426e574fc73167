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
        key("dns", Takes::Table(&DNS)),
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

static DNS: Section = Section {
    title: "[discovery.dns]",
    short: None,
    groups: &[&[
        key(
            "servers",
            Takes::List(&text(
                "the address of a DNS server, such as \"10.0.0.53\" or \"10.0.0.53:8600\"",
                parses!(address::dns_server),
            )),
        ),
        key(
            "transport",
            Takes::Words {
                now: &["udp", "tcp"],
                later: &["tls", "https"],
            },
        ),
        key("ttl", Takes::Table(&TTL)),
        key("hold_nx", duration(0, 24 * HOUR)),
    ]],
};

static TTL: Section = Section {
    title: "[discovery.dns.ttl]",
    short: None,
    groups: &[&[
        key("min", duration(100, HOUR)),
        key("max", duration(100, HOUR)),
    ]],
};
