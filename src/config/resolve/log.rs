//! `[[log]]`.

use crate::config::address;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::tree::{Node, Reader};
use crate::config::{Log, LogFormat, LogTarget, LogWhat};

pub(super) fn logs(reader: &Reader<'_>, problems: &Problems) -> Vec<Log> {
    let mut logs: Vec<Log> = Vec::new();
    for node in reader.list("log") {
        let Some(log) = log(node) else { continue };
        let is_again = |other: &Log| other.target == log.target && other.what == log.what;
        if logs.iter().any(is_again) {
            let diagnostic = Diagnostic::error("this would be written twice to one place");
            problems.at(node.place, "again", diagnostic);
        }
        if let (LogWhat::Events, Some(entry)) = (log.what, Reader::of(node).own("uri_max")) {
            let diagnostic = Diagnostic::warning("`uri_max` has no effect on events");
            problems.at(entry.key_place, "", diagnostic);
        }
        logs.push(log);
    }
    logs
}

fn log(node: &Node) -> Option<Log> {
    let reader = Reader::of(node);
    let default = Log::to(LogTarget::Stdout);
    Some(Log {
        target: reader.parsed("target", address::log_target)?,
        what: match reader.text("what") {
            Some("events") => LogWhat::Events,
            _ => default.what,
        },
        format: match reader.text("format") {
            Some("json") => LogFormat::Json,
            _ => default.format,
        },
        tag: reader.text("tag").map_or(default.tag, str::to_owned),
        only_errors: reader.text("only") == Some("errors"),
        uri_max: reader.size("uri_max").unwrap_or(default.uri_max),
    })
}
