//! `[[backend]]`, and the back half of `[[listen]]`.

use super::cookie::{COOKIE, COOKIE_VALUE};
use super::*;

pub(super) static BACKEND_ITSELF: &[Key] = &[
    key("server", Takes::List(&Takes::Table(&SERVER))),
    key("source", Takes::List(&Takes::Table(&SOURCE))),
    key("groups", Takes::Table(&GROUPS)),
];

pub(super) static BACKEND_SETTINGS: &[Key] = &[
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
    key("server_maxconn", number(0, MAXCONN_MAX)),
    key("maxqueue", number(1, 1_000_000)),
    key("observe_connect", Takes::Flag),
    key("drain_timeout", duration(0, DAYS_24)),
    key("retry_after", seconds(0, 24 * HOUR)),
    key(
        "protocol",
        Takes::Words {
            now: &["h1", "h2"],
            later: &[],
        },
    ),
    key("proxy_protocol", SENT),
    key("cookie", Takes::FlagOr(&Takes::Table(&COOKIE))),
    key(
        "panic",
        text("a share, \"0%\" to \"100%\"", parses!(grammar::percent)),
    ),
];

pub(super) static BACKEND: Section = Section {
    title: "[[backend]]",
    short: None,
    groups: &[
        &[required("name", NAME)],
        MODE,
        BACKEND_ITSELF,
        BACKEND_SETTINGS,
        &[
            key("tls", Takes::FlagOr(&Takes::Table(&SERVER_TLS))),
            key("timeouts", Takes::Table(&SERVER_TIMEOUTS)),
            key("limits", Takes::Table(&RESPONSE_LIMITS)),
            key("http2", Takes::Table(&SERVER_HTTP2)),
        ],
    ],
};

pub(super) const SERVER_WAITS: &[Key] = &[
    key("connect", TIMEOUT),
    key("server", TIMEOUT),
    key("queue", TIMEOUT),
    key("pool_idle", TIMEOUT),
];

/// Of one server: more than any process has descriptors for.
const MAXCONN_MAX: i64 = 100_000_000;

pub(super) static SERVER_TIMEOUTS: Section = Section {
    title: "[backend.timeouts]",
    short: None,
    groups: &[SERVER_WAITS, TUNNEL_WAIT],
};

pub(super) static RESPONSE_LIMITS: Section = Section {
    title: "[backend.limits]",
    short: None,
    groups: &[HEAD_LIMITS],
};

pub(super) static SERVER: Section = Section {
    title: "a server",
    short: Some("address"),
    groups: &[&[
        required(
            "address",
            text(
                "an address: \"10.0.0.11:80\", \"[2001:db8::1]:80\", \"db.internal:80\", \"unix:/path\" or \"unix:@name\"",
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
        key("group", GROUP),
        key("disabled", Takes::Flag),
        key("check", Takes::Flag),
        key("check_port", number(1, 65_535)),
        key("check_address", text("an IP address", parses!(grammar::ip))),
        key("maxconn", number(0, MAXCONN_MAX)),
        key("tls", Takes::FlagOr(&Takes::Table(&SERVER_TLS))),
        key("proxy_protocol", SENT),
        later("slow_start"),
        key("cookie", COOKIE_VALUE),
    ]],
};

pub(super) static SOURCE: Section = Section {
    title: "a source",
    short: None,
    groups: &[&[
        key(
            "file",
            text("the path of a server file", grammar::file_path),
        ),
        key(
            "consul",
            text("the name of a service in Consul", grammar::consul_name),
        ),
        key(
            "tags",
            Takes::List(&text("a tag of Consul", grammar::consul_tag)),
        ),
        key(
            "docker",
            text("the name of a service in Docker", grammar::docker_name),
        ),
        key(
            "project",
            text("a project of compose", grammar::docker_name),
        ),
        key(
            "network",
            text("the name of a network", grammar::docker_name),
        ),
        key("dns", text("a name in DNS", grammar::dns_name)),
        key(
            "type",
            Takes::Words {
                now: &["a", "aaaa", "srv"],
                later: &[],
            },
        ),
        key("port", number(1, 65_535)),
    ]],
};

pub(super) static GROUPS: Section = Section {
    title: "[backend.groups]",
    short: None,
    groups: &[&[
        key(
            "by",
            text(
                "\"tag:word\", \"meta:key\" or \"label:name\"",
                parses!(grammar::group_by),
            ),
        ),
        required("weights", Takes::Table(&GROUP_WEIGHTS)),
        key("missing", number(0, SHARE_MAX)),
        key(
            "all_zero",
            Takes::Words {
                now: &["refuse", "equal"],
                later: &[],
            },
        ),
    ]],
};

static GROUP_WEIGHTS: Section = Section {
    title: "[backend.groups.weights]",
    short: None,
    groups: &[&[
        key("static", Takes::Shares),
        key(
            "file",
            text("the path of a file of weights", grammar::file_path),
        ),
        key(
            "consul_kv",
            text(
                "a key with {group} in place of the name",
                parses!(grammar::kv_pattern),
            ),
        ),
        key("consul_kv_json", text("a key", grammar::kv_key)),
    ]],
};

pub(super) static CHECK: Section = Section {
    title: "[backend.check]",
    short: None,
    groups: &[&[
        key(
            "type",
            Takes::Words {
                now: &["http", "tcp", "grpc"],
                later: &["agent", "redis", "mysql", "postgres", "smtp"],
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
        key(
            "service",
            text(
                "a service of gRPC, \"\" for the server as a whole",
                grammar::grpc_service,
            ),
        ),
        key("headers", Takes::Fields),
        key("expect", Takes::List(&Takes::Status)),
        key("interval", TIMEOUT),
        key("fast_interval", TIMEOUT),
        key("down_interval", TIMEOUT),
        key("timeout", TIMEOUT),
        key("rise", number(1, 1_000)),
        key("fall", number(1, 1_000)),
        key("tls", Takes::Flag),
        key("proxy_protocol", SENT),
    ]],
};
