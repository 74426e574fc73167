//! Words about the conversation, the process, and none of these.

use std::time::Duration;

use super::units::time;
use super::{Arguments, Command};
use crate::config::AdminLevel;
use crate::control::admin::answer::Reply;
use crate::control::admin::wire::{Severities, Talk};

/// A request that nobody sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explained {
    pub(crate) method: String,
    /// From the URL.
    pub(crate) port: Option<u16>,
    /// From the URL, else from a `Host` header; may hold a port.
    pub(crate) host: String,
    /// Path and query.
    pub(crate) target: String,
    /// Lower-case names and values.
    pub(crate) headers: Vec<(String, String)>,
}

type Parsed = Result<Command, Reply>;

fn talk(talk: Talk) -> Parsed {
    Ok(Command::Talk(talk))
}

pub(super) fn prompt(arguments: &Arguments<'_>) -> Parsed {
    talk(match arguments.text(0) {
        "" => Talk::TogglePrompt,
        "p" => Talk::Prompt,
        "i" => Talk::Interactive,
        "n" => Talk::Once,
        "timed" => Talk::Timed,
        _ => return Err("'prompt' only supports 'help', 'i', 'n', 'p' and 'timed'.".into()),
    })
}

pub(super) fn quit(_: &Arguments<'_>) -> Parsed {
    talk(Talk::Quit)
}

pub(super) fn operator(_: &Arguments<'_>) -> Parsed {
    talk(Talk::Lower(AdminLevel::Operator))
}

pub(super) fn user(_: &Arguments<'_>) -> Parsed {
    talk(Talk::Lower(AdminLevel::User))
}

pub(super) fn show_level(_: &Arguments<'_>) -> Parsed {
    talk(Talk::ShowLevel)
}

pub(super) fn severities(arguments: &Arguments<'_>) -> Parsed {
    talk(Talk::Severities(match arguments.text(0) {
        "none" => Severities::None,
        "number" => Severities::Number,
        "string" => Severities::Word,
        _ => {
            let sentence =
                "one of 'none', 'number', 'string' is a required argument to 'set severity-output'";
            return Err(sentence.into());
        }
    }))
}

pub(super) fn timeout(arguments: &Arguments<'_>) -> Parsed {
    if arguments.text(0) != "cli" {
        return Err("'set timeout' only supports 'cli'.".into());
    }
    let value = arguments
        .get(1)
        .ok_or_else(|| Reply::refused("Expects an integer value."))?;
    let timeout = time(value, Duration::from_secs(1)).filter(|timeout| !timeout.is_zero());
    let timeout = timeout.ok_or_else(|| Reply::refused("Invalid timeout value."))?;
    talk(Talk::Timeout(timeout))
}

pub(super) fn echo(arguments: &Arguments<'_>) -> Parsed {
    Ok(Command::Answer(Reply::info(arguments.words.join(" "))))
}

pub(super) fn wait(arguments: &Arguments<'_>) -> Parsed {
    let delay = arguments
        .get(0)
        .ok_or_else(|| Reply::refused("Expects a duration in milliseconds."))?;
    let delay = time(delay, Duration::from_millis(1));
    let delay = delay.ok_or_else(|| Reply::refused("Invalid duration."))?;
    let condition = match arguments.get(1) {
        None => None,
        Some("srv-removable") => Some(
            arguments
                .target(2)
                .map_err(|_| Reply::refused("Missing server (<backend>/<server>)."))?,
        ),
        Some(_) => return Err("Unsupported wait condition.".into()),
    };
    Ok(Command::Wait(delay, condition))
}

pub(super) fn shutdown_session(arguments: &Arguments<'_>) -> Parsed {
    let id = arguments.get(0).filter(|id| id.starts_with("0x"));
    let id = id.ok_or_else(|| Reply::refused("Session pointer expected (use 'show sess')."))?;
    Ok(Command::ShutdownSession(id.to_owned()))
}

/// HAProxy clears the maxima for operators, everything for admins only.
pub(super) fn clear_counters(arguments: &Arguments<'_>) -> Parsed {
    let all = arguments.text(0) == "all";
    if all && arguments.level < AdminLevel::Admin {
        return Err("Permission denied".into());
    }
    Ok(Command::ClearCounters { all })
}

pub(super) fn clear_override(arguments: &Arguments<'_>) -> Parsed {
    let object = arguments
        .get(0)
        .ok_or_else(|| Reply::refused("Require 'backend/server' or a frontend's name."))?;
    Ok(Command::ClearOverride(object.to_owned()))
}

pub(super) fn clear_overrides(_: &Arguments<'_>) -> Parsed {
    Ok(Command::ClearOverrides)
}

pub(super) fn save_state(_: &Arguments<'_>) -> Parsed {
    Ok(Command::SaveState)
}

pub(super) fn reload(_: &Arguments<'_>) -> Parsed {
    Ok(Command::Reload)
}

pub(super) fn upgrade(_: &Arguments<'_>) -> Parsed {
    Ok(Command::Upgrade)
}

pub(super) fn explain(arguments: &Arguments<'_>) -> Parsed {
    let [method, url, headers @ ..] = arguments.words else {
        return Err("Usage: explain <method> <url> [<name>:<value> ...].".into());
    };
    let headers = headers
        .iter()
        .map(|header| {
            let (name, value) = header.split_once(':').ok_or_else(|| {
                Reply::refused(format!("'{header}' is no header: write <name>:<value>."))
            })?;
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<Result<Vec<_>, Reply>>()?;
    let (authority, target) = split_url(url)?;
    let named = headers.iter().find(|(name, _)| name == "host");
    let host = match (authority, named) {
        // A `Host` of its own asks what a connection to that address would say.
        (_, Some((_, host))) => host.clone(),
        (Some(authority), None) => authority.to_owned(),
        (None, None) => String::new(),
    };
    let port = authority.map(port_of).transpose()?.flatten();
    Ok(Command::Explain(Explained {
        method: (*method).to_owned(),
        port,
        host,
        target,
        headers,
    }))
}

/// The authority, if there is one, and the path with its query.
fn split_url(url: &str) -> Result<(Option<&str>, String), Reply> {
    if url.starts_with('/') {
        return Ok((None, url.to_owned()));
    }
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or_else(|| Reply::refused(format!("'{url}' is neither a path nor an http:// URL.")))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok((Some(authority), format!("{slash}{target}")))
}

fn port_of(authority: &str) -> Result<Option<u16>, Reply> {
    match authority.rsplit_once(':') {
        Some((_, port)) if !port.contains(']') => port
            .parse()
            .map(Some)
            .map_err(|_| Reply::refused(format!("invalid port '{port}'"))),
        _ => Ok(None),
    }
}
