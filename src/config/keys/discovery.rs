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
        key("docker", Takes::Table(&DOCKER)),
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
                now: &["named", "tagged"],
                later: &[],
            },
        ),
    ]],
};

static DOCKER: Section = Section {
    title: "[discovery.docker]",
    short: None,
    groups: &[&[
        key(
            "endpoint",
            Takes::List(&text(
                "an address: \"unix:///var/run/docker.sock\", \"tcp://docker:2375\" or \"https://docker:2376\", \"\" for DOCKER_HOST",
                parses!(address::api_or_none),
            )),
        ),
        key(
            "cert_path",
            text(
                "a directory with ca.pem, cert.pem and key.pem, \"\" for DOCKER_CERT_PATH",
                grammar::no_zero,
            ),
        ),
        key(
            "address",
            Takes::Words {
                now: &["container", "published"],
                later: &[],
            },
        ),
        key(
            "host_ip",
            text(
                "an IP address, \"\" for the endpoint's host",
                parses!(grammar::ip_or_none),
            ),
        ),
        key(
            "network",
            text(
                "the name of a network, \"\" for any",
                grammar::docker_name_or_none,
            ),
        ),
        key(
            "expose",
            Takes::Words {
                now: &["labelled", "all"],
                later: &[],
            },
        ),
        key(
            "health",
            Takes::Words {
                now: &["not_unhealthy", "require_healthy", "ignore"],
                later: &[],
            },
        ),
        key("early_drain", Takes::Flag),
        key("stop_grace", duration(SECOND, HOUR)),
        key("resync", duration(SECOND, 24 * HOUR)),
        key(
            "conventions",
            Takes::List(&Takes::Words {
                now: &["rlb", "interlock", "registrator"],
                later: &[],
            }),
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

pub(super) static REGISTER: Section = Section {
    title: "[[register]]",
    short: None,
    groups: &[&[
        required(
            "consul",
            text("the name of a service in Consul", grammar::consul_name),
        ),
        required(
            "address",
            text(
                "an IP address and a port, such as \"10.0.0.20:80\"",
                parses!(address::reachable),
            ),
        ),
        required("frontend", text("the name of a frontend", address::name)),
        key(
            "tags",
            Takes::List(&text("a tag of Consul", grammar::consul_tag)),
        ),
        key("ttl", duration(SECOND, HOUR)),
        key("deregister_after", duration(60 * SECOND, DAYS_24)),
    ]],
};
