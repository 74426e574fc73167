//! One look at everything, taken on the control thread and rendered elsewhere.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::control::admin::Mask;
use crate::control::difference::{Difference, ago};
use crate::control::{Control, GenerationRow};
use crate::observe::{Facts, Section, Snapshot, State, Trails};

/// Plain data: crosses to a blocking thread.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) snapshot: Snapshot,
    differences: Vec<Difference>,
    history: Vec<GenerationRow>,
    /// Path, names and end (Unix seconds) of those in use.
    certificates: Vec<(String, String, i64)>,
    /// Never to be shown.
    secrets: Arc<[String]>,
}

/// Rows of a table: nobody reads more of them on a page, and the socket has all.
const ROWS_MAX: usize = 100;
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Changes shown.
const CHANGES_MAX: usize = 20;

impl Look {
    pub(super) fn take(control: &Control) -> Self {
        let history = control.history();
        let old = history.len().saturating_sub(CHANGES_MAX);
        Self {
            snapshot: control.snapshot(),
            differences: control.differences.borrow().clone(),
            history: history.into_iter().skip(old).collect(),
            certificates: certificates(control),
            secrets: control.expanded(),
        }
    }

    /// The parts of the page. Takes a microsecond or two per server.
    pub(super) fn state(&self) -> State {
        State::of(&self.snapshot, &self.facts())
    }

    fn facts(&self) -> Facts {
        let mask = Mask::new(&self.secrets);
        let mut facts = Facts {
            sections: vec![
                self.draining(),
                self.groups(),
                self.sources(),
                self.certificates(),
                self.overrides(),
                self.changes(),
            ],
            ..Facts::default()
        };
        for section in &mut facts.sections {
            section.rows.truncate(ROWS_MAX);
            for cell in section.rows.iter_mut().flatten() {
                *cell = mask.apply(std::mem::take(cell));
            }
        }
        for difference in &self.differences {
            let key = difference.object.to_string();
            if difference.what == "state" {
                facts.reasons.insert(key.clone(), difference.by.clone());
            }
            let written = match &difference.written {
                Some(written) => format!("{written} in the file"),
                None => "not in the file".to_owned(),
            };
            let (what, set) = (difference.what, &difference.set);
            let text = mask.apply(format!("{what}: {set}, {written}"));
            facts.overrides.entry(key).or_default().push(text);
        }
        facts
    }

    fn draining(&self) -> Section {
        let rows = self.snapshot.drains.iter().map(|row| {
            let cut = row
                .cut_in_ms
                .map_or_else(|| "cut".to_owned(), |ms| format!("{} s", ms.div_ceil(1000)));
            let name = format!("{}/{}", row.backend, row.server);
            vec![name, row.left.to_string(), cut]
        });
        Section {
            key: "draining",
            title: "Draining",
            columns: &["server that left", "sessions left", "cut in"],
            rows: rows.collect(),
        }
    }

    fn sources(&self) -> Section {
        let rows = self.snapshot.sources.iter().map(|row| {
            let age = row.age.map(|seconds| ago(seconds as u64) + " ago");
            vec![
                row.source.clone(),
                format!("{:?}", row.state).to_lowercase(),
                row.members.len().to_string(),
                age.unwrap_or_else(|| "never".to_owned()),
                row.error.clone().unwrap_or_default(),
            ]
        });
        Section {
            key: "sources",
            title: "Sources",
            columns: &["source", "state", "servers", "last good answer", "error"],
            rows: rows.collect(),
        }
    }

    fn groups(&self) -> Section {
        let backends = self
            .snapshot
            .proxies
            .iter()
            .filter_map(|p| p.backend.as_ref());
        let rows = backends.flat_map(|backend| &backend.groups).map(|row| {
            let group = if row.group.is_empty() {
                "-"
            } else {
                &row.group
            };
            let names: Vec<&str> = row.servers.iter().map(|name| &**name).collect();
            vec![
                format!("{}/{group}", row.backend),
                row.weight.to_string(),
                format!("{:.1} %", row.wanted),
                format!("{:.1} %", row.served),
                format!("{} of {}", row.usable, row.servers.len()),
                names.join(", "),
            ]
        });
        Section {
            key: "groups",
            title: "Groups",
            columns: &["group", "weight", "wanted", "served", "usable", "members"],
            rows: rows.collect(),
        }
    }

    fn certificates(&self) -> Section {
        let rows = self.certificates.iter().map(|(path, names, end)| {
            let end_ms = u64::try_from(*end).unwrap_or(0) * 1000;
            let left_ms = end_ms.saturating_sub(self.snapshot.process.now_unix_ms);
            let left = match left_ms {
                0 => "expired".to_owned(),
                left => format!("{} days", left / DAY_MS),
            };
            vec![names.clone(), left, time(end_ms), path.clone()]
        });
        Section {
            key: "certificates",
            title: "Certificates",
            columns: &["names", "left", "until", "file"],
            rows: rows.collect(),
        }
    }

    fn overrides(&self) -> Section {
        let rows = self.differences.iter().map(|difference| {
            vec![
                difference.object.to_string(),
                difference.what.to_owned(),
                difference.written.clone().unwrap_or_default(),
                difference.set.clone(),
                time(difference.at * 1000),
                difference.by.clone(),
            ]
        });
        Section {
            key: "overrides",
            title: "Set at run time, over the file",
            columns: &["object", "what", "in the file", "in force", "since", "by"],
            rows: rows.collect(),
        }
    }

    fn changes(&self) -> Section {
        let rows = self.history.iter().rev().map(|row| {
            let when = row.when.duration_since(UNIX_EPOCH).unwrap_or_default();
            vec![
                row.id.to_string(),
                time(when.as_millis() as u64),
                row.cause.clone(),
                row.summary.clone(),
            ]
        });
        Section {
            key: "changes",
            title: "Changes since the start",
            columns: &["generation", "time", "cause", "what changed"],
            rows: rows.collect(),
        }
    }
}

fn certificates(control: &Control) -> Vec<(String, String, i64)> {
    let generation = control.generation();
    let all = generation.tls.acceptors();
    let all = all.into_iter().flat_map(|acceptor| acceptor.certificates());
    let all = all.take(ROWS_MAX).map(|certificate| {
        let path = certificate.path.display().to_string();
        (path, certificate.names.join(", "), certificate.not_after)
    });
    all.collect()
}

/// A time the page writes in its reader's zone: `@` and milliseconds of Unix time.
fn time(unix_ms: u64) -> String {
    format!("@{unix_ms}")
}

impl Control {
    /// The last minutes of frontends and backends.
    pub(super) fn trails(&self) -> Trails {
        self.with_samples(|samples| Trails::take(samples, &self.generation()))
    }
}
