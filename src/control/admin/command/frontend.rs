//! Words about frontends and about limits of the process.

use super::units::count;
use super::{Arguments, Command, FrontendChange};
use crate::control::admin::answer::Reply;

type Parsed = Result<Command, Reply>;

fn about(arguments: &Arguments<'_>, change: Result<FrontendChange, Reply>) -> Parsed {
    let name = arguments
        .get(0)
        .ok_or_else(|| Reply::refused("A frontend name is expected."))?;
    Ok(Command::Frontend(name.to_owned(), change))
}

pub(super) fn enable(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Ok(FrontendChange::Enable(true)))
}

pub(super) fn disable(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Ok(FrontendChange::Enable(false)))
}

pub(super) fn shutdown(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Ok(FrontendChange::Shutdown))
}

pub(super) fn maxconn(arguments: &Arguments<'_>) -> Parsed {
    let maxconn = count(arguments.text(1), "Integer value expected.");
    about(arguments, maxconn.map(FrontendChange::Maxconn))
}

pub(super) fn maxconn_global(arguments: &Arguments<'_>) -> Parsed {
    count(arguments.text(0), "Expects an integer value.").map(Command::MaxconnGlobal)
}

const RATE_LIMITS: &str = "'set rate-limit' only supports :
   - 'connections global' to set the per-process maximum connection rate
   - 'sessions global' to set the per-process maximum session rate
   - 'ssl-sessions global' to set the per-process maximum SSL session rate
   - 'http-compression global' to set the per-process maximum compression speed in kB/s";

/// There are no such limits: "none" is true already, anything else would be a lie.
pub(super) fn rate_limit(arguments: &Arguments<'_>) -> Parsed {
    let ("connections" | "sessions" | "ssl-sessions" | "http-compression", "global") =
        (arguments.text(0), arguments.text(1))
    else {
        return Err(Reply::refused(RATE_LIMITS));
    };
    match count(arguments.text(2), "Expects an integer value.")? {
        0 => Ok(Command::Answer(Reply::Silent)),
        _ => Err("Rate limits are not in this version yet.".into()),
    }
}
