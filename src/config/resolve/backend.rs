//! `[[backend]]`, and the back half of `[[listen]]`.

use std::time::Duration;

use super::{check, cookie, discovery, groups, http2, mode, proxy_protocol, server, tls};
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::grammar;
use crate::config::tree::{Reader, Value};
use crate::config::{Backend, Balance, Mode, ResponseLimits, Server, ServerTimeouts};

pub(super) fn backend(reader: &Reader<'_>, problems: &Problems) -> Backend {
    let backend = settings(reader, mode(reader), problems);
    checks_that_never_run(reader, &backend, problems);
    backend
}

/// A backend that makes itself, out of the defaults.
pub(super) fn discovered(defaults: &Reader<'_>, problems: &Problems) -> Backend {
    settings(defaults, Mode::Http, problems)
}

fn settings(reader: &Reader<'_>, mode: Mode, problems: &Problems) -> Backend {
    let default = Backend::new("", mode);
    let sources = reader
        .list("source")
        .iter()
        .filter_map(|node| discovery::source(node, problems))
        .collect();
    let timeouts = timeouts(reader);
    let queue_timeout = reader.table("timeouts").duration("queue");
    Backend {
        name: reader.text("name").unwrap_or_default().into(),
        mode,
        balance: Balance::RoundRobin,
        retries: reader.number("retries").unwrap_or(default.retries),
        servers: server::servers(reader.list("server"), problems),
        sources,
        check: check::check(reader, mode, problems),
        check_discovered: !matches!(
            reader.node("check").map(|node| &node.value),
            Some(Value::Bool(false))
        ),
        panic: reader
            .parsed("panic", grammar::percent)
            .unwrap_or(default.panic),
        // As in HAProxy: who may wait for a connect may wait for a place.
        queue_timeout: queue_timeout.unwrap_or(timeouts.connect),
        timeouts,
        limits: limits(&reader.table("limits")),
        pool_max: reader.number("pool_max").unwrap_or(default.pool_max),
        server_maxconn: reader
            .number("server_maxconn")
            .unwrap_or(default.server_maxconn),
        maxqueue: reader.number("maxqueue").unwrap_or(default.maxqueue),
        observe_connect: reader
            .flag("observe_connect")
            .unwrap_or(default.observe_connect),
        drain_timeout: reader.duration("drain_timeout"),
        retry_after: reader
            .duration("retry_after")
            .unwrap_or(default.retry_after),
        tls: match reader.own("bind").is_some() {
            // Of a `[[listen]]` it is the other half's.
            true => None,
            false => tls::backend(reader, problems),
        },
        proxy_protocol: proxy_protocol::of_backend(reader),
        protocol: http2::protocol(reader),
        http2: http2::of_servers(&reader.table("http2")),
        groups: groups::groups(reader, problems),
        cookie: cookie::cookie(reader, mode, problems),
    }
}

fn timeouts(reader: &Reader<'_>) -> ServerTimeouts {
    let default = ServerTimeouts::default();
    let waits = reader.table("timeouts");
    let wait = |key, default| -> Duration { waits.duration(key).unwrap_or(default) };
    ServerTimeouts {
        connect: wait("connect", default.connect),
        server: wait("server", default.server),
        pool_idle: wait("pool_idle", default.pool_idle),
        // The one of [defaults] is the frontends': taken here too, it would
        // win over what a frontend says.
        tunnel: reader
            .without_defaults()
            .table("timeouts")
            .duration("tunnel"),
    }
}

fn limits(reader: &Reader<'_>) -> ResponseLimits {
    let default = ResponseLimits::default();
    ResponseLimits {
        head: reader.size("head").unwrap_or(default.head),
        headers: reader.number("headers").unwrap_or(default.headers),
    }
}

/// Warns of checks somebody wrote and nothing will do.
fn checks_that_never_run(reader: &Reader<'_>, backend: &Backend, problems: &Problems) {
    let has_check = backend.check.is_some();
    if let (Some(entry), true) = (reader.own("check"), has_check) {
        let off = |server: &Server| server.check == Some(false);
        let why = if !backend.sources.is_empty() || reader.own("source").is_some() {
            None
        } else if backend.servers.is_empty() {
            Some("the backend has no servers and no source")
        } else if backend.servers.iter().all(off) {
            Some("every server has check = false")
        } else {
            None
        };
        if let Some(why) = why {
            let diagnostic = Diagnostic::warning("this check never runs");
            problems.missing(entry.key_place, why, diagnostic);
        }
    }
    for node in reader.list("server") {
        server_check(&Reader::of(node), has_check, reader, problems);
    }
}

fn server_check(server: &Reader<'_>, has_check: bool, backend: &Reader<'_>, problems: &Problems) {
    // A check that was refused counts as one: complaining twice helps nobody.
    let check_written = matches!(
        backend.node("check").map(|node| &node.value),
        Some(Value::Table(_) | Value::Bad)
    );
    let has_check = has_check || check_written;
    if let (Some(entry), Some(true), false) = (server.own("check"), server.flag("check"), has_check)
    {
        problems.missing(
            entry.key_place,
            "",
            Diagnostic::error("the backend has no check this server could have")
                .help("write check = true in the backend"),
        );
    }
    if has_check && server.flag("check") != Some(false) {
        return;
    }
    for key in ["check_port", "check_address"] {
        if let Some(entry) = server.own(key) {
            let why = if has_check {
                "check = false"
            } else {
                "the backend has no check"
            };
            let diagnostic = Diagnostic::warning(format!("`{key}` of a check that never runs"));
            problems.missing(entry.key_place, why, diagnostic);
        }
    }
}
