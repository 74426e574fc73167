//! Prometheus' text format, with the names of HAProxy's built-in exporter, so
//! that its dashboards work, and a few of our own (`rlb_`).
//!
//! Families are grouped, as the format wants it: all lines of a name together.
//! Start at [`prometheus`]; the names are in `names.rs`.

mod names;
mod selection;

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use super::Snapshot;
use super::columns::Column;
use super::csv::{Filter, StatRequest, each_line};
use super::info::fields;
use super::lines::{Kind, Line, RESPONSES};
use super::rows::{Proxy, ServerRow};
use super::tls::TlsFrontend;
use super::totals::Latency;
use super::value::Value;
use crate::discovery::{Condition, SourceRow};
use crate::state::{Admin, Histogram, Operational};
use names::{CHECK_STATES, Metric, PROCESS, SERVER_STATES, Shape};
pub(crate) use selection::Selection;

/// The metrics that are selected.
pub(crate) fn prometheus(snapshot: &Snapshot, selection: &Selection) -> String {
    let mut writer = Writer {
        out: String::with_capacity(64 * 1024),
        selection,
    };
    if selection.global {
        process(&mut writer, snapshot);
    }
    let scopes = [
        (selection.frontend, Kind::Frontend),
        (selection.backend, Kind::Backend),
        (selection.server, Kind::Server),
    ];
    for (_, kind) in scopes.into_iter().filter(|(wanted, _)| *wanted) {
        lines(&mut writer, snapshot, kind);
    }
    if selection.rlb {
        own(&mut writer, snapshot);
    }
    writer.out
}

/// Writes families; a family without a line has no header either.
struct Writer<'a> {
    out: String,
    selection: &'a Selection,
}

/// One family under way.
struct Family<'w> {
    out: &'w mut String,
    name: &'w str,
    kind: &'static str,
    about: &'w str,
    begun: bool,
}

impl Writer<'_> {
    fn family(
        &mut self,
        name: &str,
        counter: bool,
        about: &str,
        write: impl FnOnce(&mut Family<'_>),
    ) {
        if self.selection.wants(name) {
            write(&mut Family {
                out: &mut self.out,
                name,
                kind: if counter { "counter" } else { "gauge" },
                about,
                begun: false,
            });
        }
    }
}

impl Family<'_> {
    fn line(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, value);
    }

    /// A line whose name goes on behind that of the family.
    fn part(&mut self, behind: &str, labels: &[(&str, &str)], value: impl Display) {
        let Self {
            out, name, about, ..
        } = self;
        // Writing to a String cannot fail.
        if !self.begun {
            let _ = writeln!(out, "# HELP {name} {about}\n# TYPE {name} {}", self.kind);
            self.begun = true;
        }
        out.push_str(name);
        out.push_str(behind);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(out, "{}{label}=\"", if index == 0 { '{' } else { ',' });
            escaped(out, text);
            out.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(out, "{close} {value}");
    }
}

/// Latencies of all requests and sessions of a backend or server: each `step`th
/// octave is a bucket, so that a thousand servers stay a thousand small rows.
fn histogram(family: &mut Family<'_>, labels: &[(&str, &str)], latency: &Latency, step: usize) {
    family.kind = "histogram";
    let count = latency.count();
    if count == 0 {
        return;
    }
    let mut below = 0;
    for (class, samples) in latency.classes.iter().enumerate() {
        below += samples;
        // Octaves end at every second class.
        if class.is_multiple_of(2 * step)
            && let Some(end) = Histogram::end_of(class)
        {
            let end = (end as f64 / 1e6).to_string();
            let labels = [labels, &[("le", &end)]].concat();
            family.part("_bucket", &labels, below);
        }
    }
    let labels_all = [labels, &[("le", "+Inf")]].concat();
    family.part("_bucket", &labels_all, count);
    family.part("_sum", labels, latency.sum_us as f64 / 1e6);
    family.part("_count", labels, count);
}

/// A label's value: backslash, quote and line end are escaped.
fn escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

fn process(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    for field in fields(snapshot, true) {
        let Some((_, name, counter)) = PROCESS.iter().find(|(pos, ..)| *pos == field.pos) else {
            continue;
        };
        let name = format!("haproxy_process_{name}");
        writer.family(&name, *counter, field.about, |family| match &field.value {
            Value::Text(text) => {
                let label = if field.name == "node" {
                    "node"
                } else {
                    "version"
                };
                family.line(&[(label, text)], 1);
            }
            value => family.line(&[], value),
        });
    }
}

/// All families of one kind of row.
fn lines(writer: &mut Writer<'_>, snapshot: &Snapshot, kind: Kind) {
    let (prefix, metrics) = names::of(kind);
    let request = StatRequest {
        filter: Filter {
            types: 1 << kind.number(),
            ..Filter::default()
        },
        hide_maint: kind == Kind::Server && writer.selection.no_maint,
        ..StatRequest::default()
    };
    let mut lines = Vec::new();
    each_line(snapshot, &request, |line| lines.push(line));
    for metric in metrics {
        let name = format!("haproxy_{prefix}_{}", metric.name);
        let about = metric.column.spec().about;
        writer.family(&name, metric.counter, about, |family| {
            if matches!(metric.shape, Shape::ServerStates | Shape::CheckStates) {
                return aggregate(family, metric.shape, snapshot);
            }
            for line in &lines {
                cell(family, metric, line);
            }
        });
    }
}

