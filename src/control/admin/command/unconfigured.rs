//! Words about what no rlb has: HAProxy's answers where nothing of it is configured.

use super::{Arguments, Command};
use crate::control::admin::answer::Reply;

type Parsed = Result<Command, Reply>;

fn dump(text: &str) -> Parsed {
    Ok(Command::Answer(Reply::Dump(text.to_owned())))
}

pub(super) fn nothing(_: &Arguments<'_>) -> Parsed {
    Ok(Command::Answer(Reply::Silent))
}

const NO_MAP: &str = "Unknown map identifier. Please use #<id> or <file>.";
const NO_ACL: &str = "Unknown ACL identifier. Please use #<id> or <file>.";

pub(super) fn show_map(arguments: &Arguments<'_>) -> Parsed {
    match arguments.get(0) {
        None => dump("# id (file) description"),
        Some(_) => Err(NO_MAP.into()),
    }
}

pub(super) fn show_acl(arguments: &Arguments<'_>) -> Parsed {
    match arguments.get(0) {
        None => dump("# id (file) description"),
        Some(_) => Err(NO_ACL.into()),
    }
}

pub(super) fn show_tls_keys(arguments: &Arguments<'_>) -> Parsed {
    match arguments.get(0) {
        None => dump("# id (file)"),
        Some(_) => Err("No such TLS-Ticket-key".into()),
    }
}

pub(super) fn map(_: &Arguments<'_>) -> Parsed {
    Err(NO_MAP.into())
}

pub(super) fn acl(_: &Arguments<'_>) -> Parsed {
    Err(NO_ACL.into())
}

pub(super) fn show_table(arguments: &Arguments<'_>) -> Parsed {
    match arguments.get(0) {
        None => nothing(arguments),
        Some(_) => table(arguments),
    }
}

pub(super) fn table(_: &Arguments<'_>) -> Parsed {
    Err("No such table".into())
}

/// A certificate that is asked for by name is not there.
pub(super) fn show_certificate(arguments: &Arguments<'_>) -> Parsed {
    match arguments.get(0) {
        None => nothing(arguments),
        Some(_) => certificate(arguments),
    }
}

pub(super) fn certificate(_: &Arguments<'_>) -> Parsed {
    Err("No certificate is referenced by the configuration!".into())
}
