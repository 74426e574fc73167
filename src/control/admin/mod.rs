//! The admin socket: HAProxy's runtime API and words of our own.
//!
//! `wire.rs` is the conversation as bytes and `command/` what the words mean;
//! both are pure. `server.rs` holds the sockets, `client.rs` one client,
//! `run/` what each command does to [`Control`](super::Control) and says.
//! Nothing here changes state by itself: that is `change.rs`. Start at
//! [`wire::Session`], then [`Command`].

mod answer;
mod command;
mod wire;
mod words;
