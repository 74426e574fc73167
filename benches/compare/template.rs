//! Configuration templates: `@NAME@` is replaced, and none may be left over.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::peer::Site;

/// A configuration under way from its template to a file.
pub(crate) struct Template(String);

impl Template {
    /// Fills in what every configuration may name.
    pub(crate) fn new(text: &str, site: &Site<'_>, dir: &Path) -> Self {
        let mut template = Self(text.to_owned());
        for (i, port) in site.ports.origin.iter().enumerate() {
            template = template.with(&format!("ORIGIN{}", i + 1), port);
        }
        // Started as root, nginx's worker becomes nobody, who may not enter our directory.
        let user = if rustix::process::geteuid().is_root() {
            "user root;"
        } else {
            ""
        };
        template
            .with("USER", user)
            .with("DIR", dir.display())
            .with("CERTIFICATE", site.certificate().display())
            .with("FILES", site.files)
            .with("MAXCONN", site.maxconn())
    }

    pub(crate) fn with(self, name: &str, value: impl Display) -> Self {
        Self(self.0.replace(&format!("@{name}@"), &value.to_string()))
    }

    pub(crate) fn write(self, path: PathBuf) -> Result<PathBuf> {
        // A comment may speak of "@NAMES@".
        let left = self
            .0
            .lines()
            .find(|l| !l.trim_start().starts_with('#') && l.contains('@'));
        if let Some(line) = left {
            return Err(format!("{}: not filled in: {line}", path.display()).into());
        }
        std::fs::write(&path, self.0)?;
        Ok(path)
    }
}
