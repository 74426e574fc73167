//! A row of the snapshot as a line of cells, by HAProxy's column.
//!
//! Which cells are filled in which kind of row, and which only in HTTP mode, is
//! part of the format: a client tells "0" from "does not apply".

use std::borrow::Cow;

use super::columns::Column;
use super::rows::{BackendRow, CheckRow, FrontendRow, Proxy, ServerRow, Work};
use super::samples::Rate;
use super::value::Value;
use crate::config::{Mode, ServerAddress};
use crate::state::{Admin, CheckCode, Operational};

/// Kind of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Frontend,
    Backend,
    Server,
}

impl Kind {
    /// As in `type`.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Frontend => 0,
            Self::Backend => 1,
            Self::Server => 2,
        }
    }

    /// As in the typed form.
    pub(super) const fn letter(self) -> char {
        match self {
            Self::Frontend => 'F',
            Self::Backend => 'B',
            Self::Server => 'S',
        }
    }

    /// As in the JSON form.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Frontend => "Frontend",
            Self::Backend => "Backend",
            Self::Server => "Server",
        }
    }
}

/// A row.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) kind: Kind,
    pub(super) iid: u32,
    pub(super) sid: u32,
    cells: Box<[Value<'a>; Column::COUNT]>,
}

impl<'a> Line<'a> {
    fn new(kind: Kind, proxy: &'a Proxy, sid: u32, name: &'a str) -> Self {
        let mut line = Self {
            kind,
            iid: proxy.iid,
            sid,
            cells: Box::new([const { Value::Empty }; Column::COUNT]),
        };
        line.set(Column::Pxname, Value::text(&*proxy.name));
        line.set(Column::Svname, Value::text(name));
        line.u32(Column::Pid, 1);
        line.u32(Column::Iid, proxy.iid);
        line.u32(Column::Sid, sid);
        line.u32(Column::Type, kind.number());
        line.set(Column::Mode, Value::text(mode_word(proxy.mode)));
        line
    }

    /// The cells by position.
    pub(super) fn cells(&self) -> impl Iterator<Item = (Column, &Value<'a>)> {
        Column::ALL.iter().copied().zip(self.cells.iter())
    }

    /// One cell.
    pub(super) fn get(&self, column: Column) -> &Value<'a> {
        &self.cells[column as usize]
    }

    /// Takes out what only operators may see.
    pub(super) fn hide_legends(&mut self) {
        for column in [Column::Addr, Column::Cookie, Column::Algo] {
            self.set(column, Value::Empty);
        }
    }

    fn set(&mut self, column: Column, value: Value<'a>) {
        self.cells[column as usize] = value;
    }

    fn u32(&mut self, column: Column, number: impl TryInto<u32>) {
        self.set(column, Value::u32(number));
    }

    fn u64(&mut self, column: Column, number: u64) {
        self.set(column, Value::U64(number));
    }

    fn zeros(&mut self, columns: &[Column]) {
        for column in columns {
            self.u64(*column, 0);
        }
    }

    fn rates(&mut self, now: Column, max: Column, rate: Rate) {
        self.u32(now, rate.now);
        self.u32(max, rate.max);
    }

    fn responses(&mut self, responses: &[u64; 6]) {
        for (column, count) in RESPONSES.iter().zip(responses) {
            self.u64(*column, *count);
        }
    }
}

/// hrsp_1xx to hrsp_other.
pub(super) const RESPONSES: [Column; 6] = [
    Column::Hrsp1xx,
    Column::Hrsp2xx,
    Column::Hrsp3xx,
    Column::Hrsp4xx,
    Column::Hrsp5xx,
    Column::HrspOther,
];

