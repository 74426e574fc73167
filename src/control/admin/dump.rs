//! Texts of the admin socket that the observe room does not have: JSON of what
//! is a table, the environment, processes, and control's rows as its tables.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};

use super::answer::Reply;
use super::mask::Mask;
use crate::control::difference::ago;
use crate::control::{DrainRow, GenerationRow, OverrideRow, Vitals};
use crate::discovery::{Condition, SourceRow};
use crate::observe::{self, Table, Tabular};

/// One line of JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    // Values of text keys: there is nothing that could fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// `# a b c` and lines of words as an array of objects.
pub(super) fn table_json(table: &str) -> String {
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let names: Vec<&str> = header.trim_start_matches('#').split_whitespace().collect();
    let rows = lines.filter(|line| !line.is_empty()).map(|line| {
        let cells = line.split_whitespace().map(Value::from);
        let names = names.iter().map(|name| (*name).to_owned());
        Value::Object(names.zip(cells).collect::<Map<_, _>>())
    });
    json(&rows.collect::<Vec<_>>())
}

/// `0x...: name=value name=value` as an array of objects.
pub(super) fn sessions_json(text: &str) -> String {
    let rows = text.lines().filter_map(|line| {
        let (id, fields) = line.split_once(':')?;
        let mut row = Map::new();
        row.insert("id".to_owned(), Value::from(id));
        for field in fields.split_whitespace() {
            if let Some((name, value)) = field.split_once('=') {
                row.insert(name.to_owned(), Value::from(value));
            }
        }
        Some(Value::Object(row))
    });
    json(&rows.collect::<Vec<_>>())
}

/// `show env`. A variable whose value holds one that went into the file is masked.
pub(super) fn env(
    variables: &[(String, String)],
    name: Option<&str>,
    as_json: bool,
    expanded: &[String],
) -> Result<String, Reply> {
    let mask = Mask::new(expanded);
    let is_hidden = |name: &str| {
        let mut named = variables.iter().filter(|(variable, _)| variable == name);
        named.any(|(_, value)| expanded.contains(value) || mask.hides(value))
    };
    let text = observe::env(variables.iter().cloned(), name, is_hidden).map_err(Reply::refused)?;
    if !as_json {
        return Ok(text);
    }
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let object: Map<_, _> = pairs
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    Ok(json(&object))
}

/// The environment of this process.
pub(super) fn variables() -> Vec<(String, String)> {
    let readable = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (readable(name), readable(value)))
        .collect()
}

/// `show proc`: one process that is master and worker in one.
pub(super) fn processes(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    let uptime = format!(
        "{}d{:02}h{:02}m{:02}s",
        seconds / 86_400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    );
    let line = |pid: &str, kind: &str, reloads: &str, uptime: &str, version: &str| {
        format!("{pid:<15} {kind:<15} {reloads:<15} {uptime:<15} {version:<15}\n")
    };
    let pid = std::process::id().to_string();
    let version = observe::version();
    let version = version.trim_end();
    line("#<PID>", "<type>", "<reloads>", "<uptime>", "<version>")
        + &line(&pid, "master", "0 [failed: 0]", &uptime, version)
        + "# workers\n"
        + &line(&pid, "worker", "0", &uptime, version)
}

/// `show health`.
pub(super) fn health(vitals: &Vitals) -> String {
    format!(
        "# binds binds_open draining workers workers_late sources_waiting\n{} {} {} {} {} {}\n",
        vitals.binds,
        vitals.binds_open,
        u8::from(vitals.draining),
        vitals.workers,
        vitals.workers_late,
        vitals.sources_waiting
    )
}

/// `show sources`: a line for each source, under it those for its members and for
/// what it left out.
pub(super) fn sources(rows: &[SourceRow], as_json: bool) -> String {
    if as_json {
        return json(&rows);
    }
    let mut text = String::new();
    for row in rows {
        text += &source_line(row);
        for member in row.members.iter() {
            let (name, address, standing) = (&member.name, &member.address, member.standing);
            text += &format!("  {name} {address} {standing}");
            if !member.why.is_empty() {
                text += &format!(": {}", member.why);
            }
            text.push('\n');
        }
        for left_out in row.left_out.iter() {
            text += &format!("  left out: {}: {}\n", left_out.who, left_out.why);
        }
    }
    text
}

