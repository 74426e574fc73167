//! Integration tests: the `rlb` binary and the engine over real sockets.
//!
//! Each module is a subject; [`support`] holds what they share. Ports come from the
//! system, and a test waits for a condition, never for a guess.

mod admin;
mod cli;
mod harness;
mod http_bodies;
mod http_desync;
mod http_faults;
mod http_forwarding;
mod http_interim;
mod http_keep_alive;
mod http_limits;
mod http_stop;
mod layers;
#[cfg(feature = "test-panic")]
mod panics;
mod privileges;
mod support;
mod systemd;
mod takeover;
