//! One request and its response.

use std::future::poll_fn;
use std::time::Duration;

use super::relay::Step;
use crate::config::{ResponseLimits, ServerTimeouts};
use crate::http::{self, Asked, Canned, Decoder, Framing, RequestHead, Version};
use crate::net::Stream;
use crate::proxy::buffers::Buf;
use crate::proxy::connect::{self, Plan};
use crate::proxy::end::{Cause, During, SessionEnd};
use crate::proxy::flow::Flow;
use crate::proxy::tunnel;
use crate::proxy::upstream::Use;
use crate::proxy::{Client, client};

/// What is needed of a backend, copied so that no generation is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) plan: Plan,
    pub(super) timeouts: ServerTimeouts,
    pub(super) limits: ResponseLimits,
    pub(super) pool_max: usize,
    pub(super) retry_after: Duration,
}

/// Where the response stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    /// Its head is awaited.
    #[default]
    Head,
    /// Its body is relayed.
    Body,
    /// We answer ourselves.
    Answer,
    /// 101 was accepted: its head leaves, then bytes flow both ways.
    Switching,
}

/// One request and its response. Pooled by the shard: the steady path allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Client to server.
    pub(super) up: Flow,
    /// Server to client.
    pub(super) down: Flow,
    pub(super) stage: Stage,
    pub(super) target: Option<Target>,
    pub(super) server: Option<Use>,
    pub(super) stream: Option<Stream>,
    /// The server's connection comes from the pool.
    pub(super) reused: bool,
    /// The request was sent a second time after a stale pooled connection.
    pub(super) resent: bool,
    /// The request has left, or never will.
    pub(super) up_done: bool,
    /// The server stopped reading.
    pub(super) up_broken: bool,
    /// Response bytes not yet understood.
    pub(super) answer: Option<Buf>,
    pub(super) answer_tried: usize,
    pub(super) interims: u32,
    pub(super) asked: Asked,
    pub(super) version: Option<Version>,
    pub(super) idempotent: bool,
    /// The client's connection may stay.
    pub(super) keep_alive: bool,
    /// The server's connection may stay.
    pub(super) server_keep_alive: bool,
    /// The body's end is marked by the close, so a cut must be a reset.
    pub(super) close_delimited: bool,
    pub(super) end: Ended,
    pub(super) status: u16,
    pub(super) retries: u32,
    pub(super) head_bytes: u64,
    pub(super) started_us: u64,
    pub(super) connected_us: u64,
    pub(super) answered_us: u64,
}

/// A [`SessionEnd`] that starts as normal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended(pub(super) SessionEnd);
