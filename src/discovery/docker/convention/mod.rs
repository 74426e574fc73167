//! Words that other tools taught people to write on their containers.
//!
//! Each reads what it knows and names, in one warning, what it does not do.

mod interlock;
mod registrator;

pub(crate) use interlock::read as interlock;
pub(crate) use registrator::read as registrator;

use super::api::{Inspected, Listed};

/// A variable of the environment, or a label of the same name.
fn env_or_label<'a>(
    container: &'a Listed,
    inspected: Option<&'a Inspected>,
    name: &str,
) -> Option<&'a str> {
    let env = inspected.and_then(|inspected| inspected.env(name));
    env.or_else(|| container.label(name))
}
