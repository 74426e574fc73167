//! Doors for `fuzz/` and `benches/` to what is not public. No stability whatever.
//!
//! The functions take bytes and panic when a rule of the room they name does not
//! hold, so that a corpus can be replayed by an ordinary test.

pub mod admin;
pub mod balance;
pub mod change;
pub mod config;
pub mod engine;
pub mod http;
mod oracle;
pub mod proxy_header;

/// For control's tests, which cannot name the other plane by themselves.
#[cfg(test)]
pub(crate) mod workers {
    pub(crate) use crate::worker::{Settings, start};
}
