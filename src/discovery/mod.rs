//! Where servers come from that nobody wrote down: Consul, Docker, DNS.
//!
//! A *provider* is a task on the control thread that watches one thing and says
//! what is there now, whole, each time it looked ([`Outlet::found`]), or that it
//! could not look ([`Outlet::failed`]). It keeps nothing and decides nothing. A
//! [`Source`] does the rest, for all of them alike: an error never means empty,
//! an empty answer is held, the first change goes out at once and those that
//! follow are joined, what came and went is said once. [`Discovery`] starts and
//! stops the providers a configuration asks for.
//!
//! This room must not know how members are served: control merges them with what
//! is written, and builds from both. Start at `member.rs` (what a source says),
//! then `source.rs` (the rules), then `registry.rs`.

mod backoff;
mod consul;
mod dns;
mod docker;
pub(crate) mod http;
mod id;
mod member;
mod outlet;
mod registry;
mod source;

pub(crate) use backoff::Backoff;
pub(crate) use consul::{Kv, KvWatch, Registration, Verdict};
pub(crate) use id::SourceId;
pub(crate) use member::{Found, LeftOut, Member, Site, SiteCheck, Standing};
pub(crate) use outlet::{Failure, FailureKind, Outlet};
pub(crate) use registry::{Discovery, Provider};
pub(crate) use source::{Condition, MemberRow, Source, SourceRow};
