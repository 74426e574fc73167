//! Words about one server.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::ssl::{self, Ssl};
use super::units::{self, time};
use super::{Arguments, Command, ServerChange, Target};
use crate::config::{self, ProxyChoice, ProxyVersion, suggest};
use crate::control::AddedState;
use crate::control::admin::answer::Reply;
use crate::state::{Admin, Operational};

/// The words of `add server` behind the name. Read when the backend is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Added {
    /// Nothing but `help`.
    pub(crate) help: bool,
    words: Vec<String>,
}

/// An added server as its words want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keywords {
    pub(crate) settings: config::Server,
    pub(crate) start: AddedState,
}

const USAGE: &str = "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | check-port | fqdn | health | name | ssl | state | weight";
const NO_AGENT: &str = "agent checks are not enabled on this server.";

type Parsed = Result<Command, Reply>;

/// A command about the server that is the first argument.
fn about(arguments: &Arguments<'_>, change: Result<ServerChange, Reply>) -> Parsed {
    Ok(Command::Server(arguments.target(0)?, change))
}

pub(super) fn get_weight(arguments: &Arguments<'_>) -> Parsed {
    Ok(Command::GetWeight(arguments.target(0)?))
}

pub(super) fn set_weight(arguments: &Arguments<'_>) -> Parsed {
    let weight = units::weight(arguments.text(1));
    about(arguments, weight.map(ServerChange::Weight))
}

pub(super) fn enable_server(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Ok(ServerChange::State(Admin::Ready)))
}

pub(super) fn disable_server(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Ok(ServerChange::State(Admin::Maint)))
}

pub(super) fn enable_health(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Ok(ServerChange::Checks(true)))
}

pub(super) fn disable_health(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Ok(ServerChange::Checks(false)))
}

pub(super) fn enable_agent(arguments: &Arguments<'_>) -> Parsed {
    let refusal = "Agent was not configured on this server, cannot enable.";
    about(arguments, Err(Reply::refused(refusal)))
}

/// There is none: it is disabled.
pub(super) fn disable_agent(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Err(Reply::Silent))
}

pub(super) fn shutdown_sessions(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Ok(ServerChange::ShutdownSessions))
}

pub(super) fn clear_counters(arguments: &Arguments<'_>) -> Parsed {
    about(arguments, Ok(ServerChange::ClearCounters))
}

pub(super) fn maxconn(arguments: &Arguments<'_>) -> Parsed {
    let text = arguments.text(1);
    let maxconn = match units::leading_number(text) {
        _ if text.is_empty() => Err(Reply::refused("Require <maxconn>.")),
        None => Err(Reply::refused(
            "maxconn string empty or preceded by garbage",
        )),
        Some((_, rest)) if !rest.is_empty() => {
            Err(Reply::refused("Trailing garbage in maxconn string"))
        }
        Some((number, _)) => {
            u32::try_from(number).map_err(|_| Reply::refused("Value out of range."))
        }
    };
    about(arguments, maxconn.map(ServerChange::Maxconn))
}

pub(super) fn delete(arguments: &Arguments<'_>) -> Parsed {
    let drain = match (arguments.get(1), arguments.get(2)) {
        (Some("drain"), delay) => delay
            .and_then(|delay| time(delay, Duration::from_secs(1)))
            .map(|delay| ServerChange::Delete(Some(delay)))
            .ok_or_else(|| Reply::refused("'drain' expects a duration such as '10s'.")),
        _ => Ok(ServerChange::Delete(None)),
    };
    about(arguments, drain)
}

