//! What an engine tells of by itself.

use std::convert::Infallible;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::{Engine, LINE_MAX, LIST_LATE, Listener};
use crate::discovery::docker::api::{Event, Inspected, SIGKILL, SIGTERM};
use crate::discovery::{Failure, FailureKind};

impl Engine {
    pub(super) fn events_path(&self) -> String {
        let kinds = "%22type%22%3A%5B%22container%22%2C%22network%22%5D";
        if self.is_podman.get() {
            return format!("/events?filters=%7B{kinds}%7D");
        }
        // Each health probe makes three events that nobody needs.
        let names: Vec<_> = EVENTS.iter().map(|name| format!("%22{name}%22")).collect();
        let names = names.join("%2C");
        format!("/events?filters=%7B{kinds}%2C%22event%22%3A%5B{names}%5D%7D")
    }

    pub(super) async fn read_events(
        &self,
        body: &mut Incoming,
        listener: &impl Listener,
    ) -> Failure {
        let mut line = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { break };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let mut rest = &data[..];
            while let Some(end) = memchr::memchr(b'\n', rest) {
                line.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                self.event(&line, listener);
                line.clear();
            }
            line.extend_from_slice(rest);
            if line.len() > LINE_MAX {
                let message = format!("{}: an event of more than 1 MiB", self.address);
                return Failure::new(FailureKind::TooLarge, message);
            }
            // Podman ends some without a line feed.
            if serde_json::from_slice::<Event>(&line).is_ok() {
                self.event(&line, listener);
                line.clear();
            }
        }
        let message = format!("{}: the stream of events ended", self.address);
        Failure::new(FailureKind::Eof, message)
    }

    fn event(&self, line: &[u8], listener: &impl Listener) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            // Whatever it was, something happened.
            self.look_again.notify_one();
            return;
        };
        if !event.is_of_interest() {
            return;
        }
        tracing::debug!(endpoint = %self.address, kind = event.kind, action = event.action, "event");
        if let Some(signal) = event.kill_signal() {
            self.told_to_stop(&event.actor.id, signal, listener);
        } else if event.kind == "container" {
            match &*event.action {
                "die" | "died" => self.died(&event.actor.id, listener),
                // The same container, another life.
                "start" => {
                    let mut known = self.known.borrow_mut();
                    known.stopping.remove(&event.actor.id);
                    known.died.remove(&event.actor.id);
                }
                _ => {}
            }
        }
        self.known.borrow_mut().late_look = Some(Instant::now() + LIST_LATE);
        self.look_again.notify_one();
    }

    /// `docker stop` and its kin: out before the application begins to end.
    fn told_to_stop(&self, id: &str, signal: u8, listener: &impl Listener) {
        if !self.settings.early_drain {
            return;
        }
        let mut known = self.known.borrow_mut();
        let stop_signal = known
            .inspected
            .get(id)
            .map_or(SIGTERM, Inspected::stop_signal);
        // Others ask an application to reopen its logs.
        if (signal != stop_signal && signal != SIGKILL) || !known.listed.iter().any(|c| c.id == id)
        {
            return;
        }
        let until = Instant::now() + self.settings.stop_grace;
        let entry = known.stopping.entry(id.to_owned());
        entry.or_insert((signal, until)).1 = until;
        drop(known);
        self.deadline.notify_one();
        self.say(listener);
    }

    fn died(&self, id: &str, listener: &impl Listener) {
        let mut known = self.known.borrow_mut();
        known.stopping.remove(id);
        known.died.insert(id.to_owned(), Instant::now());
        let before = known.listed.len();
        known.listed.retain(|container| container.id != id);
        let is_less = known.listed.len() < before;
        drop(known);
        if is_less {
            self.say(listener);
        }
    }

    /// What was told to stop and still runs takes part again.
    pub(super) async fn expire(&self, listener: &impl Listener) -> Infallible {
        loop {
            let next = {
                let known = self.known.borrow();
                known.stopping.values().map(|(_, until)| *until).min()
            };
            let Some(next) = next else {
                self.deadline.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.deadline.notified() => continue,
            }
            let now = Instant::now();
            self.known
                .borrow_mut()
                .stopping
                .retain(|_, (_, until)| *until > now);
            self.say(listener);
        }
    }
}

/// What may change the set. Docker's words; `health_status` matches by its start.
const EVENTS: [&str; 11] = [
    "start",
    "die",
    "kill",
    "stop",
    "pause",
    "unpause",
    "destroy",
    "rename",
    "health_status",
    "connect",
    "disconnect",
];