/// The row FRONTEND.
pub(super) fn frontend<'a>(proxy: &'a Proxy, row: &'a FrontendRow) -> Line<'a> {
    use Column as C;
    let http = proxy.mode == Mode::Http;
    let totals = &row.totals;
    let mut line = Line::new(Kind::Frontend, proxy, 0, "FRONTEND");
    line.u32(C::Scur, row.current);
    line.u32(C::Smax, row.peak);
    line.u32(C::Slim, row.limit);
    line.u64(C::Stot, totals.sessions);
    line.u64(C::Bin, totals.bytes_in);
    line.u64(C::Bout, totals.bytes_out);
    line.u64(C::Dreq, totals.denied);
    line.u64(C::Ereq, totals.request_errors);
    line.set(C::Status, Value::text(row.status));
    line.rates(C::Rate, C::RateMax, row.sessions);
    line.u32(C::RateLim, 0_u32);
    line.rates(C::ReqRate, C::ReqRateMax, row.requests);
    line.u64(C::ReqTot, totals.requests);
    line.rates(C::ConnRate, C::ConnRateMax, row.connections);
    line.u64(C::ConnTot, totals.connections);
    line.u64(C::Dcon, totals.denied_connections);
    line.u64(C::Eint, totals.internal_errors);
    line.zeros(&[C::Dresp, C::Dses, C::Wrew]);
    line.zeros(&COMPRESSION);
    if http {
        line.responses(&totals.responses);
        line.u64(C::Intercepted, totals.intercepted);
        line.zeros(&[C::CacheLookups, C::CacheHits, C::CacheHintHits]);
    }
    line.zeros(&[C::H2sess, C::H3sess, C::ReqOther, C::H2req, C::H3req]);
    let (h1, other) = if http {
        (totals.sessions, 0)
    } else {
        (0, totals.sessions)
    };
    line.u64(C::H1sess, h1);
    line.u64(C::SessOther, other);
    line.u64(C::H1req, totals.requests);
    line.u64(C::Reqbin, totals.bytes_in);
    line.u64(C::Resbout, totals.bytes_out);
    line
}

/// The row BACKEND. `of` = show how many of its servers are up, as where some are hidden.
pub(super) fn backend<'a>(proxy: &'a Proxy, row: &'a BackendRow, of: bool) -> Line<'a> {
    use Column as C;
    let http = proxy.mode == Mode::Http;
    let mut line = Line::new(Kind::Backend, proxy, 0, "BACKEND");
    work(&mut line, &row.work, http);
    line.u32(C::Qcur, row.queue.now);
    line.u32(C::Qmax, row.queue.peak);
    // HAProxy's fullconn, a ramp for maxconn: there is none here.
    line.u32(C::Slim, 0_u32);
    line.set(C::Status, Value::Text(backend_status(row, of)));
    line.u32(C::Weight, row.usable.weight);
    line.u32(C::Uweight, row.usable.weight);
    line.u32(C::Act, row.usable.active);
    line.u32(C::Bck, row.usable.backup);
    line.u64(C::Chkdown, row.downs);
    line.u32(C::Lastchg, row.changed_s);
    if !row.servers.is_empty() {
        line.u32(C::Downtime, row.downtime_s);
    }
    line.set(C::Algo, Value::text(row.algorithm));
    if let Some(name) = &row.cookie {
        line.set(C::Cookie, Value::text(&**name));
    }
    line.zeros(&[C::Dreq]);
    line.zeros(&COMPRESSION);
    if http {
        line.zeros(&[C::CacheLookups, C::CacheHits, C::CacheHintHits]);
    }
    for column in [
        C::AggServerStatus,
        C::AggServerCheckStatus,
        C::AggCheckStatus,
    ] {
        line.u32(column, 0_u32);
    }
    line
}

fn backend_status(row: &BackendRow, of: bool) -> Cow<'static, str> {
    let word = if row.up { "UP" } else { "DOWN" };
    if !of {
        return Cow::Borrowed(word);
    }
    let up = row
        .servers
        .iter()
        .filter(|server| !is_stopped(server))
        .count();
    Cow::Owned(format!("{word} ({up}/{})", row.servers.len()))
}

/// HAProxy's "stopped": DOWN or in maintenance.
pub(super) fn is_stopped(server: &ServerRow) -> bool {
    server.admin == Admin::Maint || server.operational == Operational::Down
}

/// The row of a server.
pub(super) fn server<'a>(proxy: &'a Proxy, row: &'a ServerRow) -> Line<'a> {
    use Column as C;
    let http = proxy.mode == Mode::Http;
    let mut line = Line::new(Kind::Server, proxy, row.sid, &row.name);
    work(&mut line, &row.work, http);
    line.u32(C::Qcur, row.waiting.0);
    line.u32(C::Qmax, row.waiting.1);
    if row.maxconn > 0 {
        line.u32(C::Slim, row.maxconn);
    }
    line.set(C::Status, Value::text(&*row.status));
    line.u32(C::Weight, row.weight);
    line.u32(C::Uweight, row.own_weight);
    line.u32(C::Act, u32::from(!row.backup));
    line.u32(C::Bck, u32::from(row.backup));
    line.u32(C::Lastchg, row.changed_s);
    line.set(C::Addr, Value::Text(address(&row.address)));
    if let Some(value) = &row.cookie {
        line.set(C::Cookie, Value::text(&**value));
    }
    line.u32(C::SrvIcur, row.work.idle);
    line.u32(C::SrcIlim, row.pool_max);
    // A connection is pooled only after a whole exchange: HAProxy's "safe".
    line.u32(C::IdleConnCur, 0_u32);
    line.u32(C::SafeConnCur, row.work.idle);
    line.u32(C::UsedConnCur, row.work.current);
    line.u32(C::NeedConnEst, row.work.current);
    line.u32(C::PrivIdleCur, 0_u32);
    line.u32(C::Srid, 0_u32);
    if let Some(check) = &row.check {
        self::check(&mut line, check, row.admin == Admin::Maint);
    }
    line
}