/// `set server b/s WORD ...`.
pub(super) fn set(arguments: &Arguments<'_>) -> Parsed {
    let value = arguments.text(2);
    let needs = |sentence: &'static str| if value.is_empty() { sentence } else { NO_AGENT };
    let change = match arguments.text(1) {
        "weight" => units::weight(value).map(ServerChange::Weight),
        "state" => match value {
            "ready" => Ok(ServerChange::State(Admin::Ready)),
            "drain" => Ok(ServerChange::State(Admin::Drain)),
            "maint" => Ok(ServerChange::State(Admin::Maint)),
            _ => Err("'set server <srv> state' expects 'ready', 'drain' and 'maint'.".into()),
        },
        "health" => match value {
            "up" => Ok(ServerChange::Health(Operational::Up)),
            "stopping" => Ok(ServerChange::Health(Operational::Stopping)),
            "down" => Ok(ServerChange::Health(Operational::Down)),
            _ => Err("'set server <srv> health' expects 'up', 'stopping', or 'down'.".into()),
        },
        "addr" => address(arguments),
        "check-addr" => check_address(arguments),
        "check-port" => check_port(value),
        "agent" => Err(match value {
            "up" | "down" => NO_AGENT.into(),
            _ => "'set server <srv> agent' expects 'up' or 'down'.".into(),
        }),
        "agent-addr" => Err(needs(
            "set server <b>/<s> agent-addr requires an address and optionally a port.",
        )
        .into()),
        "agent-port" => Err(needs("set server <b>/<s> agent-port requires a port.").into()),
        "agent-send" => Err(needs("set server <b>/<s> agent-send requires a string.").into()),
        "fqdn" => Err(if value.is_empty() {
            "set server <b>/<s> fqdn requires a FQDN.".into()
        } else {
            "set server <b>/<s> fqdn failed because no resolution is configured.".into()
        }),
        // Whether it can be set at all is looked at first, when the server is known.
        "ssl" => Ok(ServerChange::Tls(match value {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        })),
        "name" => Err("Renaming a server is not in this version yet.".into()),
        _ => Err(Reply::refused(USAGE)),
    };
    about(arguments, change)
}

impl From<&'static str> for Reply {
    fn from(sentence: &'static str) -> Self {
        Self::refused(sentence)
    }
}

fn address(arguments: &Arguments<'_>) -> Result<ServerChange, Reply> {
    let text = arguments.text(2);
    if text.is_empty() {
        return Err("set server <b>/<s> addr requires an address and optionally a port.".into());
    }
    let ip = text
        .parse()
        .map_err(|_| Reply::refused(format!("Invalid addr '{text}'")))?;
    let port = behind_port(arguments, |port| {
        Reply::refused(format!("problem converting port '{port}' to an int"))
    })?;
    Ok(ServerChange::Address { ip, port })
}

fn check_address(arguments: &Arguments<'_>) -> Result<ServerChange, Reply> {
    let text = arguments.text(2);
    if text.is_empty() {
        let sentence = "set server <b>/<s> check-addr requires an address and optionally a port.";
        return Err(sentence.into());
    }
    let ip: IpAddr = text
        .parse()
        .map_err(|_| Reply::refused(format!("invalid addr '{text}'")))?;
    let port = behind_port(arguments, |_| "provided port is not an integer".into())?;
    Ok(ServerChange::CheckAddress { ip: Some(ip), port })
}

fn check_port(value: &str) -> Result<ServerChange, Reply> {
    if value.is_empty() {
        return Err("set server <b>/<s> check-port requires a port.".into());
    }
    let port = units::port(value, || "provided port is not an integer".into())?;
    Ok(ServerChange::CheckAddress {
        ip: None,
        port: Some(port),
    })
}

/// `... port P`.
fn behind_port(
    arguments: &Arguments<'_>,
    not_a_number: impl FnOnce(&str) -> Reply,
) -> Result<Option<u16>, Reply> {
    if arguments.text(3) != "port" {
        return Ok(None);
    }
    let port = arguments.text(4);
    units::port(port, || not_a_number(port)).map(Some)
}

