//! Server files beside the other sources, for those who look: how the last look
//! at each went. What is in force is in [`Sources`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::sources::{SourceId, Sources};
use crate::discovery::{Condition, FailureKind, MemberRow, SourceRow, Standing};

/// The server files of the configuration in force.
#[derive(Debug, Default)]
pub(super) struct FileSources {
    known: BTreeMap<SourceId, FileSource>,
}

#[derive(Debug, Default)]
struct FileSource {
    /// The last look that found a good file.
    heard: Option<Instant>,
    /// What is wrong with it, and since when.
    failing: Option<(String, Instant)>,
    changes: u64,
    errors: u64,
}

impl FileSources {
    /// A good file with so many servers; `is_other` = its servers are not those that are known.
    pub(super) fn found(&mut self, id: &SourceId, servers: usize, is_other: bool, now: Instant) {
        let file = self.known.entry(id.clone()).or_default();
        file.heard = Some(now);
        if let Some((_, since)) = file.failing.take() {
            let lost_s = (now - since).as_secs();
            tracing::info!(
                event = "source_back",
                source = %id,
                lost_s,
                members = servers,
                "Source {id} is back ({servers} servers), it was lost for {lost_s} s.",
            );
        }
        file.changes += u64::from(is_other);
    }

    /// It is as it was at the last look: good or not.
    pub(super) fn unchanged(&mut self, id: &SourceId, now: Instant) {
        if let Some(file) = self.known.get_mut(id)
            && file.failing.is_none()
        {
            file.heard = Some(now);
        }
    }

    /// It cannot be read, or what stands in it cannot be meant.
    pub(super) fn failed(&mut self, id: &SourceId, why: &str, now: Instant) {
        let file = self.known.entry(id.clone()).or_default();
        let since = file.failing.take().map_or(now, |(_, since)| since);
        file.failing = Some((why.to_owned(), since));
        file.errors += 1;
    }

    /// Forgets the files that are none of these.
    pub(super) fn keep(&mut self, named: &[SourceId]) {
        self.known.retain(|id, _| named.contains(id));
    }

    /// For those who look; the members are those in force.
    pub(super) fn rows(&self, sources: &Sources, now: Instant) -> Vec<SourceRow> {
        let rows = self.known.iter();
        rows.map(|(id, file)| file.row(id, sources, now)).collect()
    }
}

impl FileSource {
    fn row(&self, id: &SourceId, sources: &Sources, now: Instant) -> SourceRow {
        let seconds = |at: Instant| (now - at).as_secs_f64();
        let errors = (self.errors > 0).then_some((FailureKind::Local.name(), self.errors));
        let servers = sources.found_by(id).iter().map(|found| MemberRow {
            id: (*found.key).to_owned(),
            name: found.settings().name.to_string(),
            address: found.settings().address.to_string(),
            standing: Standing::Good.word(),
            why: String::new(),
        });
        SourceRow {
            source: id.to_string(),
            state: match (&self.failing, self.heard) {
                (Some(_), _) => Condition::Lost,
                (None, Some(_)) => Condition::Up,
                (None, None) => Condition::Waiting,
            },
            age: self.heard.map(seconds),
            snapshot_in_use: self.heard.is_none() && sources.has(id),
            empty_held: false,
            error: self.failing.as_ref().map(|(why, _)| why.clone()),
            lost_for: self.failing.as_ref().map(|(_, since)| seconds(*since)),
            changes_total: self.changes,
            errors_total: errors.into_iter().collect(),
            members: servers.collect(),
            left_out: Arc::default(),
        }
    }
}
