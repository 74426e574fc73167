//! Our own tables: `show generations`, `show drain`, `show overrides`.
//!
//! Control fills the rows; here they become text and JSON.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::text::iso_time;

/// One generation that came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct GenerationRow {
    /// Rises with each.
    pub(crate) id: u64,
    /// When it was published, milliseconds of Unix time.
    pub(crate) unix_ms: u64,
    /// What made it: `start`, `reload`, `set weight web/s1 10`, ...
    pub(crate) cause: String,
    /// What changed.
    pub(crate) summary: String,
}

/// One server that drains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DrainRow {
    /// The backend it left.
    pub(crate) backend: Arc<str>,
    /// Its name.
    pub(crate) server: Arc<str>,
    /// Sessions and requests that still run.
    pub(crate) left: u64,
    /// What is left is cut in this time; `None` = it was cut already, or there is no deadline.
    pub(crate) cut_in_ms: Option<u64>,
}

/// One place where what runs differs from what is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct OverrideRow {
    /// Of which backend.
    pub(crate) backend: Arc<str>,
    /// Of which server.
    pub(crate) server: Arc<str>,
    /// `weight`, `state`, `addr`, ...
    pub(crate) what: String,
    /// In the file, or what its source says.
    pub(crate) written: String,
    /// In force.
    pub(crate) running: String,
    /// When it was set, milliseconds of Unix time.
    pub(crate) set_unix_ms: u64,
    /// The command that set it, or that clears it.
    pub(crate) words: String,
}

/// One group of a backend's servers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GroupRow {
    /// Of which backend.
    pub(crate) backend: Arc<str>,
    /// Its name; empty = the servers that name none.
    pub(crate) group: Arc<str>,
    /// Its weight, as it was written, read or missing.
    pub(crate) weight: u32,
    /// What that is of the work, percent.
    pub(crate) wanted: f64,
    /// What it gets now, percent: groups without a usable server left theirs to the others.
    pub(crate) served: f64,
    /// Its servers that are usable now.
    pub(crate) usable: usize,
    /// Names of its servers, without backups.
    pub(crate) servers: Vec<Arc<str>>,
}

/// A row of a table.
pub(crate) trait Tabular: Serialize {
    /// Names of the columns.
    const HEADER: &'static [&'static str];

    /// The cells; as many as names.
    fn cells(&self) -> Vec<String>;
}

impl Tabular for GenerationRow {
    const HEADER: &'static [&'static str] = &["id", "time", "cause", "changes"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            iso_time(self.unix_ms),
            self.cause.clone(),
            self.summary.clone(),
        ]
    }
}

impl Tabular for DrainRow {
    const HEADER: &'static [&'static str] = &["server", "left", "cut_in"];

    fn cells(&self) -> Vec<String> {
        let cut_in = self.cut_in_ms.map(|ms| format!("{}s", ms.div_ceil(1000)));
        vec![
            format!("{}/{}", self.backend, self.server),
            self.left.to_string(),
            cut_in.unwrap_or_default(),
        ]
    }
}

impl Tabular for OverrideRow {
    const HEADER: &'static [&'static str] =
        &["server", "what", "written", "running", "since", "by"];

    fn cells(&self) -> Vec<String> {
        vec![
            format!("{}/{}", self.backend, self.server),
            self.what.clone(),
            self.written.clone(),
            self.running.clone(),
            iso_time(self.set_unix_ms),
            self.words.clone(),
        ]
    }
}

impl Tabular for GroupRow {
    const HEADER: &'static [&'static str] = &["group", "weight", "wanted", "served", "usable"];

    fn cells(&self) -> Vec<String> {
        let group = if self.group.is_empty() {
            "-"
        } else {
            &self.group
        };
        vec![
            format!("{}/{group}", self.backend),
            self.weight.to_string(),
            percent(self.wanted),
            percent(self.served),
            format!("{}/{}", self.usable, self.servers.len()),
        ]
    }
}