pub(super) fn add(arguments: &Arguments<'_>) -> Parsed {
    let added = Added {
        help: arguments.words == ["help"],
        words: arguments
            .words
            .iter()
            .skip(1)
            .map(|w| (*w).to_owned())
            .collect(),
    };
    let target = if added.help {
        Target {
            backend: String::new(),
            server: String::new(),
        }
    } else {
        arguments.target(0)?
    };
    Ok(Command::AddServer(target, added))
}

/// Words of `add server` beside those of TLS.
const KEYWORDS: [&str; 15] = [
    "addr",
    "backup",
    "check",
    "cookie",
    "disabled",
    "maxconn",
    "no-backup",
    "no-check",
    "no-send-proxy",
    "no-send-proxy-v2",
    "port",
    "send-proxy",
    "send-proxy-v2",
    "up",
    "weight",
];
/// HAProxy's words of a server that are set elsewhere, or not at all yet.
const ELSEWHERE: [&str; 11] = [
    "check-send-proxy",
    "check-ssl",
    "downinter",
    "fall",
    "fastinter",
    "id",
    "inter",
    "maxqueue",
    "proto",
    "rise",
    "slowstart",
];

/// All words of `add server`, for its help and for "did you mean".
fn keywords() -> Vec<&'static str> {
    let mut all = [&KEYWORDS[..], &ssl::KEYWORDS].concat();
    all.sort_unstable();
    all
}

impl Added {
    /// `add server help`.
    pub(crate) fn help() -> Reply {
        let lines = keywords().into_iter().map(|word| format!("{word}\n"));
        let list: String = lines.collect();
        Reply::info(format!(
            "List of keywords supported for dynamic server:\n{list}"
        ))
    }

    /// The server called `name` as the words want it.
    ///
    /// # Errors
    /// HAProxy's sentence about the first word that is wrong.
    pub(crate) fn read(&self, name: &str) -> Result<Keywords, Reply> {
        let mut words = self.words.iter().map(String::as_str);
        let expected = "'server' expects <name> and <addr>[:<port>] as arguments.";
        let address = words.next().filter(|_| !name.is_empty());
        let address = server_address(address.ok_or_else(|| Reply::refused(expected))?)?;
        if let Some(wrong) = name
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | ':' | '-'))
        {
            return Err(Reply::refused(format!(
                "character '{wrong}' is not permitted in server name '{name}'."
            )));
        }
        config::address::server_name_written(name)
            .map_err(|fault| Reply::refused(fault.message))?;
        let mut keywords = Keywords {
            settings: config::Server {
                name: Arc::from(name),
                address,
                weight: 1,
                backup: false,
                group: None,
                disabled: false,
                // As in HAProxy: only a server that says `check` is checked.
                check: Some(false),
                check_port: None,
                check_address: None,
                maxconn: None,
                tls: config::TlsChoice::Backend,
                proxy_protocol: ProxyChoice::Inherit,
                cookie: None,
            },
            start: AddedState::Maint,
        };
        let mut ssl = Ssl::default();
        while let Some(word) = words.next() {
            keywords.take(word, &mut words, &mut ssl)?;
        }
        keywords.settings.tls = ssl.choice()?;
        Ok(keywords)
    }
}

