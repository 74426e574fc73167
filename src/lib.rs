//! rlb: a layer 4 / layer 7 load balancer whose membership changes while it runs.
#![allow(dead_code)]

pub mod config;

mod balance;
mod generation;
#[allow(unused_imports)]
mod health;
mod state;

/// What benches and fuzz targets reach; no promise to anybody.
#[doc(hidden)]
pub mod internal {
    pub mod balance;
}
