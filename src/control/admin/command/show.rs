//! `show ...`.

use std::time::Duration;

use super::units::time;
use super::{Arguments, Command, Target};
use crate::config::AdminLevel;
use crate::control::admin::answer::Reply;

/// What is to be shown; the last part says whether as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Show {
    /// The words behind `show info`.
    Info(Vec<String>),
    /// The words behind `show stat`; whether addresses may be seen.
    Stat(Vec<String>, bool),
    /// The query of `/metrics` that says the same.
    Metrics(String),
    ServersState(Option<String>, bool),
    ServersConn(Option<String>, bool),
    Backends(bool),
    Sessions(Sessions, bool),
    Errors(Option<String>),
    /// One variable, or all.
    Env(Option<String>, bool),
    Version(bool),
    /// Of the JSON forms.
    Schema,
    Sockets(bool),
    Processes,
    /// Of one backend, or of all.
    Groups(Option<String>, bool),
    Overrides(bool),
    Generations(bool),
    Drain(bool),
    Health(bool),
    /// All certificates, or one by its file.
    Certificates(Option<String>),
    Sources(bool),
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

/// May stand behind any `show`.
fn json(arguments: &Arguments<'_>) -> bool {
    arguments.words.last() == Some(&"json")
}

fn owned(arguments: &Arguments<'_>) -> Vec<String> {
    arguments
        .words
        .iter()
        .map(|word| (*word).to_owned())
        .collect()
}

pub(super) fn info(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Info(owned(arguments)))
}

pub(super) fn stat(arguments: &Arguments<'_>) -> Parsed {
    let legends = arguments.level >= AdminLevel::Operator;
    show(Show::Stat(owned(arguments), legends))
}

/// The rows of servers alone.
pub(super) fn servers(arguments: &Arguments<'_>) -> Parsed {
    let backend = subject(arguments).unwrap_or("-1");
    let mut words: Vec<String> = [backend, "4", "-1"].map(str::to_owned).into();
    words.extend(json(arguments).then(|| "json".to_owned()));
    let legends = arguments.level >= AdminLevel::Operator;
    show(Show::Stat(words, legends))
}

/// A bare word is a scope; any other part of the query may stand here, too.
pub(super) fn metrics(arguments: &Arguments<'_>) -> Parsed {
    let parts = arguments.words.iter().map(|word| match *word {
        "no-maint" => "no-maint".to_owned(),
        word if word.contains('=') => word.to_owned(),
        scope => format!("scope={scope}"),
    });
    show(Show::Metrics(parts.collect::<Vec<_>>().join("&")))
}

pub(super) fn servers_state(arguments: &Arguments<'_>) -> Parsed {
    let backend = subject(arguments).map(str::to_owned);
    show(Show::ServersState(backend, json(arguments)))
}

pub(super) fn servers_conn(arguments: &Arguments<'_>) -> Parsed {
    let backend = subject(arguments).map(str::to_owned);
    show(Show::ServersConn(backend, json(arguments)))
}

pub(super) fn certificates(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Certificates(arguments.get(0).map(str::to_owned)))
}

pub(super) fn backends(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Backends(json(arguments)))
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
    show(Show::Sessions(sessions, json(arguments)))
}

pub(super) fn errors(arguments: &Arguments<'_>) -> Parsed {
    let word = subject(arguments);
    let proxy = word.filter(|word| !matches!(*word, "request" | "response" | "-1"));
    show(Show::Errors(proxy.map(str::to_owned)))
}

pub(super) fn env(arguments: &Arguments<'_>) -> Parsed {
    let name = subject(arguments).map(str::to_owned);
    show(Show::Env(name, json(arguments)))
}

pub(super) fn version(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Version(json(arguments)))
}

pub(super) fn schema(_: &Arguments<'_>) -> Parsed {
    show(Show::Schema)
}

pub(super) fn sockets(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Sockets(json(arguments)))
}

pub(super) fn processes(_: &Arguments<'_>) -> Parsed {
    show(Show::Processes)
}

pub(super) fn groups(arguments: &Arguments<'_>) -> Parsed {
    let backend = subject(arguments).map(str::to_owned);
    show(Show::Groups(backend, json(arguments)))
}

pub(super) fn overrides(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Overrides(json(arguments)))
}

pub(super) fn generations(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Generations(json(arguments)))
}

pub(super) fn drain(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Drain(json(arguments)))
}

pub(super) fn sources(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Sources(json(arguments)))
}

pub(super) fn health(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Health(json(arguments)))
}
