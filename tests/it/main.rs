//! Integration tests: the `rlb` binary and the engine over real sockets.
//!
//! Each module is a subject; [`support`] holds what they share. Ports come from the
//! system, and a test waits for a condition, never for a guess.

mod admin;
mod balance;
mod canary;
mod cli;
mod consul;
mod control_soak;
mod ctl;
mod denied;
mod dns;
mod docker;
mod docker_real;
mod harness;
mod health;
mod http2;
mod http_bodies;
mod http_desync;
mod http_faults;
mod http_forwarding;
mod http_interim;
mod http_keep_alive;
mod http_limits;
mod http_memory;
mod http_soak;
mod http_stop;
mod layers;
mod leaving;
mod limits;
mod log;
#[cfg(feature = "test-panic")]
mod panics;
mod privileges;
mod proxy_protocol;
mod queue;
mod real;
mod server_file;
mod stats;
mod sticky;
mod support;
mod systemd;
mod takeover;
mod tcp;
mod tls;
mod tunnel;
mod upgrade;
mod workers;
mod workers_change;
