//! Writes a [`Config`] as a file that reads back the same. Every setting is
//! written, so that reading proves each key and not its default.

use std::fmt::Write;

mod backends;
mod discovery;
mod frontends;

use self::backends::backend;
use self::discovery::{discovery, register, source};
use self::frontends::frontend;
use super::*;
use crate::config::units::{duration_text, size_text};

pub(super) fn print(config: &Config) -> String {
    let mut out = String::new();
    global(&mut out, &config.global);
    for log in &config.logs {
        self::log(&mut out, log);
    }
    for frontend in &config.frontends {
        self::frontend(&mut out, frontend, &config.backends);
    }
    for backend in &config.backends {
        self::backend(&mut out, backend);
    }
    if let Some(server) = &config.stats {
        out.push_str("\n[stats]\n");
        let address = |address: &BindAddress| match address {
            BindAddress::Any(port) => format!("\":{port}\""),
            other => format!("\"{other}\""),
        };
        let bind = |bind: &StatsBind| match bind.tls {
            true => format!("{{ address = {}, tls = true }}", address(&bind.address)),
            false => address(&bind.address),
        };
        pair(&mut out, "bind", list(&server.binds, bind));
        if let Some(tls) = &server.tls {
            frontends::shown(&mut out, tls);
        }
        stats(&mut out, "", &server.page);
    }
    discovery(&mut out, &config.discovery);
    for register in &config.register {
        self::register(&mut out, register);
    }
    out
}

fn stats(out: &mut String, prefix: &str, stats: &Stats) {
    let mut key = |name: &str, value: String| pair(out, &format!("{prefix}{name}"), value);
    key("path", text(&stats.path));
    key("auth", list(&stats.accounts, account_of));
    let file = stats.auth_file.as_ref();
    let file = file.map(|path| path.display().to_string());
    key("auth_file", optional_text(&file));
    key("admin", stats.admin.to_string());
    key("refresh", or(stats.refresh, "off", duration));
    key("metrics", optional_text(&stats.metrics));
}

fn account_of(account: &Account) -> String {
    let (Secret::Plain(secret) | Secret::Bcrypt(secret) | Secret::ShaCrypt(secret)) =
        &account.secret;
    text(&format!("{}:{secret}", account.name))
}

fn global(out: &mut String, global: &Global) {
    out.push_str("[global]\n");
    pair(out, "workers", or(global.workers, "auto", number));
    pair(out, "pin", global.pin);
    pair(out, "maxconn", or(global.maxconn, "auto", number));
    pair(out, "admin", list(&global.admin, admin));
    let state_dir = global
        .state_dir
        .as_ref()
        .map(|path| path.display().to_string());
    pair(out, "state_dir", text(&state_dir.unwrap_or_default()));
    pair(out, "drain_timeout", duration(global.drain_timeout));
    pair(out, "drain_delay", duration(global.drain_delay));
    pair(out, "ready_timeout", duration(global.ready_timeout));
    pair(out, "close_idle_after", duration(global.close_idle_after));
    pair(out, "worker_stall", duration(global.worker_stall));
    pair(out, "pipes_max", global.pipes_max);
    pair(out, "accept_budget", global.accept_budget);
    pair(out, "tls_handshakes_max", global.tls_handshakes_max);
    pair(out, "user", optional_text(&global.user));
    pair(out, "group", optional_text(&global.group));
}

fn log(out: &mut String, log: &Log) {
    out.push_str("\n[[log]]\n");
    pair(out, "target", text(&log.target.to_string()));
    let what = match log.what {
        LogWhat::Access => "access",
        LogWhat::Events => "events",
    };
    pair(out, "what", text(what));
    let format = match log.format {
        LogFormat::Haproxy => "haproxy",
        LogFormat::Json => "json",
    };
    pair(out, "format", text(format));
    pair(out, "tag", text(&log.tag));
    let only = if log.only_errors { "errors" } else { "all" };
    pair(out, "only", text(only));
    pair(out, "uri_max", size(log.uri_max as u64));
}

fn admin(socket: &AdminSocket) -> String {
    let mut keys = Vec::new();
    match &socket.address {
        AdminAddress::Unix(path) => {
            keys.push(format!("path = {}", text(&path.display().to_string())));
            keys.push(format!("mode = \"{:04o}\"", socket.mode));
            keys.extend(account("user", &socket.user));
            keys.extend(account("group", &socket.group));
        }
        AdminAddress::Tcp(address) => {
            keys.push(format!("bind = \"{address}\""));
            keys.push("insecure = true".to_owned());
        }
    }
    let level = match socket.level {
        AdminLevel::User => "user",
        AdminLevel::Operator => "operator",
        AdminLevel::Admin => "admin",
    };
    keys.push(format!("level = \"{level}\""));
    inline(&keys)
}

fn protocol(alpn: &Alpn) -> String {
    text(std::str::from_utf8(alpn.as_bytes()).unwrap())
}

fn network(network: &Network) -> String {
    format!("\"{}/{}\"", network.address, network.prefix)
}

fn pair(out: &mut String, key: &str, value: impl std::fmt::Display) {
    writeln!(out, "{key} = {value}").unwrap();
}

/// A key of TOML; long forms of strings cannot be one.
fn key(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A string of TOML in which `$` stands for itself.
fn text(text: &str) -> String {
    toml::Value::from(text.replace('$', "$$")).to_string()
}

fn optional_text(value: &Option<String>) -> String {
    text(value.as_deref().unwrap_or_default())
}

fn account(key: &str, value: &Option<String>) -> Option<String> {
    value
        .as_ref()
        .map(|value| format!("{key} = {}", text(value)))
}

fn number(number: usize) -> String {
    number.to_string()
}

fn duration(value: Duration) -> String {
    format!("\"{}\"", duration_text(value))
}

fn size(value: u64) -> String {
    format!("\"{}\"", size_text(value))
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Http => "\"http\"",
        Mode::Tcp => "\"tcp\"",
    }
}

fn or<T>(value: Option<T>, word: &str, print: impl Fn(T) -> String) -> String {
    value.map_or_else(|| text(word), print)
}

fn list<T>(items: &[T], print: impl Fn(&T) -> String) -> String {
    let items: Vec<_> = items.iter().map(print).collect();
    format!("[{}]", items.join(", "))
}

fn inline(keys: &[String]) -> String {
    format!("{{ {} }}", keys.join(", "))
}
