//! One engine, followed: subscribe, then list, so that nothing falls between.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

mod events;
mod list;

use super::address::{LOCALHOST, Standpoint};
use super::api::{Inspected, Listed, Refused};
use super::look::{Asked, Looked, View, look};
use super::own::Own;
use crate::config::{ApiAddress, Docker};
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
    /// Filters by name are Docker's: Podman calls its events otherwise. Its list is
    /// shorter, too.
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
    ) -> Result<Infallible, Failure> {
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

    async fn refused_stream(&self, response: http::Response<Incoming>) -> Failure {
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

/// A busy engine takes seconds to list.
const ASK_MAX: Duration = Duration::from_secs(30);
/// An event carries all labels of its container.
const LINE_MAX: usize = 1 << 20;
/// Docker tells of an event before its list shows it, up to 250 ms before on a busy
/// machine: there is a second look this long after the last event.
const LIST_LATE: Duration = Duration::from_millis(500);
