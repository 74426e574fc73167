//! The event log: what `tracing` tells, to the same targets.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::sink::{Chunk, Sink};
use super::text::haproxy_escaped;
use super::time::{now_rfc3339, now_syslog};
use super::writer::head;
use crate::config::{Log, LogFormat};

/// Takes the events of a subscriber to the `[[log]]` targets of a running
/// [`Engine`](crate::Engine): give one clone to the subscriber, as a layer, and one
/// to [`Options`](crate::Options). It follows reloads, and never waits for a target.
#[derive(Debug, Clone, Default)]
pub struct EventLog {
    routes: Arc<ArcSwap<Vec<Route>>>,
}

impl EventLog {
    /// Whether the configuration names a target for events; if not, they are for
    /// the subscriber's other layers.
    pub fn is_routed(&self) -> bool {
        !self.routes.load().is_empty()
    }

    pub(super) fn route(&self, routes: Vec<Route>) {
        self.routes.store(Arc::new(routes));
    }
}

impl<S: Subscriber> Layer<S> for EventLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let routes = self.routes.load();
        if routes.is_empty() {
            return;
        }
        let mut told = Told::default();
        event.record(&mut told);
        for route in routes.iter() {
            route.write(*event.metadata().level(), &told);
        }
    }
}

/// One events log.
#[derive(Debug)]
pub(super) struct Route {
    sink: Arc<Sink>,
    config: Log,
}

impl Route {
    pub(super) fn new(sink: Arc<Sink>, config: Log) -> Self {
        Self { sink, config }
    }

    fn write(&self, level: Level, told: &Told) {
        if self.config.only_errors && level > Level::WARN {
            return;
        }
        let mut bytes = Vec::with_capacity(256);
        head(&mut bytes, &self.config, told.priority(level), now_syslog);
        match self.config.format {
            LogFormat::Haproxy => one_line(&mut bytes, &told.sentence()),
            LogFormat::Json => {
                // A map of texts and numbers: there is nothing that could fail.
                let object = serde_json::to_vec(&told.object(level)).unwrap_or_default();
                bytes.extend_from_slice(&object);
            }
        }
        bytes.push(b'\n');
        self.sink.send(Chunk { bytes, lines: 1 });
    }
}

/// HAProxy writes quotes as they are in its sentences; only what would break the
/// line is escaped.
fn one_line(out: &mut Vec<u8>, sentence: &str) {
    for c in sentence.chars() {
        match c {
            c if c.is_control() => haproxy_escaped(out, c.encode_utf8(&mut [0; 4]).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The fields of an event.
#[derive(Debug, Default)]
struct Told {
    message: String,
    fields: Map<String, Value>,
}

/// Names the kind of change; with it the message is a whole sentence, HAProxy's
/// where HAProxy has one, and says all that the fields say.
const EVENT: &str = "event";
/// HAProxy's severity, where it is not that of the level.
const SEVERITY: &str = "severity";

impl Told {
    fn sentence(&self) -> String {
        let mut sentence = self.message.clone();
        if self.fields.contains_key(EVENT) {
            return sentence;
        }
        for (name, value) in &self.fields {
            match value {
                Value::String(text) => sentence += &format!(" {name}={text}"),
                value => sentence += &format!(" {name}={value}"),
            }
        }
        sentence
    }

    /// Facility local0 and a severity (RFC 3164 4.1.1).
    fn priority(&self, level: Level) -> u8 {
        let severity = match self.fields.get(SEVERITY).and_then(Value::as_str) {
            Some("emerg") => 0,
            Some("alert") => 1,
            _ if level == Level::ERROR => 3,
            _ if level == Level::WARN => 4,
            _ if level == Level::INFO => 5,
            _ => 7,
        };
        16 << 3 | severity
    }

    fn object(&self, level: Level) -> Map<String, Value> {
        let mut time = Vec::new();
        now_rfc3339(&mut time);
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("time", String::from_utf8_lossy(&time).into());
        put("level", level.as_str().to_lowercase().into());
        put("message", self.message.clone().into());
        for (name, value) in &self.fields {
            put(name, value.clone());
        }
        object
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => drop(self.fields.insert(name.to_owned(), value.into())),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_event_is_its_sentence_and_others_show_their_fields() {
        let mut told = Told {
            message: "Server web/s1 is UP".into(),
            ..Told::default()
        };
        told.fields.insert("worker".into(), 3.into());
        told.fields.insert("why".into(), "late".into());
        assert_eq!(told.sentence(), "Server web/s1 is UP why=late worker=3");
        assert_eq!(told.priority(Level::INFO), 133);
        told.fields.insert("event".into(), "server_up".into());
        told.fields.insert("severity".into(), "alert".into());
        assert_eq!(told.sentence(), "Server web/s1 is UP");
        assert_eq!(told.priority(Level::WARN), 129);
        let object = told.object(Level::WARN);
        assert_eq!(
            (&object["level"], &object["worker"]),
            (&"warn".into(), &3.into())
        );
    }

    #[test]
    fn quotes_stay_and_line_ends_do_not() {
        let mut out = Vec::new();
        one_line(&mut out, "info: \"a#b\"\n#");
        assert_eq!(String::from_utf8(out).unwrap(), "info: \"a#b\"#0A#");
    }
}
