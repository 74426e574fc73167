//! The rows of the page as JSON: short keys, absolute times, so that a row that
//! does nothing is the same the next second and is not sent again.

use serde::Serialize;

use super::Facts;
use crate::config::Mode;
use crate::observe::lines::is_stopped;
use crate::observe::rows::{BackendRow, CheckRow, FrontendRow, Proxy, ServerRow, Work};
use crate::observe::samples::Rate;
use crate::state::{Admin, CheckCode, Operational};

/// A frontend.
#[derive(Serialize)]
pub(super) struct Front<'a> {
    name: &'a str,
    status: &'static str,
    /// Now, most, limit, total.
    sessions: [u64; 4],
    rate: [u64; 2],
    /// Sessions per second, for all modes.
    session_rate: [u64; 2],
    error_rate: u64,
    /// In, out.
    bytes: [u64; 2],
    requests: u64,
    responses: [u64; 6],
    /// Of requests; denied; internal.
    errors: [u64; 3],
}

impl<'a> Front<'a> {
    pub(super) fn of(proxy: &'a Proxy, row: &FrontendRow) -> Self {
        let totals = &row.totals;
        let work = match proxy.mode {
            Mode::Http => row.requests,
            Mode::Tcp => row.sessions,
        };
        Self {
            name: &proxy.name,
            status: row.status,
            sessions: [row.current, row.peak, row.limit, totals.sessions],
            rate: both(work),
            session_rate: both(row.sessions),
            error_rate: row.errors.now,
            bytes: [totals.bytes_in, totals.bytes_out],
            requests: totals.requests,
            responses: totals.responses,
            errors: [
                totals.request_errors,
                totals.denied + totals.denied_connections,
                totals.internal_errors,
            ],
        }
    }
}

/// What servers and backends share.
#[derive(Serialize)]
struct Busy {
    /// Now, most, total.
    sessions: [u64; 3],
    rate: [u64; 2],
    error_rate: u64,
    bytes: [u64; 2],
    requests: u64,
    responses: [u64; 6],
    /// Connects, responses, 5xx; client and server aborts; internal.
    errors: [u64; 6],
    /// Retries, redispatches.
    retries: [u64; 2],
    /// Queue, connect, response, total: average and most, milliseconds.
    average_ms: [u64; 4],
    max_ms: [u64; 4],
    /// Of the last minute: 50, 90 and 99 percent took no longer, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<[f64; 3]>,
    /// Idle pooled connections; new ones; reused ones.
    pool: [u64; 3],
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
}

impl Busy {
    fn of(work: &Work, started: u64) -> Self {
        let totals = &work.totals;
        Self {
            sessions: [work.current, work.peak, totals.sessions],
            rate: both(work.sessions),
            error_rate: work.errors.now,
            bytes: [totals.bytes_in, totals.bytes_out],
            requests: totals.requests,
            responses: totals.responses,
            errors: [
                totals.connect_errors,
                totals.response_errors,
                totals.responses[4],
                totals.client_aborts,
                totals.server_aborts,
                totals.internal_errors,
            ],
            retries: [totals.retries, totals.redispatches],
            average_ms: work.average_ms,
            max_ms: work.max_ms,
            // Tenths of a millisecond.
            latency: work
                .percentiles_us()
                .map(|all| all.map(|us| us.div_ceil(100) as f64 / 10.0)),
            pool: [work.idle, totals.connects, totals.reuses],
            used: work.used_ms.map(|used| started + used),
        }
    }
}

/// A backend.
#[derive(Serialize)]
pub(super) struct Back<'a> {
    name: &'a str,
    up: bool,
    since: u64,
    algorithm: &'static str,
    /// Usable servers: active, backup; all there are; stopped ones.
    servers: [u64; 4],
    weight: u64,
    downs: u64,
    /// Requests that wait: now, most, limit; none where no server has a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<[u64; 3]>,
    /// The cookie that keeps clients at its servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    cookie: Option<&'a str>,
    #[serde(flatten)]
    busy: Busy,
}