fn cell(family: &mut Family<'_>, metric: &Metric, line: &Line<'_>) {
    let (proxy, server) = (
        line.get(Column::Pxname).to_string(),
        line.get(Column::Svname).to_string(),
    );
    let mut labels = vec![("proxy", proxy.as_str())];
    if line.kind == Kind::Server {
        labels.push(("server", &server));
    }
    let value = line.get(metric.column);
    match metric.shape {
        Shape::Number if !value.is_empty() => family.line(&labels, value),
        Shape::Millis => {
            if let Some(millis) = value.number() {
                family.line(&labels, millis / 1000.0);
            }
        }
        Shape::Status => status(family, &labels, line),
        Shape::CheckStatus if !value.is_empty() => {
            let now = value.to_string();
            one_of(family, &labels, &CHECK_STATES, |state| now == state);
        }
        Shape::Responses => {
            for (column, code) in RESPONSES.iter().zip(CODES) {
                let value = line.get(*column);
                if !value.is_empty() {
                    let mut labels = labels.clone();
                    labels.push(("code", code));
                    family.line(&labels, value);
                }
            }
        }
        Shape::Number | Shape::CheckStatus | Shape::ServerStates | Shape::CheckStates => {}
    }
}

const CODES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

fn status(family: &mut Family<'_>, labels: &[(&str, &str)], line: &Line<'_>) {
    let text = line.get(Column::Status).to_string();
    let word = text.split(' ').next().unwrap_or_default();
    match line.kind {
        Kind::Frontend => one_of(family, labels, &SERVER_STATES[..2], |state| {
            (state == "UP") == (word == "OPEN")
        }),
        Kind::Backend => one_of(family, labels, &SERVER_STATES[..2], |state| state == word),
        // A server without a check is UP.
        Kind::Server => one_of(family, labels, &SERVER_STATES, |state| match word {
            "no" => state == "UP",
            word => state == word,
        }),
    }
}

/// One line per state, 1 for the one that is.
fn one_of(
    family: &mut Family<'_>,
    labels: &[(&str, &str)],
    states: &[&str],
    is: impl Fn(&str) -> bool,
) {
    for state in states {
        let mut labels = labels.to_vec();
        labels.push(("state", state));
        family.line(&labels, u8::from(is(state)));
    }
}

/// How many servers of each backend are in each state.
fn aggregate(family: &mut Family<'_>, shape: Shape, snapshot: &Snapshot) {
    let with_backend = |proxy: &&Proxy| proxy.backend.is_some();
    for proxy in snapshot.proxies.iter().filter(with_backend) {
        let servers = || proxy.backend.iter().flat_map(|backend| &backend.servers);
        let (states, state_of): (&[&str], fn(&ServerRow) -> &'static str) = match shape {
            Shape::CheckStates => (&CHECK_STATES, check_state),
            _ => (&SERVER_STATES, server_state),
        };
        for state in states {
            let count = servers()
                .filter(|server| state_of(server) == *state)
                .count();
            family.line(&[("proxy", &proxy.name), ("state", state)], count);
        }
    }
}

fn server_state(server: &ServerRow) -> &'static str {
    match (server.admin, server.operational) {
        (Admin::Maint, _) => "MAINT",
        (_, Operational::Down) => "DOWN",
        (_, Operational::Stopping) => "NOLB",
        (Admin::Drain, _) => "DRAIN",
        _ => "UP",
    }
}

fn check_state(server: &ServerRow) -> &'static str {
    match &server.check {
        Some(check) if server.admin != Admin::Maint => check.last.code.name(),
        _ => "",
    }
}

