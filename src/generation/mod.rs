//! The meeting place of the planes: one immutable value that says what is served.
//!
//! Control builds the next [`Generation`] from a [`Desired`] state and the one
//! in force, and publishes it through the only `ArcSwap` of the process;
//! workers read it per request. A generation is never mutated; what changes
//! while it lives is in the `…State` values its parts share with their
//! successors. This room must not know how either plane runs.
//! Start at [`Generation`], then [`Generation::next`].

mod build;
mod claim;
mod cookies;
mod desired;
mod groups;
mod handshakes;
mod model;
mod pick;
mod publish;
mod route;
mod status;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use build::{Change, Returning};
pub(crate) use claim::Claim;
pub(crate) use cookies::{CookieValue, Cookies};
pub(crate) use desired::{Desired, Entrance, Member, Origin, Shares};
pub(crate) use groups::{Group, Groups};
pub(crate) use model::{Backend, Frontend, Generation, Server};
pub(crate) use publish::{Phase, Published, Report};
pub(crate) use route::{Pass, RequestFacts, without_port};
#[cfg(test)]
pub(crate) use status::status_text;
pub(crate) use status::{check_info, status};
