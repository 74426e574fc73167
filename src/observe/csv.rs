//! `show stat`: CSV, and the same cells typed and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::Snapshot;
use super::columns::Column;
use super::lines::{self, Kind, Line};
use super::rows::{Proxy, ServerRow};
use super::value::{Field, TagWords, Typed, VOLATILE, Value};
use crate::state::{Admin, Operational};

/// How cells are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    /// CSV; `Name: value` in `show info`.
    #[default]
    Plain,
    /// `F.2.0.4.scur.1:MGPV:u32:0`.
    Typed,
    /// JSON.
    Json,
}

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Which {
    /// All.
    #[default]
    All,
    /// Those of the proxy of this number.
    Iid(u32),
    /// Those of the proxies of this name.
    Name(String),
}

/// `<iid|name> <type> <sid>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Of which proxy.
    pub(crate) proxy: Which,
    /// Bits: 1 frontends, 2 backends, 4 servers. -1 = all.
    pub(crate) types: i64,
    /// Only the server of this number; -1 = all.
    pub(crate) sid: i64,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            proxy: Which::All,
            types: -1,
            sid: -1,
        }
    }
}

/// What `show stat` and the page are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StatRequest {
    /// How.
    pub(crate) form: Form,
    /// Typed and plain: say what each column means.
    pub(crate) described: bool,
    /// Which.
    pub(crate) filter: Filter,
    /// Hide servers that are DOWN for good, or in maintenance (`up`).
    pub(crate) hide_down: bool,
    /// Hide servers in maintenance (`no-maint`).
    pub(crate) hide_maint: bool,
    /// Show addresses and algorithms: for operators, or where the page may.
    pub(crate) legends: bool,
    /// Only proxies whose name contains this, in any case (the page's `scope`).
    pub(crate) scope: String,
}

impl StatRequest {
    /// Reads what stands behind `show stat`. Words it does not know are ignored,
    /// as HAProxy does.
    ///
    /// # Errors
    /// The answer to give instead: an unknown domain, a type or sid that is no number.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, &'static str> {
        let mut request = Self::default();
        let words = match words {
            ["domain", "proxy", rest @ ..] => rest,
            ["domain", ..] => return Err("Invalid statistics domain."),
            _ => words,
        };
        let options = match words {
            [proxy, types, sid, rest @ ..] if !request.option(proxy) => {
                let number = |word: &str| word.parse().map_err(|_| "Integer value expected.");
                request.filter = Filter {
                    proxy: Which::parse(proxy),
                    types: number(types)?,
                    sid: number(sid)?,
                };
                rest
            }
            _ => words,
        };
        for word in options {
            request.option(word);
        }
        Ok(request)
    }

    fn option(&mut self, word: &str) -> bool {
        match word {
            "typed" => self.form = Form::Typed,
            "json" => self.form = Form::Json,
            "desc" => self.described = true,
            "up" => self.hide_down = true,
            "no-maint" => self.hide_maint = true,
            _ => return false,
        }
        true
    }

    fn wants(&self, proxy: &Proxy) -> bool {
        let named = match &self.filter.proxy {
            Which::All => true,
            Which::Iid(iid) => proxy.iid == *iid,
            Which::Name(name) => *proxy.name == **name,
        };
        named && contains(&proxy.name, &self.scope)
    }

    fn wants_kind(&self, kind: Kind) -> bool {
        // A server has bit 4, whose place is its number.
        self.filter.types & (1 << kind.number()) != 0
    }

    fn wants_server(&self, server: &ServerRow) -> bool {
        let maint = server.admin == Admin::Maint;
        let still = server.check.as_ref().is_none_or(|check| check.health == 0);
        let down = maint || server.operational == Operational::Down && still;
        let numbered = self.filter.sid == -1 || self.filter.sid == i64::from(server.sid);
        numbered && !(self.hide_maint && maint) && !(self.hide_down && down)
    }
}

impl Which {
    fn parse(word: &str) -> Self {
        match word.strip_prefix('#').unwrap_or(word).parse::<i64>() {
            Ok(-1) => Self::All,
            Ok(iid) => u32::try_from(iid).map_or_else(|_| Self::Name(word.to_owned()), Self::Iid),
            Err(_) => Self::Name(word.to_owned()),
        }
    }
}

