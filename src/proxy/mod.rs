//! The life of one client connection on one core.
//!
//! A session borrows everything from its worker's [`Shard`]: buffers, pipes,
//! pooled server connections, a deadline. It holds a server, never a
//! generation, and nothing here is shared with another thread but the atomics
//! of `state/`. This room must not know control.
//! Start at [`http1::serve`], [`http2::serve`] and [`tcp::serve`], then `connect.rs`.

mod account;
pub(crate) mod announced;
mod answer;
mod buffers;
mod choose;
mod client;
mod clock;
mod connect;
mod end;
mod flow;
pub(crate) mod handshake;
mod hello;
pub(crate) mod http1;
pub(crate) mod http2;
mod queue;
mod record;
mod sessions;
mod shard;
mod sticky;
pub(crate) mod tcp;
mod tunnel;
mod upstream;

pub(crate) use client::{Client, ClientId, Place};
pub(crate) use sessions::{Kill, SessionInfo};
pub(crate) use shard::Shard;
