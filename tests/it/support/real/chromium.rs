//! A browser without a window.

use super::tool::Tool;
use super::{Part, find};
use crate::support::process::temp_dir;

/// Chromium; every page gets a new, empty profile.
#[derive(Debug)]
pub(crate) struct Chromium(Tool);

#[track_caller]
pub(crate) fn chromium() -> Option<Chromium> {
    find(Part::Chromium).map(|path| Chromium(Tool::at(path)))
}

impl Chromium {
    /// The document at `url` as it stands after its scripts ran, as HTML.
    #[track_caller]
    pub(crate) fn dump_dom(&self, url: &str) -> String {
        let profile = temp_dir();
        let profile_flag = format!("--user-data-dir={}", profile.path().display());
        let said =
            self.0.run(
                FLAGS
                    .iter()
                    .copied()
                    .chain([profile_flag.as_str(), "--dump-dom", url]),
            );
        assert!(said.status.success(), "{url}: {}", said.stderr);
        said.stdout
    }
}

/// As root in a container it runs only without its sandbox; the rest keeps it from
/// talking to anyone but the page's server.
pub(super) const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