impl Keywords {
    fn take<'a>(
        &mut self,
        word: &str,
        more: &mut impl Iterator<Item = &'a str>,
        ssl: &mut Ssl,
    ) -> Result<(), Reply> {
        let settings = &mut self.settings;
        let mut value = || {
            more.next()
                .ok_or_else(|| Reply::refused(format!("'{word}' expects a value.")))
        };
        match word {
            "weight" => settings.weight = server_weight(&settings.name, value()?)?,
            "cookie" => settings.cookie = Some(cookie(value()?)?),
            "maxconn" => settings.maxconn = Some(server_maxconn(value()?)?),
            "check" => settings.check = None,
            "no-check" => settings.check = Some(false),
            "backup" => settings.backup = true,
            "no-backup" => settings.backup = false,
            "send-proxy" => settings.proxy_protocol = ProxyChoice::Own(ProxyVersion::V1),
            "send-proxy-v2" => settings.proxy_protocol = ProxyChoice::Own(ProxyVersion::V2),
            "no-send-proxy" | "no-send-proxy-v2" => settings.proxy_protocol = ProxyChoice::Off,
            "port" => {
                let text = value()?;
                let wrong = || Reply::refused(format!("invalid port '{text}'"));
                settings.check_port = Some(units::port(text, wrong)?);
            }
            "addr" => {
                let text = value()?;
                let wrong = |_| Reply::refused(format!("invalid addr '{text}'"));
                settings.check_address = Some(text.parse().map_err(wrong)?);
            }
            "up" => self.start = AddedState::Up,
            "disabled" => self.start = AddedState::Maint,
            "enabled" => return Err("'enabled' option is not accepted for dynamic server".into()),
            word if ssl::KEYWORDS.contains(&word) => ssl.take(word, value)?,
            word if ELSEWHERE.contains(&word) => {
                return Err(Reply::refused(format!(
                    "'{word}' is set for a whole backend, in the file, or is not in this version yet."
                )));
            }
            word => return Err(unknown_keyword(word)),
        }
        Ok(())
    }
}

fn unknown_keyword(word: &str) -> Reply {
    let nearest = suggest::nearest(word, keywords());
    Reply::refused(match nearest {
        Some(near) => format!("unknown keyword '{word}'; did you mean '{near}' maybe ?"),
        None => format!("unknown keyword '{word}'."),
    })
}

/// HAProxy takes any text.
fn cookie(text: &str) -> Result<Arc<str>, Reply> {
    config::cookie_value(text)
        .map_err(|fault| Reply::refused(format!("'cookie' expects a value: {}.", fault.message)))?;
    Ok(text.into())
}

/// HAProxy takes whatever begins like a number.
fn server_maxconn(text: &str) -> Result<u32, Reply> {
    let wrong = || Reply::refused(format!("'maxconn' expects a number, not '{text}'."));
    match units::leading_number(text) {
        Some((number, "")) => u32::try_from(number).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn server_weight(server: &str, text: &str) -> Result<u16, Reply> {
    let Some((number, "")) = units::leading_number(text) else {
        return Err("Empty weight string empty or preceded by garbage".into());
    };
    u16::try_from(number)
        .ok()
        .filter(|weight| *weight <= 256)
        .ok_or_else(|| {
            // Two full stops: HAProxy adds one to its own sentence.
            Reply::refused(format!(
                "weight of server {server} is not within 0 and 256 ({number}).."
            ))
        })
}

/// HAProxy's forms too: `ipv4@`, `ipv6@`, `unix@`.
fn server_address(text: &str) -> Result<config::ServerAddress, Reply> {
    let ours = match text.split_once('@') {
        Some(("ipv4" | "ipv6" | "ip", rest)) => rest.to_owned(),
        Some(("unix", path)) => format!("unix:{path}"),
        Some(("abns", name)) => format!("unix:@{name}"),
        _ => text.to_owned(),
    };
    if let Some((_, port)) = ours.rsplit_once(':').filter(|_| !ours.starts_with("unix:")) {
        let wrong = || Reply::refused(format!("invalid port '{port}'"));
        if port.bytes().all(|byte| byte.is_ascii_digit())
            && !port.parse::<u16>().is_ok_and(|port| port != 0)
        {
            return Err(wrong());
        }
    }
    let address = config::address::server(&ours).map_err(|fault| {
        let help = fault
            .help
            .map(|help| format!("; {help}"))
            .unwrap_or_default();
        Reply::refused(format!("invalid address '{text}': {}{help}", fault.message))
    })?;
    match address {
        config::ServerAddress::Name(..) => Err(Reply::refused(format!(
            "invalid address '{text}': names are looked up for servers of the configuration alone"
        ))),
        address => Ok(address),
    }
}
