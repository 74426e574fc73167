//! What an engine is asked for: the list, and of each container what the list does not say.

use std::collections::HashSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{ASK_MAX, Engine, Known, LIST_LATE, Listener, refused};
use crate::config::DockerConvention;
use crate::discovery::docker::api::{Inspected, Listed, Port};
use crate::discovery::http::{Ask, Client};
use crate::discovery::{Backoff, Failure, FailureKind};

impl Engine {
    /// Lists whenever something happened, and at each resync.
    pub(super) async fn keep_listing(
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
            if self.speaks_by_environment() || self.is_podman.get() {
                self.inspect(usize::MAX).await;
            }
            if self.is_podman.get() {
                self.learn_exposed();
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

    /// Ports that are exposed and not published, which Podman does not list.
    fn learn_exposed(&self) {
        let mut known = self.known.borrow_mut();
        let Known {
            listed, inspected, ..
        } = &mut *known;
        for container in listed {
            let exposed = inspected.get(&container.id).map(Inspected::exposed);
            for port in exposed.into_iter().flatten() {
                let is_it = |known: &Port| {
                    (known.private_port, &known.protocol) == (port.private_port, &port.protocol)
                };
                if !container.ports.iter().any(is_it) {
                    container.ports.push(port);
                }
            }
        }
    }

    fn speaks_by_environment(&self) -> bool {
        let by_environment = |convention: &DockerConvention| *convention != DockerConvention::Rlb;
        self.settings.conventions.iter().any(by_environment)
    }

    /// Asks for what the list does not say, of at most so many containers; false =
    /// there are more.
    async fn inspect(&self, most: usize) -> bool {
        let is_wanted = self.speaks_by_environment() || self.is_podman.get();
        if !is_wanted && !self.settings.early_drain {
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
}

async fn inspect(client: &mut Client, id: &str) -> Option<Inspected> {
    let path = format!("/containers/{id}/json");
    let answer = client.fetch(&Ask::get(path, ASK_MAX)).await.ok()?;
    match answer.status.is_success() {
        true => serde_json::from_slice(&answer.body).ok(),
        false => None,
    }
}

const INSPECTS_AT_ONCE: usize = 8;
/// Stop signals are asked for in the background, so that lists need not wait long.
const STOP_SIGNALS_AT_ONCE: usize = 32;
const BETWEEN_LISTS: Duration = Duration::from_millis(5);
