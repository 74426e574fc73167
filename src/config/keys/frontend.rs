//! `[[frontend]]`, and the front half of `[[listen]]`.

use super::*;

/// What a frontend has alone.
pub(super) static FRONTEND_ITSELF: &[Key] = &[
    required("bind", Takes::List(&Takes::Table(&BIND))),
    key("route", Takes::List(&Takes::Table(&ROUTE))),
    key("monitor", Takes::Table(&MONITOR)),
];

static MONITOR: Section = Section {
    title: "monitor",
    short: Some("path"),
    groups: &[&[
        required(
            "path",
            text("a path, such as \"/health\"", grammar::path_prefix),
        ),
        key("fail_below", Takes::Counts),
    ]],
};

pub(super) static FRONTEND_SETTINGS: &[Key] = &[
    key("maxconn", Takes::Or("auto", &number(1, 100_000_000))),
    key("keep_alive_requests", number(0, 4_294_967_295)),
    key("forwarded", Takes::Table(&FORWARDED)),
    key("discovered_routes", Takes::Flag),
    key("tls", Takes::Table(&FRONTEND_TLS)),
    key(
        "redirect_https",
        Takes::FlagOr(&Takes::Table(&REDIRECT_HTTPS)),
    ),
];

pub(super) const DEFAULT_BACKEND: &[Key] = &[key(
    "default_backend",
    text("the name of a backend", address::name),
)];

pub(super) static FRONTEND: Section = Section {
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
            key("http2", Takes::Table(&CLIENT_HTTP2)),
            key("stats", Takes::Table(&FRONTEND_STATS)),
        ],
    ],
};

pub(super) const CLIENT_WAITS: &[Key] = &[
    key("client", TIMEOUT),
    key("http_request", TIMEOUT),
    key("keep_alive", TIMEOUT),
    key("half_closed", TIMEOUT),
    key("tls_handshake", TIMEOUT),
    key("client_hello", TIMEOUT),
];

pub(super) static CLIENT_TIMEOUTS: Section = Section {
    title: "[frontend.timeouts]",
    short: None,
    groups: &[CLIENT_WAITS, TUNNEL_WAIT],
};

pub(super) const BODY_LIMITS: &[Key] = &[
    key("uri", size(64, HEAD_MAX)),
    key("body", Takes::Or("off", &size(0, 1 << 50))),
];

pub(super) static REQUEST_LIMITS: Section = Section {
    title: "[frontend.limits]",
    short: None,
    groups: &[HEAD_LIMITS, BODY_LIMITS],
};

pub(super) static FORWARDED: Section = Section {
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

pub(super) static BIND: Section = Section {
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
        key("tls", Takes::Flag),
        key(
            "protocol",
            Takes::Words {
                now: &["h1", "h2", "both"],
                later: &[],
            },
        ),
        key("proxy_protocol", ACCEPTED),
    ]],
};

pub(super) static ROUTE: Section = Section {
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
        key(
            "sni",
            text(
                "a host: \"demo.example.com\" or \"*.example.com\"",
                parses!(grammar::sni_match),
            ),
        ),
        key(
            "alpn",
            Takes::List(&text(
                "a protocol of ALPN, such as \"h2\"",
                grammar::alpn_protocol,
            )),
        ),
        key("backend", text("the name of a backend", address::name)),
        key("deny", Takes::FlagOr(&number(200, 504))),
    ]],
};

pub(super) static HEADER: Section = Section {
    title: "a header condition",
    short: Some("name"),
    groups: &[&[
        required("name", text("a field's name", grammar::token)),
        key("value", text("a field's value", grammar::field_value)),
    ]],
};
