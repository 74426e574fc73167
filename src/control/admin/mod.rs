//! The admin socket: HAProxy's runtime API and words of our own.
//!
//! `wire.rs` is the conversation as bytes and `command/` what the words mean;
//! both are pure. `server.rs` holds the sockets, `client.rs` one client,
//! `run/` what each command does to [`Control`](super::Control) and says.
//! Nothing here changes state by itself: that is `change.rs`. Start at
//! [`wire::Session`], then [`command::Command`].

mod answer;
mod client;
mod command;
mod dump;
mod mask;
mod rules;
mod run;
mod server;
mod socket;
mod wire;
mod words;

pub(super) use mask::Mask;
pub(crate) use rules::check as check_admin_conversation;
pub(crate) use server::AdminSockets;
pub(crate) use socket::{OpenError, Rivals};
