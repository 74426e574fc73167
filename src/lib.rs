//! rlb: a layer 4 / layer 7 load balancer whose membership changes while it runs.

pub mod config;
#[expect(unused_imports, reason = "the proxy room is built beside this one")]
#[cfg_attr(not(test), expect(dead_code))]
mod http;
#[doc(hidden)]
pub mod internal;
