//! What the operator wrote, turned into what we run.
//!
//! The way of a text: `syntax.rs` makes a tree in which each value knows its
//! place, `load.rs` joins the trees of several files, `check.rs` holds the tree
//! against the keys of `keys.rs`, `resolve/` turns it into the run types of
//! `model.rs`, which cannot be wrong: names exist, ranges hold, defaults are
//! filled in. Every problem on the way goes to one collector (`diagnostics.rs`)
//! and all are reported at once.
//!
//! This room must not know tokio or sockets. Start reading at [`Config::load`];
//! the file's vocabulary is documented in `config/reference.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) mod address;
mod check;
mod defaults;
mod diagnostics;
mod discovery;
mod docker;
mod expand;
mod foreign_file;
mod grammar;
mod http2;
mod keys;
mod load;
mod model;
mod resolve;
pub(crate) mod shares;
pub(crate) mod stats;
pub(crate) mod suggest;
mod syntax;
mod tls;
mod tree;
mod units;
mod unknown;
mod words;

pub(crate) use address::{name as section_name, server_name_written};
pub use diagnostics::{ConfigErrors, Diagnostic, Severity};
pub use discovery::{
    ApiAddress, Backoff, Consul, ConsulSource, Discovery, Dns, DnsRecord, DnsSource, DnsTransport,
    Expose, Register, Source, Ttl,
};
pub use docker::{
    Docker, DockerAddress, DockerConvention, DockerExpose, DockerHealth, DockerSource,
};
pub(crate) use grammar::{cookie_value, host_match, path_prefix, request_path, tls_host, tls_name};
pub use http2::*;
pub use load::Loaded;
pub(crate) use load::{parse_servers, process_environment};
pub use model::*;
pub(crate) use stats::{BUILT_IN, is_built_in};
pub use tls::*;
pub(crate) use units::duration;

#[cfg(test)]
mod tests;