/// What HAProxy has no name for.
fn own(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    let process = &snapshot.process;
    let id = snapshot.generation;
    let about = "Number of the generation in force";
    writer.family("rlb_generation_id", false, about, |f| f.line(&[], id));
    let age = process
        .now_unix_ms
        .saturating_sub(process.generation_unix_ms);
    let about = "Time since the generation in force was published";
    writer.family("rlb_generation_age_seconds", false, about, |f| {
        f.line(&[], age as f64 / 1000.0);
    });
    let about = "Generations that changed what is served";
    writer.family("rlb_changes_total", true, about, |f| {
        f.line(&[], process.changes);
    });
    let about = "Sessions and requests of the worker that are with a server now";
    writer.family("rlb_worker_sessions", false, about, |f| {
        for (worker, sessions) in snapshot.worker_sessions.iter().enumerate() {
            f.line(&[("worker", &worker.to_string())], sessions);
        }
    });
    let about = "Sessions and tasks that ended in a panic";
    writer.family("rlb_panics_total", true, about, |f| {
        f.line(&[], process.panics);
    });
    let about = "Latest that any tick of the worker came";
    writer.family("rlb_worker_late_max_seconds", false, about, |f| {
        for (worker, late) in process.late_max.iter().enumerate() {
            f.line(&[("worker", &worker.to_string())], late.as_secs_f64());
        }
    });
    let about = "Connections refused for a PROXY header that was wrong, late or cut";
    writer.family(
        "rlb_frontend_proxy_headers_refused_total",
        true,
        about,
        |f| {
            for proxy in &snapshot.proxies {
                if let Some(frontend) = &proxy.frontend {
                    let refused = frontend.totals.proxy_headers_refused;
                    f.line(&[("proxy", &proxy.name)], refused);
                }
            }
        },
    );
    own_tls(writer, snapshot);
    let about =
        "Time of requests from their first byte, and of sessions from the accept, to the end";
    writer.family("rlb_backend_duration_seconds", false, about, |f| {
        for proxy in &snapshot.proxies {
            if let Some(backend) = &proxy.backend {
                let latency = &backend.work.latency;
                histogram(f, &[("proxy", &proxy.name)], latency, 1);
            }
        }
    });
    writer.family("rlb_server_duration_seconds", false, about, |f| {
        for (proxy, server) in snapshot.servers() {
            let labels = [("proxy", &*proxy.name), ("server", &*server.name)];
            histogram(f, &labels, &server.work.latency, 2);
        }
    });
    let about = "Sessions left on servers that were removed";
    writer.family("rlb_drain_sessions", false, about, |f| {
        // Two servers may have left under one name.
        let mut left: BTreeMap<_, u64> = BTreeMap::new();
        for row in &snapshot.drains {
            *left.entry((&row.backend, &row.server)).or_default() += row.left;
        }
        for ((backend, server), left) in left {
            f.line(&[("proxy", backend), ("server", server)], left);
        }
    });
    let about = "Time until what is left on servers that were removed is cut";
    writer.family("rlb_drain_remaining_seconds", false, about, |f| {
        let mut remaining: BTreeMap<_, u64> = BTreeMap::new();
        for row in &snapshot.drains {
            let longest = remaining.entry((&row.backend, &row.server)).or_default();
            *longest = (*longest).max(row.cut_in_ms.unwrap_or(0));
        }
        for ((backend, server), ms) in remaining {
            f.line(
                &[("proxy", backend), ("server", server)],
                ms as f64 / 1000.0,
            );
        }
    });
    sources(writer, &snapshot.sources);
}

/// Where servers come from.
fn sources(writer: &mut Writer<'_>, rows: &[SourceRow]) {
    let mut family =
        |name: &str, counter, about: &str, value: &dyn Fn(&SourceRow) -> Option<f64>| {
            writer.family(name, counter, about, |f| {
                for row in rows {
                    if let Some(value) = value(row) {
                        f.line(&[("source", &row.source)], value);
                    }
                }
            });
        };
    let flag = |flag: bool| Some(f64::from(u8::from(flag)));
    let about = "Whether the last answer of the source was good";
    family("rlb_source_up", false, about, &|row| {
        flag(row.state == Condition::Up)
    });
    let about = "Time since the last good answer of the source";
    family(
        "rlb_source_last_success_age_seconds",
        false,
        about,
        &|row| row.age,
    );
    let about = "Servers of the source";
    family("rlb_source_servers", false, about, &|row| {
        Some(row.members.len() as f64)
    });
    let about = "Sets of the source that came into force";
    family("rlb_source_changes_total", true, about, &|row| {
        Some(row.changes_total as f64)
    });
    let about = "Whether the source is empty and its last good set is kept for now";
    family("rlb_source_empty_held", false, about, &|row| {
        flag(row.empty_held)
    });
    let about = "Whether the set of the source is one from before the start";
    family("rlb_source_snapshot_in_use", false, about, &|row| {
        flag(row.snapshot_in_use)
    });
    let about = "Tries to ask the source that failed";
    writer.family("rlb_source_errors_total", true, about, |f| {
        for row in rows {
            for (kind, count) in &row.errors_total {
                f.line(&[("source", &row.source), ("kind", kind)], *count);
            }
        }
    });
}

fn own_tls(writer: &mut Writer<'_>, snapshot: &Snapshot) {
    let mut counter = |name, about, of: fn(&TlsFrontend) -> u64| {
        writer.family(name, true, about, |f| {
            for frontend in &snapshot.tls.frontends {
                f.line(&[("proxy", &frontend.name)], of(frontend));
            }
        });
    };
    let about = "TLS handshakes that led to a session";
    counter("rlb_tls_handshakes_total", about, |f| f.handshakes);
    let about = "Those of them that resumed an earlier session";
    counter("rlb_tls_resumed_total", about, |f| f.resumed);
    let about = "TLS handshakes that led nowhere";
    counter("rlb_tls_failed_handshakes_total", about, |f| f.failed);
    let about = "When the certificate expires, Unix time";
    writer.family("rlb_certificate_not_after_seconds", false, about, |f| {
        for certificate in &snapshot.tls.certificates {
            let labels = [("file", &*certificate.file), ("names", &*certificate.names)];
            f.line(&labels, certificate.not_after);
        }
    });
}

#[cfg(test)]
mod tests;