fn check<'a>(line: &mut Line<'a>, row: &'a CheckRow, paused: bool) {
    use Column as C;
    line.u64(C::Chkfail, row.failures);
    line.u64(C::Chkdown, row.downs);
    line.u32(C::Downtime, row.downtime_s);
    if paused {
        return;
    }
    let last = row.last;
    let code = last.code.name();
    // HAProxy's mark of one that is under way.
    line.set(
        C::CheckStatus,
        match row.running {
            true => Value::text(format!("* {code}")),
            false => Value::text(code),
        },
    );
    // Codes are those of layer 7.
    if matches!(last.code, CheckCode::L7Ok | CheckCode::L7Sts) {
        line.u32(C::CheckCode, last.status);
    }
    if !matches!(last.code, CheckCode::Unknown | CheckCode::Ini) {
        line.u64(C::CheckDuration, u64::from(last.duration_ms));
    }
    line.set(C::LastChk, Value::text(&*row.info));
    line.set(C::CheckDesc, Value::text(last.code.description()));
    line.u32(C::CheckRise, row.rise);
    line.u32(C::CheckFall, row.fall);
    line.u32(C::CheckHealth, row.health);
}

/// What servers and backends share.
fn work(line: &mut Line<'_>, row: &Work, http: bool) {
    use Column as C;
    let totals = &row.totals;
    line.u32(C::Scur, row.current);
    line.u32(C::Smax, row.peak);
    // HAProxy counts each try as a session of the server, and none twice of the backend.
    let tries = match line.kind {
        Kind::Server => totals.retries + totals.redispatches,
        _ => 0,
    };
    line.u64(C::Stot, totals.sessions + tries);
    line.u64(C::Bin, totals.bytes_in);
    line.u64(C::Bout, totals.bytes_out);
    line.u64(C::Econ, totals.connect_errors);
    line.u64(C::Eresp, totals.response_errors);
    line.u64(C::Wretr, totals.retries);
    line.u64(C::Wredis, totals.redispatches);
    line.u64(C::Lbtot, totals.picked);
    line.rates(C::Rate, C::RateMax, row.sessions);
    line.u64(C::CliAbrt, totals.client_aborts);
    line.u64(C::SrvAbrt, totals.server_aborts);
    let last = row
        .last_used_s
        .map_or(-1, |s| i32::try_from(s).unwrap_or(i32::MAX));
    line.set(C::Lastsess, Value::S32(last));
    line.u64(C::Connect, totals.connects);
    line.u64(C::Reuse, totals.reuses);
    line.u64(C::Eint, totals.internal_errors);
    line.u64(C::Reqbin, totals.bytes_in);
    line.u64(C::Resbout, totals.bytes_out);
    line.zeros(&[C::Dresp, C::Wrew]);
    if http {
        line.responses(&totals.responses);
        line.u64(C::ReqTot, totals.requests);
    }
    for (column, average) in AVERAGES.iter().zip(row.average_ms) {
        line.u32(*column, average);
    }
    for (column, max) in MAXIMA.iter().zip(row.max_ms) {
        line.u32(*column, max);
    }
}

const AVERAGES: [Column; 4] = [Column::Qtime, Column::Ctime, Column::Rtime, Column::Ttime];
const MAXIMA: [Column; 4] = [
    Column::QtimeMax,
    Column::CtimeMax,
    Column::RtimeMax,
    Column::TtimeMax,
];
/// There is no compression.
const COMPRESSION: [Column; 4] = [
    Column::CompIn,
    Column::CompOut,
    Column::CompByp,
    Column::CompRsp,
];

/// `http` or `tcp`.
pub(super) const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    }
}

fn address(address: &ServerAddress) -> Cow<'static, str> {
    match address {
        ServerAddress::Ip(_) | ServerAddress::Name(..) => Cow::Owned(address.to_string()),
        ServerAddress::Unix(_) | ServerAddress::Abstract(_) => Cow::Borrowed("unix"),
    }
}
