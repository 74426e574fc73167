//! Sockets: listeners and their options, streams, dialling, splice and pipes, PROXY headers,
//! what the system grants.
//!
//! This room must not know HTTP, generations or either plane.
//! Start at [`Stream`] and [`listen::open`].

mod any;
mod descriptors;
pub(crate) mod dial;
mod inherited;
pub(crate) mod listen;
mod notify;
mod opening;
mod polled;
mod privileges;
pub(crate) mod proxy_header;
mod secure;
pub(crate) mod splice;
mod stream;
pub(crate) mod system;

pub(crate) use any::AnyStream;
pub(crate) use descriptors::{CARRIER, receive, send_descriptors};
pub use inherited::take_inherited;
pub(crate) use listen::ListenError;
pub use notify::ServiceManager;
pub use privileges::{PrivilegeError, drop_privileges};
pub(crate) use secure::HandshakeError;
pub(crate) use stream::{Accept, Peer, Stream};
