//! What a form asks for, done to each of its servers by the same way as a command
//! of the admin socket.

use std::net::IpAddr;

use super::form::{Action, Form};
use crate::control::{Control, Refusal};

/// HAProxy's codes for what came of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it.
    Done,
    /// Nothing was chosen.
    None,
    /// Some of it.
    Part,
    /// Nothing of it, or no such thing.
    Refused,
    /// Too long.
    TooLong,
    /// Not from here, or not with this page.
    Denied,
    /// Not a form.
    Invalid,
}

/// What came of a form.
#[derive(Debug)]
pub(super) struct Steered {
    pub(super) outcome: Outcome,
    /// More about it, may be empty.
    pub(super) more: String,
}

/// Who asks, for the log.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) peer: Option<IpAddr>,
}

impl Outcome {
    /// In the URL of the answer.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::None => "NONE",
            Self::Part => "PART",
            Self::Refused => "ERRP",
            Self::TooLong => "EXCD",
            Self::Denied => "DENY",
            Self::Invalid => "IVAL",
        }
    }
}

impl From<Outcome> for Steered {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            more: String::new(),
        }
    }
}

fn refused(more: &str) -> Steered {
    Steered {
        outcome: Outcome::Refused,
        more: more.to_owned(),
    }
}

/// Does what a form asks for.
pub(super) async fn steer(control: &Control, form: &Form, asked: &Asked<'_>) -> Steered {
    if form.servers.is_empty() {
        return Outcome::None.into();
    }
    let Some(action) = form.action else {
        return refused("no such action");
    };
    let backend = form.backend.as_deref().unwrap_or_default();
    let Some(backend) = control.find_backend(backend) else {
        return refused("no such backend");
    };
    let (mut done, mut more) = (0, String::new());
    for name in &form.servers {
        // Found anew each time: what was done before may have changed it.
        let Some(server) = control.find_server(&backend, name) else {
            more = format!("no server `{name}`");
            continue;
        };
        match act(control, &backend.name, &server.name, action).await {
            // In force; a worker that is late passes it with its next tick.
            Ok(()) | Err(Refusal::Late(_)) => {
                done += 1;
                tracing::info!(
                    user = asked.user,
                    peer = asked.peer.map(|peer| peer.to_string()),
                    "stats page: {action:?} {}/{}",
                    backend.name,
                    server.name,
                );
            }
            Err(refusal) => more = format!("{}: {refusal}", server.name),
        }
    }
    let outcome = match done {
        0 => Outcome::Refused,
        done if done == form.servers.len() => Outcome::Done,
        _ => Outcome::Part,
    };
    Steered { outcome, more }
}

async fn act(
    control: &Control,
    backend: &str,
    server: &str,
    action: Action,
) -> Result<(), Refusal> {
    match action {
        Action::State(state) => control.set_state(backend, server, state).await,
        Action::Health(health) => control.set_health(backend, server, health).await,
        Action::Checks(enabled) => control.set_checks_enabled(backend, server, enabled).await,
        Action::Weight(weight) => control.set_weight(backend, server, weight).await,
        Action::ShutdownSessions => {
            let ended = control.shutdown_sessions_server(backend, server).await;
            ended.map(drop)
        }
        Action::ClearOverride => control.clear_override(backend, server).await,
        Action::Agent => Err(Refusal::Other(
            "agent checks are not in this version yet".to_owned(),
        )),
    }
}
