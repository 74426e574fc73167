//! Sockets: listeners and their options, streams, dialling, splice and pipes,
//! what the system grants.
//!
//! This room must not know HTTP, generations or either plane.
//! Start at [`Stream`] and [`listen::open`].

pub(crate) mod dial;
pub(crate) mod listen;
mod privileges;
pub(crate) mod splice;
mod stream;
pub(crate) mod system;

pub(crate) use listen::ListenError;
pub use privileges::{PrivilegeError, drop_privileges};
pub(crate) use stream::{Accept, Peer, Stream};