impl<'a> Back<'a> {
    pub(super) fn of(proxy: &'a Proxy, row: &'a BackendRow, started: u64) -> Self {
        let stopped = row.servers.iter().filter(|server| is_stopped(server));
        Self {
            name: &proxy.name,
            up: row.up,
            since: started + row.changed_ms,
            algorithm: row.algorithm,
            servers: [
                row.usable.active.into(),
                row.usable.backup.into(),
                row.servers.len() as u64,
                stopped.count() as u64,
            ],
            weight: row.usable.weight,
            downs: row.downs,
            queue: (row.queue.limit).map(|limit| [row.queue.now, row.queue.peak, limit]),
            cookie: row.cookie.as_deref(),
            busy: Busy::of(&row.work, started),
        }
    }
}

/// A server.
#[derive(Serialize)]
pub(super) struct Server<'a> {
    name: &'a str,
    address: String,
    /// HAProxy's words.
    status: &'a str,
    /// Its colour, as a word of the page's style.
    class: &'static str,
    backup: bool,
    since: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: String,
    /// In force, as written.
    weight: [u16; 2],
    /// Most sessions at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Check<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    overrides: &'a [String],
    /// What its backend's cookie names it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    cookie: Option<&'a str>,
    #[serde(flatten)]
    busy: Busy,
}

/// The check of a server.
#[derive(Serialize)]
struct Check<'a> {
    code: &'static str,
    about: &'static str,
    /// Of HTTP; 0 = none.
    status: u16,
    ms: u32,
    info: &'a str,
    /// Of rise + fall - 1.
    health: [u32; 3],
    failures: u64,
    downs: u64,
    paused: bool,
}

impl<'a> Server<'a> {
    pub(super) fn of(proxy: &Proxy, row: &'a ServerRow, started: u64, facts: &'a Facts) -> Self {
        let key = format!("{}/{}", proxy.name, row.name);
        let overrides = facts.overrides.get(&key);
        Self {
            name: &row.name,
            address: row.address.to_string(),
            status: &row.status,
            class: class(row),
            backup: row.backup,
            since: started + row.changed_ms,
            reason: reason(row, facts.reasons.get(&key)),
            weight: [row.weight, row.initial_weight],
            limit: (row.maxconn > 0).then_some(row.maxconn),
            check: row.check.as_ref().map(|check| Check {
                code: check.last.code.name(),
                about: check.last.code.description(),
                status: check.last.status,
                ms: check.last.duration_ms,
                info: &check.info,
                health: [check.health, check.rise, check.fall],
                failures: check.failures,
                downs: check.downs,
                paused: row.admin == Admin::Maint,
            }),
            overrides: overrides.map_or(&[], Vec::as_slice),
            cookie: row.cookie.as_deref(),
            busy: Busy::of(&row.work, started),
        }
    }
}

/// HAProxy's classes of rows.
fn class(row: &ServerRow) -> &'static str {
    let health = row.check.as_ref().map(|check| check.health);
    let full = |check: &CheckRow| check.rise + check.fall - 1;
    match (row.admin, row.operational) {
        (Admin::Maint, _) => "maint",
        (_, Operational::Down) if health.is_some_and(|health| health > 0) => "going-up",
        (_, Operational::Down) => "down",
        (_, Operational::Stopping) => "nolb",
        (Admin::Drain, _) => "drain",
        _ => match &row.check {
            None => "no-check",
            Some(check) if check.last.code == CheckCode::Ini => "up",
            Some(check) if check.health < full(check) => "going-down",
            Some(_) => "up",
        },
    }
}

/// Why it is not simply UP; empty if it is.
fn reason(row: &ServerRow, set: Option<&String>) -> String {
    if row.admin != Admin::Ready {
        let word = match row.admin {
            Admin::Maint => "in maintenance",
            _ => "drains",
        };
        return match set {
            Some(set) => format!("{word}: {set}"),
            None => format!("{word}, as the file says"),
        };
    }
    if row.weight == 0 {
        return match row.initial_weight {
            0 => "weight 0, as the file says".to_owned(),
            _ => "weight 0, set at run time".to_owned(),
        };
    }
    let failing = row.operational != Operational::Up || matches!(class(row), "going-down");
    match &row.check {
        Some(check) if failing => {
            let about = check.last.code.description();
            match check.info.as_str() {
                "" => about.to_owned(),
                info => format!("{about}: {info}"),
            }
        }
        None if failing => "set by an operator".to_owned(),
        _ => String::new(),
    }
}

fn both(rate: Rate) -> [u64; 2] {
    [rate.now, rate.max]
}
