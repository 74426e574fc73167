//! Tells when one of some files may have changed: by its directory, so that a
//! file renamed over it and a swapped symbolic link are seen too.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The watches of some files.
#[derive(Debug)]
pub(super) struct Watcher {
    fd: AsyncFd<OwnedFd>,
    names: HashMap<i32, HashSet<Name>>,
}

/// An entry of a directory, on which a file depends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Hop {
    directory: PathBuf,
    name: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    /// This one.
    Is(OsString),
    /// `*.toml`.
    Toml,
}

impl Watcher {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// No descriptor, or no inotify instance is left to this user.
    #[expect(
        deprecated,
        reason = "its successor is unsafe for the sake of types that may change \
                  their descriptor; an OwnedFd cannot"
    )]
    pub(super) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self {
            fd: AsyncFd::with_interest(fd, Interest::READABLE)?,
            names: HashMap::new(),
        })
    }

    /// Watches these and nothing else. A directory that was replaced is watched
    /// anew: call this after each change.
    pub(super) fn arm(&mut self, hops: &[Hop]) {
        let mut names: HashMap<i32, HashSet<Name>> = HashMap::new();
        for hop in hops {
            // A directory that is not there yet is looked for again.
            if let Ok(watch) = inotify::add_watch(self.fd.get_ref(), &hop.directory, EVENTS) {
                names.entry(watch).or_default().insert(hop.name.clone());
            }
        }
        for gone in self.names.keys().filter(|watch| !names.contains_key(watch)) {
            // Fails when the directory itself is gone, and its watch with it.
            let _ = inotify::remove_watch(self.fd.get_ref(), *gone);
        }
        self.names = names;
    }

    /// Waits until something happened to one of the files.
    pub(super) async fn changed(&self) {
        loop {
            let Ok(mut ready) = self.fd.readable().await else {
                // The runtime ends.
                return std::future::pending().await;
            };
            let seen = self.drain();
            ready.clear_ready();
            if seen {
                return;
            }
        }
    }

    /// Takes all that is queued; true = something of it was ours.
    fn drain(&self) -> bool {
        let mut seen = false;
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
        let mut events = Reader::new(self.fd.get_ref(), &mut buffer);
        while let Ok(event) = events.next() {
            let names = self.names.get(&event.wd());
            seen |= match (event.file_name(), names) {
                (Some(name), Some(names)) => {
                    let name = OsStr::from_bytes(name.to_bytes());
                    names.iter().any(|wanted| wanted.matches(name))
                }
                // The directory itself, or the queue ran over: better look.
                (None, _) => true,
                (Some(_), None) => false,
            };
        }
        seen
    }
}

impl Name {
    fn matches(&self, name: &OsStr) -> bool {
        match self {
            Self::Is(wanted) => wanted == name,
            Self::Toml => Path::new(name).extension().is_some_and(|e| e == "toml"),
        }
    }
}

/// The entries on which `path` depends: itself, and every symbolic link on the
/// way to it. Blocks.
pub(super) fn hops(path: &Path) -> Vec<Hop> {
    let mut hops = Vec::new();
    let Ok(path) = std::path::absolute(path) else {
        return hops;
    };
    let mut at = PathBuf::from("/");
    let mut left: VecDeque<OsString> = pieces(&path);
    for _ in 0..STEPS_MAX {
        let Some(piece) = left.pop_front() else {
            // A directory of files.
            hops.push(Hop {
                directory: at,
                name: Name::Toml,
            });
            break;
        };
        match &*piece {
            piece if piece == "/" => at = PathBuf::from("/"),
            piece if piece == ".." => {
                at.pop();
            }
            _ => {
                let next = at.join(&piece);
                let kind = std::fs::symlink_metadata(&next).map(|meta| meta.file_type());
                if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
                    at = next;
                    continue;
                }
                hops.push(Hop {
                    directory: at.clone(),
                    name: Name::Is(piece),
                });
                let target = std::fs::read_link(&next);
                let Ok(target) = target else { break };
                for piece in pieces(&target).into_iter().rev() {
                    left.push_front(piece);
                }
            }
        }
    }
    hops
}

fn pieces(path: &Path) -> VecDeque<OsString> {
    let wanted = |piece: &Component<'_>| *piece != Component::CurDir;
    let pieces = path.components().filter(wanted);
    pieces.map(|piece| piece.as_os_str().to_owned()).collect()
}

/// All that can make a file another one. Reads and changed times are not of interest.
const EVENTS: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Pieces of a path, links followed: ends a circle of links.
const STEPS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_is_watched() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().canonicalize().unwrap();
        std::fs::create_dir(dir.join("..v1")).unwrap();
        std::fs::write(dir.join("..v1/lb.toml"), "").unwrap();
        symlink("..v1", dir.join("..data")).unwrap();
        symlink("..data/lb.toml", dir.join("lb.toml")).unwrap();
        let hop = |directory: &Path, name: &str| Hop {
            directory: directory.to_owned(),
            name: Name::Is(name.into()),
        };
        let expected = [
            hop(&dir, "lb.toml"),
            hop(&dir, "..data"),
            hop(&dir.join("..v1"), "lb.toml"),
        ];
        assert_eq!(hops(&dir.join("lb.toml")), expected);
        assert_eq!(hops(&dir.join("not/yet.toml")), [hop(&dir, "not")]);
        let of_directory = Hop {
            directory: dir.clone(),
            name: Name::Toml,
        };
        assert_eq!(hops(&dir), [of_directory]);
    }

    #[test]
    fn circle_of_links_ends() {
        let temp = tempfile::tempdir().unwrap();
        symlink("b", temp.path().join("a")).unwrap();
        symlink("a", temp.path().join("b")).unwrap();
        assert!(hops(&temp.path().join("a")).len() <= STEPS_MAX);
    }
}
