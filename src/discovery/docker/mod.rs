//! Containers of Docker and Podman.
//!
//! An event only says "look again"; the list of containers is the truth, read anew
//! after events and every minute. [`look()`] turns one list into members and into
//! those left out with the reason, pure; `engine` follows one engine;
//! `provider.rs` joins several into one set. Start at `look.rs`.

mod address;
mod announced;
mod api;
mod convention;
mod engine;
pub(super) mod labels;
mod look;
mod own;
mod provider;

pub(crate) use provider::DockerProvider;
