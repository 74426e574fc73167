//! `tls` of frontends, binds, backends and servers.

use super::*;

const PEM: Takes = text("the path of a PEM file", grammar::file_path);
const PROTOCOLS: Takes = Takes::List(&Takes::Words {
    now: &["h2", "http/1.1"],
    later: &[],
});

/// What is shown to clients, and what is asked of them.
pub(super) const SHOWN: &[Key] = &[
    required(
        "certificates",
        Takes::List(&text(
            "the path of a PEM file, or of a directory of them",
            grammar::file_path,
        )),
    ),
    key("strict_sni", Takes::Flag),
    key(
        "min_version",
        Takes::Words {
            now: &["1.2", "1.3"],
            later: &[],
        },
    ),
    key(
        "cipher_suites",
        Takes::List(&text(
            "the IANA name of a cipher suite",
            grammar::cipher_suite,
        )),
    ),
    key("tickets", number(0, 16)),
    key(
        "client_auth",
        Takes::Words {
            now: &["off", "optional", "required"],
            later: &[],
        },
    ),
    key("ca_file", PEM),
    key("crl_file", PEM),
];

pub(super) static FRONTEND_TLS: Section = Section {
    title: "[frontend.tls]",
    short: Some("certificates"),
    groups: &[SHOWN, &[key("alpn", PROTOCOLS)]],
};

pub(super) static REDIRECT_HTTPS: Section = Section {
    title: "redirect_https",
    short: None,
    groups: &[&[
        key("code", number(301, 308)),
        key("port", number(1, 65_535)),
    ]],
};

pub(super) static SERVER_TLS: Section = Section {
    title: "tls of a server",
    short: None,
    groups: &[&[
        key("ca_file", PEM),
        key("verify", Takes::Flag),
        key("sni", text("a host name", grammar::tls_name)),
        key(
            "host",
            text("a host name or an IP address", grammar::tls_host),
        ),
        key("certificate", PEM),
        key("key", PEM),
        key("alpn", PROTOCOLS),
    ]],
};
