//! `show ...`.

use super::units::time;
use super::{Arguments, Command, Target};
use crate::control::admin::answer::Reply;
use std::time::Duration;

/// What is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Show {
    Info(Form),
    /// The words behind `show stat`.
    Stat(Vec<String>),
    ServersState(Option<String>, Form),
    ServersConn(Option<String>, Form),
    Backends(Form),
    Sessions(Sessions, Form),
    Errors(Option<String>),
    /// One variable, or all.
    Env(Option<String>, Form),
    Version(Form),
    Sockets(Form),
    Processes,
    Overrides(Form),
    Generations(Form),
    Drain(Form),
}

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Form {
    pub(crate) json: bool,
    pub(crate) typed: bool,
    /// With a description of each field.
    pub(crate) desc: bool,
    /// Numbers that are rounded else.
    pub(crate) float: bool,
}

/// Which sessions are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sessions {
    All,
    Id(String),
    Server(Target),
    Backend(String),
    Frontend(String),
    Older(Duration),
}

type Parsed = Result<Command, Reply>;

fn show(show: Show) -> Parsed {
    Ok(Command::Show(show))
}

/// The first word that is not one of form.
fn subject<'a>(arguments: &Arguments<'a>) -> Option<&'a str> {
    arguments.get(0).filter(|word| *word != "json")
}

/// HAProxy ignores words it does not know here, and so do we.
fn form(arguments: &Arguments<'_>) -> Form {
    let has = |word| arguments.words.contains(&word);
    Form {
        json: has("json"),
        typed: has("typed"),
        desc: has("desc"),
        float: has("float"),
    }
}

pub(super) fn info(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Info(form(arguments)))
}

pub(super) fn stat(arguments: &Arguments<'_>) -> Parsed {
    let words = arguments.words.iter().map(|word| (*word).to_owned());
    show(Show::Stat(words.collect()))
}

pub(super) fn servers_state(arguments: &Arguments<'_>) -> Parsed {
    let backend = subject(arguments).map(str::to_owned);
    show(Show::ServersState(backend, form(arguments)))
}

pub(super) fn servers_conn(arguments: &Arguments<'_>) -> Parsed {
    let backend = subject(arguments).map(str::to_owned);
    show(Show::ServersConn(backend, form(arguments)))
}

pub(super) fn backends(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Backends(form(arguments)))
}

pub(super) fn sessions(arguments: &Arguments<'_>) -> Parsed {
    let sessions = match arguments.words {
        ["server", server, ..] => Sessions::Server(Target::parse(server)?),
        ["backend", name, ..] => Sessions::Backend((*name).to_owned()),
        ["frontend", name, ..] => Sessions::Frontend((*name).to_owned()),
        ["older", age, ..] => Sessions::Older(
            time(age, Duration::from_secs(1)).ok_or_else(|| Reply::refused("Invalid age."))?,
        ),
        [id, ..] if id.starts_with("0x") => Sessions::Id((*id).to_owned()),
        _ => Sessions::All,
    };
    show(Show::Sessions(sessions, form(arguments)))
}

pub(super) fn errors(arguments: &Arguments<'_>) -> Parsed {
    let word = subject(arguments);
    let proxy = word.filter(|word| !matches!(*word, "request" | "response" | "-1"));
    show(Show::Errors(proxy.map(str::to_owned)))
}

pub(super) fn env(arguments: &Arguments<'_>) -> Parsed {
    let name = subject(arguments).map(str::to_owned);
    show(Show::Env(name, form(arguments)))
}

pub(super) fn version(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Version(form(arguments)))
}

pub(super) fn sockets(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Sockets(form(arguments)))
}

pub(super) fn processes(_: &Arguments<'_>) -> Parsed {
    show(Show::Processes)
}

pub(super) fn overrides(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Overrides(form(arguments)))
}

pub(super) fn generations(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Generations(form(arguments)))
}

pub(super) fn drain(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Drain(form(arguments)))
}
