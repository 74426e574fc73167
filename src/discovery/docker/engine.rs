//! One engine, followed: subscribe, then list, so that nothing falls between.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::address::{LOCALHOST, Standpoint};
use super::api::{Event, Inspected, Listed, Refused, SIGKILL, SIGTERM};
use super::look::{Asked, Looked, View, look};
use super::own::Own;
use crate::config::{ApiAddress, Docker, DockerConvention};
use crate::discovery::http::{Ask, Client, resolve};
use crate::discovery::{Backoff, Failure, FailureKind};

/// One engine and what is known of it.
pub(crate) struct Engine {
    settings: Rc<Docker>,
    asked: Rc<[Asked]>,
    own: Own,
    address: ApiAddress,
    tls: Option<Arc<rustls::ClientConfig>>,
    known: RefCell<Known>,
    /// The list may be another one by now.
    look_again: Notify,
    /// A container was told to stop: there is another deadline.
    deadline: Notify,
    /// Filters by name are Docker's: Podman calls its events otherwise.
    is_podman: Cell<bool>,
}

/// What an engine is told to.
pub(crate) trait Listener {
    /// What is there now.
    fn found(&self, looked: Looked);
    /// It could not be asked.
    fn failed(&self, failure: Failure);
}

#[derive(Default)]
struct Known {
    listed: Vec<Listed>,
    /// Never changes, so each is asked for once.
    inspected: HashMap<String, Inspected>,
    /// Told to stop, with the signal and until when that is believed.
    stopping: HashMap<String, (u8, Instant)>,
    /// Died just now. Docker says so before its list does: without this they would
    /// come back for a moment.
    died: HashMap<String, Instant>,
    /// When the list has caught up with the last event.
    late_look: Option<Instant>,
    /// Where ports published on every address are.
    host: Option<IpAddr>,
}

impl Engine {
    pub(crate) fn new(
        settings: Rc<Docker>,
        asked: Rc<[Asked]>,
        own: Own,
        address: ApiAddress,
        tls: Option<Arc<rustls::ClientConfig>>,
    ) -> Self {
        Self {
            settings,
            asked,
            own,
            address,
            tls,
            known: RefCell::default(),
            look_again: Notify::new(),
            deadline: Notify::new(),
            is_podman: Cell::new(false),
        }
    }

    /// Follows the engine until dropped.
    pub(crate) async fn follow(&self, mut backoff: Backoff, listener: &impl Listener) {
        loop {
            let failure = self.watch(&mut backoff, listener).await;
            listener.failed(failure);
            sleep(backoff.next()).await;
        }
    }

    /// One connection's life.
    async fn watch(&self, backoff: &mut Backoff, listener: &impl Listener) -> Failure {
        match self.begin(backoff, listener).await {
            Err(failure) => failure,
            Ok(never) => match never {},
        }
    }

    async fn begin(
        &self,
        backoff: &mut Backoff,
        listener: &impl Listener,
    ) -> Result<std::convert::Infallible, Failure> {
        let mut client = Client::new(self.address.clone(), self.tls.clone());
        self.greet(&mut client).await?;
        let host = self.host().await?;
        {
            let mut known = self.known.borrow_mut();
            known.host = host;
            // What happened to them meanwhile nobody told.
            known.died.clear();
        }
        let ask = Ask::get(self.events_path(), ASK_MAX);
        let mut events = client.stream(&ask).await?;
        if !events.response.status().is_success() {
            return Err(self.refused_stream(events.response).await);
        }
        self.look_again.notify_one();
        let reading = self.read_events(events.response.body_mut(), listener);
        let listing = self.keep_listing(&mut client, backoff, listener);
        let expiring = self.expire(listener);
        tokio::select! {
            failure = reading => Err(failure),
            failure = listing => Err(failure),
            never = expiring => Ok(never),
        }
    }

    /// Who is there.
    async fn greet(&self, client: &mut Client) -> Result<(), Failure> {
        let answer = client.fetch(&Ask::get("/_ping", ASK_MAX)).await?;
        if !answer.status.is_success() {
            return Err(refused(&self.address, answer.status, &answer.body));
        }
        self.is_podman
            .set(answer.headers.contains_key("libpod-api-version"));
        Ok(())
    }

