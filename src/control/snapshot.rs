//! What is kept over a restart: overrides and the last good answers of the
//! sources, in one file of `state_dir`. Everything here blocks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::overrides::Overrides;
use super::sources::{SourceId, Sources};
use super::weights::Weights;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Unix time, seconds.
    pub(crate) saved: u64,
    /// What was set at run time.
    pub(crate) overrides: Overrides,
    /// The last good answers.
    #[serde(default)]
    pub(crate) sources: Sources,
    /// The last good shares of groups.
    #[serde(default)]
    pub(crate) weights: Weights,
    /// When each of them was heard last, Unix seconds; not there = when this was saved.
    #[serde(default)]
    pub(crate) heard: BTreeMap<SourceId, u64>,
}

/// What was found at the start.
#[derive(Debug, PartialEq)]
pub(crate) enum Restored {
    /// Nothing was kept.
    Nothing,
    /// This.
    Snapshot(Box<Snapshot>),
    /// A file that cannot be used: one sentence. It is out of the way.
    SetAside(String),
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    snapshot: T,
}

#[derive(Deserialize)]
struct Nothing {}

/// Of the format; a newer one is not guessed at.
const VERSION: u32 = 1;
const NAME: &str = "state.json";

impl Snapshot {
    /// Writes it to `directory` so that there is always a whole one; where.
    ///
    /// # Errors
    /// The directory or file cannot be written.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let path = directory.join(NAME);
        let temporary = directory.join(format!(".{NAME}.{}", std::process::id()));
        let versioned = Versioned {
            version: VERSION,
            snapshot: self,
        };
        let mut text = serde_json::to_vec_pretty(&versioned)?;
        text.push(b'\n');
        // Labels of containers may hold secrets.
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        // Else the new name may not survive a power cut.
        File::open(directory)?.sync_all()?;
        Ok(path)
    }

    /// Reads what is kept in `directory`. A file that cannot be used is renamed to
    /// `state.json.corrupt-<now>`; never an error, since the start must go on.
    pub(crate) fn read(directory: &Path, now: u64) -> Restored {
        let path = directory.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Restored::Nothing,
            Err(error) => {
                let sentence = format!("cannot read {}: {error}; starting without", path.display());
                return Restored::SetAside(sentence);
            }
        };
        let why = match parse(&text) {
            Ok(snapshot) => return Restored::Snapshot(Box::new(snapshot)),
            Err(why) => why,
        };
        let aside = directory.join(format!("{NAME}.corrupt-{now}"));
        let outcome = match fs::rename(&path, &aside) {
            Ok(()) => format!("set aside as {}", aside.display()),
            Err(error) => format!("it cannot be set aside: {error}"),
        };
        Restored::SetAside(format!(
            "{}: {why}; starting without it, {outcome}",
            path.display()
        ))
    }
}

fn parse(text: &[u8]) -> Result<Snapshot, String> {
    let broken = |error: serde_json::Error| format!("not a state file: {error}");
    let head: Versioned<Nothing> = serde_json::from_slice(text).map_err(broken)?;
    if head.version != VERSION {
        return Err(format!(
            "of version {}, this rlb knows {VERSION}",
            head.version
        ));
    }
    let whole: Versioned<Snapshot> = serde_json::from_slice(text).map_err(broken)?;
    Ok(whole.snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::overrides::{Set, Stamp};
    use crate::control::sources::Found;
    use crate::generation::testing::server;
    use crate::state::Admin;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot {
            saved: 5,
            ..Snapshot::default()
        };
        let stamp = Stamp {
            at: 1,
            by: "set server web/s1 state maint".into(),
        };
        let overridden = snapshot.overrides.server_mut("web", "s1");
        overridden.admin = Some(Set::new(Admin::Maint, &stamp));
        let members = vec![Found::written(server(1, 3))];
        let id = SourceId::file(Path::new("/etc/rlb/nodes.toml"));
        snapshot.sources.set(id, members);
        snapshot
    }

    #[test]
    fn what_is_written_is_read_again() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("made/on/the/way");
        assert_eq!(Snapshot::read(&directory, 9), Restored::Nothing);
        let path = snapshot().write(&directory).unwrap();
        snapshot().write(&directory).unwrap();
        let restored = Snapshot::read(&directory, 9);
        assert_eq!(restored, Restored::Snapshot(Box::new(snapshot())));
        let names: Vec<_> = fs::read_dir(&directory).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "nothing stays behind: {names:?}");
        assert_eq!(names[0].path(), path);
    }

    #[test]
    fn useless_file_is_set_aside_and_named() {
        for (text, why) in [
            ("", "not a state file"),
            ("{\"version\":1,\"overr", "not a state file"),
            ("{\"version\":1}", "missing field"),
            ("[1]", "not a state file"),
            (
                "{\"version\":99,\"else\":1}",
                "of version 99, this rlb knows 1",
            ),
        ] {
            let temp = tempfile::tempdir().unwrap();
            fs::write(temp.path().join(NAME), text).unwrap();
            let Restored::SetAside(sentence) = Snapshot::read(temp.path(), 77) else {
                panic!("{text} was taken");
            };
            assert!(sentence.contains(why), "{sentence}");
            let aside = temp.path().join("state.json.corrupt-77");
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
            assert_eq!(Snapshot::read(temp.path(), 78), Restored::Nothing);
        }
    }
}
