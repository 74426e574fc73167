//! What the operator wrote, turned into what we run.
//!
//! `file.rs` reads text and keeps the place of every value; `resolve.rs` turns
//! it into the types here, which cannot be wrong: names exist, ranges hold,
//! defaults are filled in. Every problem of a file is reported at once.
//!
//! This room must not know tokio or sockets. Start reading at [`Config`]; the
//! file's vocabulary is documented in `config/reference.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod defaults;
mod model;

pub use model::*;
