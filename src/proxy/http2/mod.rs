//! HTTP/2 between one client and the servers, stream by stream.
//!
//! Frames, HPACK and flow control are those of the `h2` library, the one under
//! hyper; hyper's own server hides what a proxy must say (1xx, reset codes, a
//! window that does not open), so it is left out. Route, choice of a server,
//! retries, header rules, answers and counters are shared with HTTP/1.
//!
//! A request of an HTTP/1 client comes here if its server speaks HTTP/2: then the two
//! ends of its exchange (`ends.rs`) are a connection, and not a stream (`lift.rs`).
//! A WebSocket (RFC 8441) is an exchange whose server switches (`exchange/tunnel.rs`).
//!
//! `connection.rs` is the client's connection: it takes requests, drains, and
//! sends floods (`guard.rs`) away. Each request is an `Exchange` in a task of its
//! own (`exchange/`), between the client's stream and an `Origin`: a connection
//! of the HTTP/1 pool (`to_http1.rs`) or a stream to an HTTP/2 server
//! (`to_http2.rs`, whose connections `pool.rs` shares). Start at [`serve`].

mod connection;
mod ends;
mod exchange;
mod from_http1;
mod grpc;
mod guard;
mod lift;
mod message;
mod origin;
mod pool;
mod request;
mod stream_sink;
mod stream_source;
mod to_http1;
mod to_http2;
mod wire;

pub(crate) use connection::serve;
pub(super) use lift::{Lifted, lift};
pub(super) use pool::Pool;