/// The text `request` asks for.
///
/// # Errors
/// `No such proxy.`
pub(crate) fn stat(snapshot: &Snapshot, request: &StatRequest) -> Result<String, &'static str> {
    if let Which::Name(name) = &request.filter.proxy
        && !snapshot.proxies.iter().any(|proxy| *proxy.name == **name)
    {
        return Err("No such proxy.");
    }
    let mut out = String::with_capacity(256 * snapshot.proxies.len() + 4096);
    match request.form {
        Form::Plain => {
            header(&mut out);
            each_line(snapshot, request, |line| csv_line(&mut out, &line));
        }
        Form::Typed => each_line(snapshot, request, |line| {
            typed_lines(&mut out, &line, request.described);
        }),
        Form::Json => json(&mut out, snapshot, request),
    }
    Ok(out)
}

/// Calls `write` for each row that is asked for, in HAProxy's order.
pub(super) fn each_line<'a>(
    snapshot: &'a Snapshot,
    request: &StatRequest,
    mut write: impl FnMut(Line<'a>),
) {
    let hides = request.hide_down || request.hide_maint;
    let mut write = |mut line: Line<'a>| {
        if !request.legends {
            line.hide_legends();
        }
        write(line);
    };
    for proxy in snapshot.proxies.iter().filter(|proxy| request.wants(proxy)) {
        if let Some(row) = &proxy.frontend
            && request.wants_kind(Kind::Frontend)
        {
            write(lines::frontend(proxy, row));
        }
        let Some(backend) = &proxy.backend else {
            continue;
        };
        if request.wants_kind(Kind::Server) {
            let servers = backend.servers.iter();
            for server in servers.filter(|server| request.wants_server(server)) {
                write(lines::server(proxy, server));
            }
        }
        if request.wants_kind(Kind::Backend) {
            write(lines::backend(proxy, backend, hides));
        }
    }
}

fn header(out: &mut String) {
    out.push_str("# ");
    for column in Column::ALL {
        out.push_str(column.spec().name);
        out.push(',');
    }
    // Here HAProxy's modules begin; there are none.
    out.push_str("-,\n");
}

fn csv_line(out: &mut String, line: &Line<'_>) {
    for (_, value) in line.cells() {
        match value {
            Value::Text(text) => quoted(out, text),
            // Writing to a String cannot fail.
            value => drop(write!(out, "{value}")),
        }
        out.push(',');
    }
    out.push_str("-,\n");
}

/// Quoted only where it must be: many clients split at every comma.
fn quoted(out: &mut String, text: &str) {
    // A line is a row, whatever a name holds.
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if !text.contains([',', '"']) {
        out.extend(text.chars().map(clean));
        return;
    }
    out.push('"');
    for c in text.chars() {
        if c == '"' {
            out.push('"');
        }
        out.push(clean(c));
    }
    out.push('"');
}

fn typed_lines(out: &mut String, line: &Line<'_>, described: bool) {
    for (column, value) in line.cells().filter(|(_, value)| !value.is_empty()) {
        let spec = column.spec();
        let _ = write!(
            out,
            "{}.{}.{}.{}.{}.1:{}{VOLATILE}:{}:{value}",
            line.kind.letter(),
            line.iid,
            line.sid,
            column as usize,
            spec.name,
            column.tags(line.kind).0,
            value.kind(),
        );
        if described {
            let _ = write!(out, ":\"{}\"", spec.about);
        }
        out.push('\n');
    }
}

/// One cell of the JSON form.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cell<'a> {
    obj_type: &'static str,
    proxy_id: u32,
    id: u32,
    field: Field,
    process_num: u32,
    tags: TagWords,
    value: Typed<'a>,
}

fn json(out: &mut String, snapshot: &Snapshot, request: &StatRequest) {
    out.push('[');
    let mut first = true;
    each_line(snapshot, request, |line| {
        if !first {
            out.push(',');
        }
        first = false;
        let cells: Vec<Cell<'_>> = line
            .cells()
            .filter_map(|cell| json_cell(&line, cell))
            .collect();
        // Plain structs with text keys: there is nothing that could fail.
        out.push_str(&serde_json::to_string(&cells).unwrap_or_default());
    });
    out.push_str("]\n");
}

fn json_cell<'a>(line: &Line<'_>, (column, value): (Column, &'a Value<'_>)) -> Option<Cell<'a>> {
    Some(Cell {
        obj_type: line.kind.word(),
        proxy_id: line.iid,
        id: line.sid,
        field: Field {
            pos: column as usize,
            name: column.spec().name,
        },
        process_num: 1,
        tags: column.tags(line.kind).words(),
        value: Typed::of(value)?,
    })
}

fn contains(name: &str, part: &str) -> bool {
    part.is_empty()
        || name
            .to_ascii_lowercase()
            .contains(&part.to_ascii_lowercase())
}
