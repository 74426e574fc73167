//! rlb: a layer 4 / layer 7 load balancer whose membership changes while it runs.
#![allow(dead_code, unused_imports)]

pub mod config;

mod balance;
mod control;
mod engine;
mod generation;
mod health;
mod http;
mod net;
mod observe;
mod proxy;
mod state;
mod worker;

pub use engine::{Engine, Exit, Limits, StartError, StopKind};

/// What benches and fuzz targets reach; no promise to anybody.
#[doc(hidden)]
pub mod internal {
    pub mod balance;
}
