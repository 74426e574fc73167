//! `show ...`.

use super::units::time;
use super::{Arguments, Command, Name, Target};
use crate::control::admin::answer::Reply;
use std::time::Duration;

/// What is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Show {
    Info(Form),
    Stat(Form, Filter),
    ServersState(Option<Name>, Form),
    ServersConn(Option<Name>, Form),
    Backends(Form),
    Sessions(Sessions, Form),
    Errors(Option<Name>),
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

/// Which rows `show stat` has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    /// Proxy, kinds (1 frontend, 2 backend, 4 server; -1 = all), server id (-1 = all).
    pub(crate) rows: Option<(Proxy, i64, i64)>,
    /// Only servers that are up.
    pub(crate) up: bool,
    /// No servers in maintenance.
    pub(crate) no_maint: bool,
}

/// A frontend or backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proxy {
    All,
    Id(u64),
    Name(String),
}

/// Which sessions are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sessions {
    All,
    Id(String),
    Server(Target),
    Backend(Name),
    Frontend(Name),
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
    let mut filter = Filter {
        rows: None,
        up: arguments.words.contains(&"up"),
        no_maint: arguments.words.contains(&"no-maint"),
    };
    let mut words = arguments.words;
    if let ["domain", domain, rest @ ..] = words {
        if *domain != "proxy" {
            return Err("Invalid statistics domain.".into());
        }
        words = rest;
    }
    if let [proxy, kinds, server, ..] = words
        && let (Ok(kinds), Ok(server)) = (kinds.parse(), server.parse())
    {
        let proxy = match proxy.parse::<i64>() {
            Ok(id) => u64::try_from(id).map_or(Proxy::All, Proxy::Id),
            Err(_) => Proxy::Name((*proxy).to_owned()),
        };
        filter.rows = Some((proxy, kinds, server));
    }
    show(Show::Stat(form(arguments), filter))
}

pub(super) fn servers_state(arguments: &Arguments<'_>) -> Parsed {
    let backend = subject(arguments).map(Name::parse);
    show(Show::ServersState(backend, form(arguments)))
}

pub(super) fn servers_conn(arguments: &Arguments<'_>) -> Parsed {
    let backend = subject(arguments).map(Name::parse);
    show(Show::ServersConn(backend, form(arguments)))
}

pub(super) fn backends(arguments: &Arguments<'_>) -> Parsed {
    show(Show::Backends(form(arguments)))
}

pub(super) fn sessions(arguments: &Arguments<'_>) -> Parsed {
    let sessions = match arguments.words {
        ["server", server, ..] => Sessions::Server(Target::parse(server)?),
        ["backend", name, ..] => Sessions::Backend(Name::parse(name)),
        ["frontend", name, ..] => Sessions::Frontend(Name::parse(name)),
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
    show(Show::Errors(proxy.map(|word| match word.parse() {
        Ok(id) => Name::Id(id),
        Err(_) => Name::parse(word),
    })))
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
