//! What the words of a command mean. Pure: names are looked up when it runs.
//!
//! `table.rs` is the closed list with its help; the other files turn arguments
//! into a [`Command`]. A refusal that HAProxy makes only after it has found the
//! server stays inside the command, behind the names.

mod frontend;
mod other;
mod server;
mod show;
mod ssl;
mod table;
#[cfg(test)]
mod tests;
mod unconfigured;
mod units;

use std::time::Duration;

use super::answer::Reply;
use super::wire::{Request, Talk};
use crate::config::AdminLevel;
use crate::control::WeightChange;
use crate::state::{Admin, Operational};

pub(crate) use other::Explained;
pub(crate) use server::Added;
pub(crate) use show::{Sessions, Show};

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Answered already: help, echo, a refusal.
    Answer(Reply),
    /// About the conversation.
    Talk(Talk),
    /// `show ...`: reads.
    Show(Show),
    /// `get weight b/s`.
    GetWeight(Target),
    /// Anything about one server.
    Server(Target, Result<ServerChange, Reply>),
    /// `add server b/s ...`.
    AddServer(Target, Added),
    /// Anything about one frontend, by name or `#id`.
    Frontend(String, Result<FrontendChange, Reply>),
    /// `set maxconn global N`; 0 = as at the start.
    MaxconnGlobal(usize),
    /// `shutdown session ID`.
    ShutdownSession(String),
    /// `clear counters [all]`.
    ClearCounters {
        /// Not the maxima alone.
        all: bool,
    },
    /// `clear override OBJECT`.
    ClearOverride(String),
    /// `clear overrides`.
    ClearOverrides,
    /// `wait DELAY [srv-removable b/s]`.
    Wait(Duration, Option<Target>),
    /// `explain METHOD URL [header...]`.
    Explain(Explained),
    /// `save state`.
    SaveState,
    /// `reload`.
    Reload,
    /// `upgrade`.
    Upgrade,
}

/// A server as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Name or `#id`.
    pub(crate) backend: String,
    /// Name or `#id`.
    pub(crate) server: String,
}

/// What is done to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerChange {
    Weight(WeightChange),
    State(Admin),
    Health(Operational),
    /// `enable health`, `disable health`.
    Checks(bool),
    Address {
        ip: std::net::IpAddr,
        port: Option<u16>,
    },
    CheckAddress {
        ip: Option<std::net::IpAddr>,
        port: Option<u16>,
    },
    /// `set server ... ssl`; `None` = neither `on` nor `off` was said.
    Tls(Option<bool>),
    /// `set maxconn server`; 0 = no limit.
    Maxconn(u32),
    /// `shutdown sessions server`.
    ShutdownSessions,
    /// `del server`.
    Delete(Option<Duration>),
    /// `clear counters server`.
    ClearCounters,
}

/// What is done to a frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrontendChange {
    Enable(bool),
    Shutdown,
    Maxconn(usize),
}

impl Command {
    /// Understands a request of a client that may do what `level` says. Whatever
    /// cannot be understood or is not permitted is an answer, too.
    pub(crate) fn parse(request: &Request, level: AdminLevel) -> Self {
        let words: Vec<&str> = request.words.iter().map(String::as_str).collect();
        match table::process_prefix(&words) {
            Ok(words) => table::parse(words, level).unwrap_or_else(Self::Answer),
            Err(refusal) => Self::Answer(refusal),
        }
    }
}

impl Target {
    /// `backend/server`, each by name or `#id`.
    fn parse(text: &str) -> Result<Self, Reply> {
        let (backend, server) = text
            .split_once('/')
            .ok_or_else(|| Reply::refused("Require 'backend/server'."))?;
        Ok(Self {
            backend: backend.to_owned(),
            server: server.to_owned(),
        })
    }
}

/// The words behind those that name a command; HAProxy ignores superfluous ones.
#[derive(Debug, Clone, Copy)]
struct Arguments<'a> {
    words: &'a [&'a str],
    level: AdminLevel,
}

impl<'a> Arguments<'a> {
    fn get(&self, index: usize) -> Option<&'a str> {
        self.words.get(index).copied()
    }

    /// HAProxy takes a missing word for an empty one.
    fn text(&self, index: usize) -> &'a str {
        self.get(index).unwrap_or_default()
    }

    fn target(&self, index: usize) -> Result<Target, Reply> {
        Target::parse(self.text(index))
    }
}