/// Three digits, and never 0 of what is not.
fn percent(percent: f64) -> String {
    match percent {
        0.0 => "0%".to_owned(),
        small if small < 0.001 => "<0.001%".to_owned(),
        percent => {
            let text = format!("{percent:.3}");
            format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
        }
    }
}

/// A table as text or JSON.
#[derive(Debug)]
pub(crate) struct Table<'a, T>(pub(crate) &'a [T]);

impl<T: Tabular> Table<'_, T> {
    /// A header that starts with `# `, then a row a line; columns are aligned,
    /// at least two spaces apart, and `-` stands for nothing.
    pub(crate) fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self.0.iter().map(row).collect();
        let mut header: Vec<String> = T::HEADER.iter().map(|name| (*name).to_owned()).collect();
        if let Some(first) = header.first_mut() {
            first.insert_str(0, "# ");
        }
        let all = || std::iter::once(&header).chain(&rows);
        let width = |column| all().map(|row: &Vec<String>| chars(row, column)).max();
        let widths: Vec<usize> = (0..header.len()).filter_map(width).collect();
        let mut out = String::new();
        for row in all() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String cannot fail.
                let _ = write!(line, "{cell:width$}  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// One array of objects.
    pub(crate) fn json(&self) -> String {
        // Plain structs with text keys: there is nothing that could fail.
        serde_json::to_string(self.0).unwrap_or_default() + "\n"
    }
}

fn row<T: Tabular>(row: &T) -> Vec<String> {
    let cell = |cell: String| match cell {
        cell if cell.is_empty() => "-".to_owned(),
        cell => cell.replace(char::is_control, " "),
    };
    row.cells().into_iter().map(cell).collect()
}

fn chars(row: &[String], column: usize) -> usize {
    row.get(column).map_or(0, |cell| cell.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_aligned() {
        let rows = [
            GenerationRow {
                id: 9,
                unix_ms: 0,
                cause: "start".into(),
                summary: "1 frontend, 1 backend".into(),
            },
            GenerationRow {
                id: 10,
                unix_ms: 1000,
                cause: "set weight web/s1 10".into(),
                summary: String::new(),
            },
        ];
        assert_eq!(
            Table(&rows).text(),
            "# id  time                  cause                 changes\n\
             9     1970-01-01T00:00:00Z  start                 1 frontend, 1 backend\n\
             10    1970-01-01T00:00:01Z  set weight web/s1 10  -\n"
        );
    }

    #[test]
    fn drains_say_what_is_left_and_when_it_is_cut() {
        let row = |server: &str, cut_in_ms| DrainRow {
            backend: "web".into(),
            server: server.into(),
            left: 3,
            cut_in_ms,
        };
        let rows = [row("s1", Some(9001)), row("s2", None)];
        assert_eq!(
            Table(&rows).text(),
            "# server  left  cut_in\nweb/s1    3     10s\nweb/s2    3     -\n"
        );
        assert_eq!(
            Table(&rows[..1]).json(),
            "[{\"backend\":\"web\",\"server\":\"s1\",\"left\":3,\"cut_in_ms\":9001}]\n"
        );
    }

    #[test]
    fn overrides_show_both_values() {
        let rows = [OverrideRow {
            backend: "web".into(),
            server: "s1".into(),
            what: "weight".into(),
            written: "20".into(),
            running: "10".into(),
            set_unix_ms: 0,
            words: "set weight web/s1 10".into(),
        }];
        assert_eq!(
            Table(&rows).text().lines().nth(1).unwrap(),
            "web/s1    weight  20       10       1970-01-01T00:00:00Z  set weight web/s1 10"
        );
        assert_eq!(Table::<OverrideRow>(&[]).json(), "[]\n");
        assert_eq!(
            Table::<OverrideRow>(&[]).text(),
            "# server  what  written  running  since  by\n"
        );
    }
}