    fn events_path(&self) -> String {
        let kinds = "%22type%22%3A%5B%22container%22%2C%22network%22%5D";
        if self.is_podman.get() {
            return format!("/events?filters=%7B{kinds}%7D");
        }
        // Each health probe makes three events that nobody needs.
        let names: Vec<_> = EVENTS.iter().map(|name| format!("%22{name}%22")).collect();
        let names = names.join("%2C");
        format!("/events?filters=%7B{kinds}%2C%22event%22%3A%5B{names}%5D%7D")
    }

    /// Where ports published on every address are reached.
    async fn host(&self) -> Result<Option<IpAddr>, Failure> {
        if let Some(ip) = self.settings.host_ip {
            return Ok(Some(ip));
        }
        match &self.address {
            ApiAddress::Unix(_) => Ok(None),
            ApiAddress::Http(host, _) | ApiAddress::Https(host, _) => {
                Ok(resolve(host).await?.first().copied())
            }
        }
    }

    async fn read_events(
        &self,
        body: &mut hyper::body::Incoming,
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
    async fn expire(&self, listener: &impl Listener) -> std::convert::Infallible {
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

    /// Lists whenever something happened, and at each resync.
    async fn keep_listing(
        &self,
        client: &mut Client,
        backoff: &mut Backoff,
        listener: &impl Listener,
    ) -> Failure {
        let mut resync = Instant::now() + self.settings.resync;
        loop {
            let late = self.known.borrow().late_look;
            let next = late.unwrap_or(resync).min(resync);
            let _ = tokio::time::timeout_at(next, self.look_again.notified()).await;
            let now = Instant::now();
            resync = now + self.settings.resync;
            self.known
                .borrow_mut()
                .late_look
                .take_if(|late| *late <= now);
            let listed = match self.list(client).await {
                Ok(listed) => listed,
                Err(failure) => return failure,
            };
            self.learn(listed);
            if self.speaks_by_environment() {
                self.inspect(usize::MAX).await;
            }
            backoff.reset();
            self.say(listener);
            if !self.inspect(STOP_SIGNALS_AT_ONCE).await {
                self.look_again.notify_one();
            }
            // A burst of events is not a burst of lists.
            sleep(BETWEEN_LISTS).await;
        }
    }

    async fn list(&self, client: &mut Client) -> Result<Vec<Listed>, Failure> {
        let answer = client.fetch(&Ask::get("/containers/json", ASK_MAX)).await?;
        if !answer.status.is_success() {
            return Err(refused(&self.address, answer.status, &answer.body));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            let message = format!("{}: the list of containers: {error}", self.address);
            Failure::new(FailureKind::Malformed, message)
        })
    }

    fn learn(&self, mut listed: Vec<Listed>) {
        let mut known = self.known.borrow_mut();
        known.died.retain(|_, at| at.elapsed() < LIST_LATE);
        listed.retain(|container| !known.died.contains_key(&container.id));
        let ids: HashSet<&str> = listed.iter().map(|container| &*container.id).collect();
        known.inspected.retain(|id, _| ids.contains(&**id));
        known.stopping.retain(|id, _| ids.contains(&**id));
        drop(ids);
        known.listed = listed;
    }

    fn speaks_by_environment(&self) -> bool {
        let by_environment = |convention: &DockerConvention| *convention != DockerConvention::Rlb;
        self.settings.conventions.iter().any(by_environment)
    }

    /// Asks for what the list does not say, of at most so many containers; false =
    /// there are more.
    async fn inspect(&self, most: usize) -> bool {
        if !self.speaks_by_environment() && !self.settings.early_drain {
            return true;
        }
        let unknown: Vec<String> = {
            let known = self.known.borrow();
            let ids = known.listed.iter().map(|container| &container.id);
            let unknown = ids.filter(|id| !known.inspected.contains_key(*id));
            unknown.cloned().collect()
        };
        let is_all = unknown.len() <= most;
        let mut unknown = unknown.into_iter().take(most);
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < INSPECTS_AT_ONCE
                && let Some(id) = unknown.next()
            {
                let mut client = Client::new(self.address.clone(), self.tls.clone());
                asking.spawn_local(async move { (inspect(&mut client, &id).await, id) });
            }
            let Some(asked) = asking.join_next().await else {
                return is_all;
            };
            // One that has gone meanwhile is none; after an error the next list asks again.
            if let Ok((Some(inspected), id)) = asked {
                self.known.borrow_mut().inspected.insert(id, inspected);
            }
        }
    }

