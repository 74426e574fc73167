//! Access log and event log: the way of a record from a worker to a file.
//!
//! Workers put finished requests and sessions into [`Rings`], one ring for each,
//! without a lock, a system call or an allocation; one thread (`writer.rs`) takes
//! them out, formats them and gives chunks of lines to the thread of each target
//! (`sink.rs`), which alone may wait for a disk, a pipe or a socket. Events come
//! from `tracing` through [`EventLog`] to the same targets. What finds no room is
//! lost and counted; nobody who serves or steers ever waits here.
//! This room must not know what an exchange is, nor who asks for logs.
//! Start at [`Producer::push`] and [`Logs::reconcile`].

mod event;
mod haproxy;
mod json;
mod logs;
mod record;
mod ring;
mod sink;
mod text;
mod time;
mod writer;

pub use event::EventLog;
pub(crate) use logs::Logs;
pub(crate) use record::{Facts, Kind, NEVER, Record};
pub(crate) use ring::{Producer, Rings};
