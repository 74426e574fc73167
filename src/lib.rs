//! rlb: a layer 4 / layer 7 load balancer whose membership changes while it runs.

pub mod config;
#[expect(
    dead_code,
    unused_imports,
    reason = "the proxy room is built beside this one"
)]
mod http;
