//! What is known of server files, for those who look at the sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Control;
use super::files::server_files;

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerFileRow {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// When what stands in it was taken last; `None` = never yet.
    pub(crate) taken: Option<SystemTime>,
    /// Servers in force from it.
    pub(crate) servers: usize,
    /// Why its present content is not taken.
    pub(crate) error: Option<String>,
}

/// All that were ever read.
#[derive(Debug, Default)]
pub(super) struct ServerFiles(BTreeMap<PathBuf, ServerFileRow>);

impl ServerFiles {
    /// Its servers are good.
    pub(super) fn taken(&mut self, path: &Path, servers: usize) {
        let row = self.row(path);
        row.taken = Some(SystemTime::now());
        row.servers = servers;
        if row.error.take().is_some() {
            tracing::info!(
                event = "source_back",
                source = %path.display(),
                members = servers,
                "Source {} is back ({servers} servers).",
                path.display(),
            );
        }
    }

    /// What stands in it is not to be used, and why; `kept` says what is meanwhile.
    pub(super) fn refused(&mut self, path: &Path, kept: &str, why: &str) {
        let row = self.row(path);
        let first = why.lines().next().unwrap_or_default();
        row.error = Some(first.to_owned());
        tracing::error!(
            event = "source_lost",
            source = %path.display(),
            reason = first,
            members = row.servers,
            "{} is refused, {kept}\n{why}",
            path.display(),
        );
    }

    fn row(&mut self, path: &Path) -> &mut ServerFileRow {
        let row = self.0.entry(path.to_owned()).or_default();
        path.clone_into(&mut row.path);
        row
    }
}

impl Control {
    /// The server files of the configuration in force.
    pub(crate) fn server_files(&self) -> Vec<ServerFileRow> {
        let paths = server_files(&self.inputs.borrow().config);
        let known = self.server_files.borrow();
        let row = |path: PathBuf| {
            known
                .0
                .get(&path)
                .cloned()
                .unwrap_or_else(|| ServerFileRow {
                    path,
                    ..ServerFileRow::default()
                })
        };
        paths.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_stays_while_the_file_is_refused() {
        let (mut files, path) = (ServerFiles::default(), Path::new("nodes.toml"));
        files.taken(path, 3);
        files.refused(
            path,
            "the last good set stays",
            "error: no\n --> nodes.toml:1",
        );
        let row = files.0[path].clone();
        assert_eq!((row.servers, row.error.as_deref()), (3, Some("error: no")));
        files.taken(path, 4);
        let row = files.0[path].clone();
        assert_eq!((row.servers, row.error), (4, None));
    }
}
