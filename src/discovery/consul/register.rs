//! rlb in Consul: a service whose TTL check passes while a frontend is ready.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::agent::{Agent, Settings};
use crate::config;
use crate::discovery::http::Ask;
use crate::discovery::{Backoff, Failure};

/// One registration; dropped without [`Self::end`] it stays in Consul until its check
/// has been critical for `deregister_after`, for a successor to take over.
#[derive(Debug)]
pub(crate) struct Registration {
    register: config::Register,
    settings: Settings,
    verdict: watch::Sender<Verdict>,
    task: JoinHandle<()>,
}

/// Whether clients are welcome, or why not.
pub(crate) type Verdict = Result<(), String>;

/// What Consul is told, over and over.
struct Beat {
    register: config::Register,
    settings: Settings,
    agent: Option<Agent>,
    is_registered: bool,
    backoff: Backoff,
    is_lost: bool,
}

impl Registration {
    /// Registers, critical until told otherwise. Needs a local runtime.
    pub(crate) fn start(discovery: &config::Discovery, register: &config::Register) -> Self {
        let settings = Settings::of(discovery);
        let (verdict, receiver) = watch::channel(Err("not ready yet".to_owned()));
        let beat = Beat {
            register: register.clone(),
            backoff: settings.backoff(&register.service),
            settings: settings.clone(),
            agent: None,
            is_registered: false,
            is_lost: false,
        };
        Self {
            register: register.clone(),
            settings,
            verdict,
            task: tokio::task::spawn_local(beat.go(receiver)),
        }
    }

    /// Whether it is this one, asked for in this way.
    pub(crate) fn is(&self, discovery: &config::Discovery, register: &config::Register) -> bool {
        self.register == *register
            && format!("{:?}", self.settings) == format!("{:?}", Settings::of(discovery))
    }

    /// The frontend it stands for.
    pub(crate) fn frontend(&self) -> &str {
        &self.register.frontend
    }

    /// Said at once when it is another one than before.
    pub(crate) fn tell(&self, verdict: Verdict) {
        self.verdict.send_if_modified(|known| {
            let is_other = *known != verdict;
            *known = verdict;
            is_other
        });
    }

    /// Takes it out of Consul. Bounded: a process that stops waits for it.
    pub(crate) async fn end(self) {
        self.task.abort();
        let service = &self.register.service;
        let path = format!("/v1/agent/service/deregister/{}", id(&self.register));
        let gone = async {
            let mut agent = Agent::new(&self.settings).await?;
            let answer = agent.ask(Ask::put(path, "", END_MAX)).await?;
            match answer.status {
                // Nobody knows it: gone all the same.
                StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
                _ => Err(answer.failure(agent.address())),
            }
        };
        match timeout(END_MAX, gone).await {
            Ok(Ok(())) => tracing::info!(service, "deregistered from Consul"),
            Ok(Err(error)) => tracing::warn!(service, %error, "not deregistered from Consul"),
            Err(_) => tracing::warn!(service, "not deregistered from Consul within 2 s"),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Beat {
    async fn go(mut self, mut verdict: watch::Receiver<Verdict>) {
        loop {
            let now = verdict.borrow_and_update().clone();
            let wait = match self.tell(&now).await {
                Ok(()) => {
                    self.backoff.reset();
                    if std::mem::take(&mut self.is_lost) {
                        tracing::info!(service = self.register.service, "Consul is back");
                    }
                    // Two beats in each time to live: one may be late.
                    self.register.ttl / 2
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_lost, true) {
                        let service = &self.register.service;
                        tracing::error!(service, %error, "cannot tell Consul of this frontend");
                    }
                    self.is_registered = false;
                    self.agent = None;
                    self.backoff.next().min(self.register.ttl / 2)
                }
            };
            // Closed means that we are about to be dropped.
            let _ = timeout(wait, verdict.changed()).await;
        }
    }

    async fn tell(&mut self, verdict: &Verdict) -> Result<(), Failure> {
        if !self.is_registered {
            let body = self.registration(verdict);
            self.put("/v1/agent/service/register", &body).await?;
            self.is_registered = true;
        }
        let id = id(&self.register);
        let path = format!("/v1/agent/check/update/service:{id}");
        let body = match verdict {
            Ok(()) => json!({ "Status": "passing", "Output": "ready" }),
            Err(why) => json!({ "Status": "critical", "Output": why }),
        };
        self.put(&path, &body.to_string()).await
    }

    async fn put(&mut self, path: &str, body: &str) -> Result<(), Failure> {
        let agent = match &mut self.agent {
            Some(agent) => agent,
            none => none.insert(Agent::new(&self.settings).await?),
        };
        // Late is as bad as never: the check would be critical by then.
        let ask = Ask::put(path, body.to_owned(), self.register.ttl / 2);
        let answer = agent.ask(ask).await?;
        match answer.status {
            StatusCode::OK => Ok(()),
            // Among others: an agent that started anew knows no such check.
            _ => Err(answer.failure(agent.address())),
        }
    }

    fn registration(&self, verdict: &Verdict) -> String {
        let Self { register, .. } = self;
        let status = if verdict.is_ok() {
            "passing"
        } else {
            "critical"
        };
        let text = |wait: Duration| format!("{}ms", wait.as_millis());
        json!({
            "ID": id(register),
            "Name": register.service,
            "Tags": register.tags,
            "Address": register.address.ip().to_string(),
            "Port": register.address.port(),
            "Check": {
                "TTL": text(register.ttl),
                "Status": status,
                "DeregisterCriticalServiceAfter": text(register.deregister_after),
            },
        })
        .to_string()
    }
}

/// The same for a successor: it goes on where this process ends.
fn id(register: &config::Register) -> String {
    let address = register.address.to_string().replace(['[', ']'], "");
    format!("{}-{}", register.service, address.replace(':', "-"))
}

/// A process that stops waits no longer.
const END_MAX: Duration = Duration::from_secs(2);
