//! What outlives a generation: identities, status bytes and counters, atomics only.
//!
//! Successive generations share these values by `Arc`, found again by identity,
//! so a reload never forgets a count or a health. Each atomic names its writer.
//! This room must not know configuration, sockets or either plane.
//! Start at [`ServerState`].

mod backend;
mod counters;
mod frontend;
mod ids;
mod per_worker;
mod places;
mod queue;
mod server;
mod slots;

pub(crate) use backend::{BackendState, Cursor};
pub(crate) use counters::{
    Abort, Average, CLASSES, Counters, FrontendCounters, Histogram, Times, response_class,
};
pub(crate) use frontend::FrontendState;
pub(crate) use ids::{BackendId, BindId, EndpointId, FrontendId, GenerationId, ServerId, WorkerId};
pub(crate) use per_worker::PerWorker;
pub(crate) use places::Places;
pub(crate) use queue::{Queue, Waiting};
pub(crate) use server::{Admin, CheckCode, LastCheck, Operational, ServerState};
pub(crate) use slots::{Entry, Slots};