fn source_line(row: &SourceRow) -> String {
    let state = match row.state {
        Condition::Waiting => "waiting",
        Condition::Up => "up",
        Condition::Lost => "LOST",
    };
    let mut line = format!("{}: {state}", row.source);
    if let Some(age) = row.age {
        line += &format!(", heard {} ago", ago(age as u64));
    }
    line += &format!(
        ", {} members, {} left out",
        row.members.len(),
        row.left_out.len()
    );
    if row.snapshot_in_use {
        line += ", the last good set of before the start";
    }
    if row.empty_held {
        line += ", empty and held";
    }
    if let Some(error) = &row.error {
        let since = row
            .lost_for
            .map_or_else(String::new, |s| format!(" for {}", ago(s as u64)));
        line += &format!("; lost{since}: {error}");
    }
    line.push('\n');
    line
}

/// `show overrides`.
pub(super) fn overrides(rows: &[OverrideRow], as_json: bool) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let (backend, server) = row.object.split_once('/').unwrap_or((&row.object, ""));
            observe::OverrideRow {
                backend: backend.into(),
                server: server.into(),
                what: row.what.to_owned(),
                written: row.written.clone().unwrap_or_default(),
                running: row.running.clone(),
                set_unix_ms: unix_ms(row.since),
                words: row.by.clone(),
            }
        })
        .collect();
    table(&rows, as_json)
}

/// `show generations`.
pub(super) fn generations(rows: &[GenerationRow], as_json: bool) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| observe::GenerationRow {
            id: row.id,
            unix_ms: unix_ms(row.when),
            cause: row.cause.clone(),
            summary: row.summary.clone(),
        })
        .collect();
    table(&rows, as_json)
}

/// `show drain`.
pub(super) fn drains(rows: &[DrainRow], as_json: bool) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| observe::DrainRow {
            backend: row.backend.as_str().into(),
            server: row.server.as_str().into(),
            left: row.left,
            cut_in_ms: row.cut_in.map(|left| left.as_millis() as u64),
        })
        .collect();
    table(&rows, as_json)
}

/// Our own tables.
pub(super) fn table<T: Tabular>(rows: &[T], as_json: bool) -> String {
    let table = Table(rows);
    if as_json { table.json() } else { table.text() }
}

/// Milliseconds of Unix time, now.
pub(super) fn now_unix_ms() -> u64 {
    unix_ms(SystemTime::now())
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_objects() {
        assert_eq!(
            table_json("# a b\n1 x\n2 y\n"),
            r#"[{"a":"1","b":"x"},{"a":"2","b":"y"}]"#
        );
        assert_eq!(
            sessions_json("0x1f: proto=tcpv4 fe=web exp=\n"),
            r#"[{"exp":"","fe":"web","id":"0x1f","proto":"tcpv4"}]"#
        );
    }

    #[test]
    fn values_that_went_into_the_file_are_hidden_wherever_they_stand() {
        let variables = [
            ("A", "planted-value"),
            ("B", "x planted-value y"),
            ("C", "80"),
            ("D", "8080"),
            ("MY_TOKEN", "t"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expanded = ["planted-value", "80"].map(str::to_owned);
        let text = env(&variables, None, false, &expanded).unwrap();
        assert_eq!(text, "A=***\nB=***\nC=***\nD=8080\nMY_TOKEN=***\n");
        let one = env(&variables, Some("A"), true, &expanded).unwrap();
        assert_eq!(one, r#"{"A":"***"}"#);
        assert!(env(&variables, Some("E"), false, &expanded).is_err());
    }

    #[test]
    fn one_process_is_shown_as_master_and_worker() {
        let text = processes(Duration::from_secs(2));
        assert!(text.starts_with(
            "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
        ));
        assert!(text.contains(" 0 [failed: 0]   0d00h00m02s "));
    }
}