    /// Says what is there now.
    fn say(&self, listener: &impl Listener) {
        let known = self.known.borrow();
        let own = self.own.find(&known.listed);
        let from = standpoint(own, &known);
        let stopping = known.stopping.iter();
        let stopping = stopping
            .map(|(id, (signal, _))| (id.clone(), *signal))
            .collect();
        let view = View {
            listed: &known.listed,
            inspected: &known.inspected,
            stopping: &stopping,
            settings: &self.settings,
            from: &from,
            own,
        };
        let looked = look(&view, &self.asked);
        drop(known);
        listener.found(looked);
    }

    async fn refused_stream(&self, response: http::Response<hyper::body::Incoming>) -> Failure {
        let status = response.status();
        let body = http_body_util::Limited::new(response.into_body(), LINE_MAX);
        let body = tokio::time::timeout(ASK_MAX, body.collect()).await;
        let body = match body {
            Ok(Ok(body)) => body.to_bytes(),
            _ => Default::default(),
        };
        refused(&self.address, status, &body)
    }
}

async fn inspect(client: &mut Client, id: &str) -> Option<Inspected> {
    let path = format!("/containers/{id}/json");
    let answer = client.fetch(&Ask::get(path, ASK_MAX)).await.ok()?;
    match answer.status.is_success() {
        true => serde_json::from_slice(&answer.body).ok(),
        false => None,
    }
}

/// Where we stand among the networks of this engine.
fn standpoint(own: Option<&Listed>, known: &Known) -> Standpoint {
    let Some(own) = own else {
        return Standpoint {
            networks: None,
            host: known.host.or(Some(LOCALHOST)),
        };
    };
    let mode = &*own.host_config.network_mode;
    let owner = mode.strip_prefix("container:");
    let owner = owner.and_then(|id| known.listed.iter().find(|other| other.id.starts_with(id)));
    match mode {
        "host" => Standpoint {
            networks: None,
            host: known.host.or(Some(LOCALHOST)),
        },
        _ => {
            let networks = owner.unwrap_or(own).network_settings.networks.keys();
            Standpoint {
                networks: Some(networks.cloned().collect()),
                host: known.host,
            }
        }
    }
}

/// What an engine says when it does not do what it is asked.
fn refused(address: &ApiAddress, status: StatusCode, body: &[u8]) -> Failure {
    let kind = match status.as_u16() {
        401 | 403 => FailureKind::Denied,
        500.. => FailureKind::ServerError,
        _ => FailureKind::Status,
    };
    let said = serde_json::from_slice::<Refused>(body).unwrap_or_default();
    let said = match said.message.is_empty() {
        true => String::from_utf8_lossy(&body[..body.len().min(200)])
            .trim()
            .to_owned(),
        false => said.message,
    };
    let hint = match kind {
        FailureKind::Denied => {
            " (a socket proxy? it must allow GET of /_ping, /events and /containers)"
        }
        _ => "",
    };
    let said = said.escape_debug();
    Failure::new(
        kind,
        format!("{address}: {}: {said}{hint}", status.as_u16()),
    )
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
/// A busy engine takes seconds to list.
const ASK_MAX: Duration = Duration::from_secs(30);
/// An event carries all labels of its container.
const LINE_MAX: usize = 1 << 20;
/// Docker tells of an event before its list shows it, up to 250 ms before on a busy
/// machine: there is a second look this long after the last event.
const LIST_LATE: Duration = Duration::from_millis(500);
const INSPECTS_AT_ONCE: usize = 8;
/// Stop signals are asked for in the background, so that lists need not wait long.
const STOP_SIGNALS_AT_ONCE: usize = 32;
const BETWEEN_LISTS: Duration = Duration::from_millis(5);
