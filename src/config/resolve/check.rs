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
    let protocol = match mode {
        Mode::Http => http2::protocol(backend),
        Mode::Tcp => Protocol::Http1,
    };
    let probe = match (reader.text("type"), mode, protocol) {
        (Some("grpc"), ..) => grpc(&reader, problems),
        (Some("http"), ..) | (None, Mode::Http, Protocol::Http1) => {
            http(&reader, protocol, problems)
        }
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
    for key in ["method", "path", "host", "headers", "expect", "service"] {
        if let Some(entry) = reader.own(key) {
            let (whose, kind) = match key {
                "service" => ("of a gRPC check", "grpc"),
                _ => ("of an HTTP check", "http"),
            };
            problems.at(
                entry.key_place,
                whose,
                Diagnostic::error(format!("a tcp check has no `{key}`: it only connects"))
                    .help(format!("write type = \"{kind}\" beside it")),
            );
        }
    }
    Probe::Tcp
}

fn grpc(reader: &Reader<'_>, problems: &Problems) -> Probe {
    for key in ["method", "path", "headers", "expect"] {
        if let Some(entry) = reader.own(key) {
            let diagnostic = Diagnostic::error(format!(
                "a grpc check has no `{key}`: it asks grpc.health.v1.Health for SERVING"
            ));
            problems.at(entry.key_place, "of an HTTP check", diagnostic);
        }
    }
    Probe::Grpc {
        service: reader.text("service").unwrap_or_default().to_owned(),
        host: reader.some_text("host"),
    }
}

fn http(reader: &Reader<'_>, protocol: Protocol, problems: &Problems) -> Probe {
    if let Some(entry) = reader
        .own("service")
        .filter(|_| reader.some_text("service").is_some())
    {
        let diagnostic = Diagnostic::error("an http check has no `service`");
        problems.at(entry.key_place, "of a gRPC check", diagnostic);
    }
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
        protocol,
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
