//! `[backend.check]`.

use super::{http2, proxy_protocol};
use crate::config::defaults::{CHECK_EXPECT, CHECK_METHOD, CHECK_PATH};
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::grammar;
use crate::config::tree::{Node, Reader, Value};
use crate::config::{Check, Mode, Probe, Protocol};

/// The check of a backend; what it does not say comes from `[defaults.check]`.
pub(super) fn check(backend: &Reader<'_>, mode: Mode, problems: &Problems) -> Option<Check> {
    match backend.node("check")?.value {
        Value::Table(_) => {}
        _ => return None,
    }
    let reader = backend.table("check");
    let default = Check::default();
    let speaks_h1 = http2::protocol(backend) == Protocol::Http1;
    let probe = match (reader.text("type"), mode) {
        (Some("http"), _) if !speaks_h1 => {
            let entry = reader.entry("type");
            problems.at(
                entry.map_or_else(|| backend.place(), |entry| entry.node.place),
                "asks by HTTP/1.1",
                Diagnostic::error("the servers of this backend speak HTTP/2").help(
                    "write type = \"tcp\": other checks of HTTP/2 are not in this version yet",
                ),
            );
            Probe::Tcp
        }
        (Some("http"), _) => http(&reader, problems),
        (None, Mode::Http) if speaks_h1 => http(&reader, problems),
        _ => tcp(&reader, problems),
    };
    let interval = reader.duration("interval").unwrap_or(default.interval);
    let or_interval = |key| reader.duration(key).unwrap_or(interval);
    Some(Check {
        probe,
        interval,
        fast_interval: or_interval("fast_interval"),
        down_interval: or_interval("down_interval"),
        timeout: or_interval("timeout"),
        rise: reader.number("rise").unwrap_or(default.rise),
        fall: reader.number("fall").unwrap_or(default.fall),
        tls: reader.flag("tls").unwrap_or(default.tls),
        proxy_protocol: proxy_protocol::sent(&reader),
    })
}

/// The connect alone. Keys of an HTTP check may come from the defaults of the
/// backends that are HTTP; written beside this one they are a mistake.
fn tcp(reader: &Reader<'_>, problems: &Problems) -> Probe {
    for key in ["method", "path", "host", "headers", "expect"] {
        if let Some(entry) = reader.own(key) {
            problems.at(
                entry.key_place,
                "of an HTTP check",
                Diagnostic::error(format!("a tcp check has no `{key}`: it only connects"))
                    .help("write type = \"http\" beside it"),
            );
        }
    }
    Probe::Tcp
}

fn http(reader: &Reader<'_>, problems: &Problems) -> Probe {
    let fields = reader.table("headers");
    let headers = fields
        .entries()
        .filter_map(|entry| Some((entry.key.clone(), entry.node.as_str()?.to_owned())))
        .collect();
    let expected = reader.list("expect").iter().filter_map(Node::as_str);
    let expect: Vec<_> = expected
        .filter_map(|text| grammar::status_range(text).ok())
        .collect();
    if let Some(entry) = reader.own("expect")
        && matches!(&entry.node.value, Value::Array(items) if items.is_empty())
    {
        let diagnostic = Diagnostic::error("a check expects at least one status code");
        problems.at(entry.node.place, "none is given", diagnostic);
    }
    Probe::Http {
        method: reader.text("method").unwrap_or(CHECK_METHOD).to_owned(),
        path: reader.text("path").unwrap_or(CHECK_PATH).to_owned(),
        host: reader.some_text("host"),
        headers,
        expect: if expect.is_empty() {
            vec![CHECK_EXPECT]
        } else {
            expect
        },
    }
}
