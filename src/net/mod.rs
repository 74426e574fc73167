//! Sockets: listeners and their options, streams, dialling, splice and pipes,
//! what the system grants.
//!
//! This room must not know HTTP, generations or either plane.
//! Start at [`Stream`] and [`listen::open`].

pub(crate) mod dial;
pub(crate) mod listen;
pub(crate) mod splice;
mod stream;
pub(crate) mod system;

pub(crate) use listen::ListenError;
pub(crate) use stream::{Accept, Peer, Stream};
