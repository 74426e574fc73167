//! rlb: a layer 4 / layer 7 load balancer whose membership changes while it runs.
//!
//! To run one in a program: [`config::Config`] says what, [`Engine`] does it. The
//! rest of this page is for those who read the source.
//!
//! # The idea
//!
//! Two planes that never name each other. The control thread decides; one worker
//! per core carries bytes. They meet in one immutable value, the `Generation`,
//! published through one atomic pointer. What changes while a generation lives, or
//! must outlive it (health, counters, cursors), is a small atomic state that
//! successive generations share. What a worker changes per request belongs to its
//! `Shard`, without atomics and without locks.
//!
//! Control is level-triggered: whatever changes the wanted state, a file, a command
//! or a check, the next generation is built from the whole of it and published
//! whole. Sessions hold a server, never a generation, so nothing waits for one to
//! die; a server that left drains on its own clock.
//!
//! # The rooms, in reading order
//!
//! | room | holds | start at |
//! |---|---|---|
//! | `main.rs`, `cli/`, `demo/` | the command: arguments, signals, words, exit codes; uses this library as any program would | `cli::main` |
//! | `ctl/` | `rlb ctl` and `rlb healthcheck`: clients of the admin socket | `ctl::run` |
//! | `engine.rs` | start and stop; the only room that names both planes | [`Engine::start`] |
//! | [`config`] | what the operator wrote -> what we run, all problems at once | [`config::Config::load`] |
//! | `state` | what outlives a generation: atomics and identities | `ServerState` |
//! | `balance` | algorithms, pure: no clock, no I/O | `Schedule` |
//! | `generation` | what is served now, and how the next is built: the meeting place | `Generation`, `Published` |
//! | `http` | HTTP/1.1 as bytes and rules: no socket, no clock | `parse_request` |
//! | `log` | access and event logs: rings, formats, targets; both planes write, neither waits | `Producer::push`, `Logs::reconcile` |
//! | `tls` | certificates, what clients are shown, how servers are verified | `Acceptor`, `Connector`, `Session` |
//! | `net` | listeners, streams, splice, PROXY headers, the system's limits | `listen::open` |
//! | `proxy` | the life of one client connection on one core | `http1::serve`, `tcp::serve` |
//! | `worker` | a thread: accepting, the tick, orders from control | `worker::start` |
//! | `health` | active checks: probes, rise and fall | `Health::reconcile` |
//! | `discovery` | where servers come from that nobody wrote down: Consul, Docker, DNS | `Source`, `Discovery::reconcile` |
//! | `observe` | what is seen from outside: counters and states as HAProxy's texts, JSON, Prometheus; reads only | `Snapshot::take` |
//! | `control` | the single writer: apply, publish, drain, reload, stop | `Control::apply` |
//! | `control/admin` | the admin socket: the conversation as bytes, commands, what each does | `wire::Session`, `command::Command` |
//! | `control/takeover` | a new binary takes the place of a running one | `message.rs` |
//! | [`internal`] | doors for benches and fuzz targets, no stability | `internal/mod.rs` |
//!
//! A room names only rooms below it and never one of the other plane;
//! `tests/it/layers.rs` holds that table and every import against each other.
//!
//! # The way of a request
//!
//! `worker::accept` takes the connection from a listener of this worker's own and
//! spawns `proxy::http1::serve`. An idle connection holds no buffer; when it is
//! readable, one is borrowed, the head is parsed under limits, and one look at the
//! generation gives route, backend and server. `proxy::connect` reuses a pooled
//! connection or dials, and tries another server when that is refused; where all of
//! them are at their limit, `proxy::queue` waits for a place first. The head is
//! written anew from the parsed slices, with the first bytes of the body in the
//! same call; bodies are relayed by their framing, or spliced. Then the answer
//! comes back the same way, and the connection to the server returns to its pool.
//!
//! # What ends what
//!
//! A panic ends its session, is logged with a running count, and nothing else. The
//! tasks of the control thread start again after one. A worker that ends, or does
//! not tick for `worker_stall`, ends the process: a supervisor is better at starting
//! again than we are at guessing what still works. A successor that does not say it
//! is done ends nothing: its predecessor goes on.

pub mod config;

mod balance;
mod control;
mod discovery;
mod engine;
mod generation;
mod health;
mod http;
mod log;
mod net;
mod observe;
mod proxy;
mod state;
mod tls;
mod worker;

pub use control::ReloadReport;
pub use engine::{Engine, Exit, Handle, Limits, Options, Program, StartError, StopKind, Stopping};

pub use log::EventLog;
pub use net::{PrivilegeError, ServiceManager, drop_privileges, take_inherited};

/// What benches and fuzz targets reach; no promise to anybody.
#[doc(hidden)]
pub mod internal;
