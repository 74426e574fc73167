//! rlb: a layer 4 / layer 7 load balancer whose membership changes while it runs.

pub mod config;
