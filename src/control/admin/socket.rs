//! Opening admin sockets, and leaving no file behind.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::{AdminAddress, AdminSocket};
use crate::net::system::{group_id, user_id};

/// Why an admin socket could not be opened: one sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Somebody answers there.
    #[error("admin socket {}: another process listens there; stop it or choose another path", .0.display())]
    Taken(PathBuf),
    /// A file that is no socket is in the way.
    #[error("admin socket {}: there is a file that is no socket; move it or choose another path", .0.display())]
    NoSocket(PathBuf),
    /// No such user or group.
    #[error("admin socket {path}: {why}", path = .0.display(), why = .1)]
    Owner(PathBuf, String),
    /// The system refused it.
    #[error("admin socket {0}: {1}")]
    System(String, io::Error),
}

/// What of a living process that listens where we are to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rivals {
    /// Its path stays its own.
    Respect,
    /// It has handed over: a new connection comes to us.
    Replace,
}

/// A listening admin socket.
#[derive(Debug)]
pub(super) enum Listener {
    Unix(
        tokio::net::UnixListener,
        #[expect(dead_code, reason = "held for its drop")] SocketFile,
    ),
    Tcp(tokio::net::TcpListener),
}

/// The file of a Unix socket; goes when this is dropped, if it is still ours: a
/// successor may have put its own in its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // Who took it away meanwhile did our work.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Clients that wait to be accepted.
const BACKLOG: i32 = 128;

/// A socket that listens and that no client finds yet. Dropped, nothing is left.
#[derive(Debug)]
pub(super) enum Bound {
    Unix {
        listener: OwnedFd,
        /// Where it is now.
        file: SocketFile,
        /// Where it belongs.
        path: PathBuf,
    },
    Tcp(tokio::net::TcpListener),
}

/// Opens a socket. Needs a runtime.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn open(socket: &AdminSocket, rivals: Rivals) -> Result<Listener, OpenError> {
    bind(socket, rivals)?.place()
}

/// All of [`open`] that may well fail. Needs a runtime.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn bind(socket: &AdminSocket, rivals: Rivals) -> Result<Bound, OpenError> {
    match &socket.address {
        AdminAddress::Tcp(address) => {
            let system = |error| OpenError::System(address.to_string(), error);
            let listener = tcp(*address).map_err(system)?;
            Ok(Bound::Tcp(
                tokio::net::TcpListener::from_std(listener).map_err(system)?,
            ))
        }
        AdminAddress::Unix(path) => unix(socket, path, rivals),
    }
}

impl Bound {
    /// Lets clients find it: they met the old socket until now and meet the new one
    /// from now on, with its final owner and mode, and never nothing.
    ///
    /// # Errors
    /// The directory does not take it.
    pub(super) fn place(self) -> Result<Listener, OpenError> {
        let (listener, mut file, path) = match self {
            Self::Tcp(listener) => return Ok(Listener::Tcp(listener)),
            Self::Unix {
                listener,
                file,
                path,
            } => (listener, file, path),
        };
        let system = |error| OpenError::System(path.display().to_string(), error);
        fs::rename(&file.path, &path).map_err(system)?;
        file.path.clone_from(&path);
        let listener = std::os::unix::net::UnixListener::from(listener);
        let listener = tokio::net::UnixListener::from_std(listener).map_err(system)?;
        Ok(Listener::Unix(listener, file))
    }
}

fn tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        None,
    )?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Bound under a temporary name, to be renamed.
fn unix(socket: &AdminSocket, path: &Path, rivals: Rivals) -> Result<Bound, OpenError> {
    let system = |error| OpenError::System(path.display().to_string(), error);
    look_before(path, rivals)?;
    let temporary = temporary_name(path);
    let listener = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
        .and_then(|listener| {
            // Of a process of our number that crashed.
            let _ = fs::remove_file(&temporary);
            listener.bind(&SockAddr::unix(&temporary)?)?;
            Ok(listener)
        })
        .map_err(system)?;
    let file = SocketFile {
        identity: identity(&temporary).map_err(system)?,
        path: temporary,
    };
    own(socket, &file.path, path)?;
    listener.listen(BACKLOG).map_err(system)?;
    Ok(Bound::Unix {
        listener: listener.into(),
        file,
        path: path.to_owned(),
    })
}

/// A socket that nobody answers on may be replaced, anything else not.
fn look_before(path: &Path, rivals: Rivals) -> Result<(), OpenError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(OpenError::NoSocket(path.to_owned()));
    }
    if rivals == Rivals::Replace {
        return Ok(());
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
        .and_then(|probe| probe.connect(&SockAddr::unix(path)?));
    match probe {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Ok(()),
        // A full backlog is somebody's, too.
        _ => Err(OpenError::Taken(path.to_owned())),
    }
}

fn own(socket: &AdminSocket, temporary: &Path, path: &Path) -> Result<(), OpenError> {
    let system = |error| OpenError::System(path.display().to_string(), error);
    let owner = |error| OpenError::Owner(path.to_owned(), error);
    let user = socket.user.as_deref().map(user_id).transpose();
    let group = socket.group.as_deref().map(group_id).transpose();
    let (user, group) = (user.map_err(owner)?, group.map_err(owner)?);
    if user.is_some() || group.is_some() {
        std::os::unix::fs::chown(temporary, user, group).map_err(system)?;
    }
    // Behind the owner: changing that may clear bits.
    let mode = fs::Permissions::from_mode(socket.mode);
    fs::set_permissions(temporary, mode).map_err(system)
}

/// Beside the path, so that it can be renamed, and no longer than need be: a
/// socket's path has at most 107 bytes.
fn temporary_name(path: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{}.{number}", std::process::id()))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn at(path: &Path) -> AdminSocket {
        AdminSocket {
            address: AdminAddress::Unix(path.to_owned()),
            mode: 0o640,
            ..AdminSocket::default()
        }
    }

    /// As [`open`], without a runtime.
    fn opened(socket: &AdminSocket, path: &Path) -> Result<(OwnedFd, SocketFile), OpenError> {
        match unix(socket, path, Rivals::Respect)? {
            Bound::Unix {
                listener, mut file, ..
            } => {
                fs::rename(&file.path, path).unwrap();
                file.path = path.to_owned();
                Ok((listener, file))
            }
            Bound::Tcp(_) => unreachable!("a Unix socket was asked for"),
        }
    }

    #[test]
    fn what_is_bound_and_not_wanted_in_the_end_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let bound = unix(&at(&path), &path, Rivals::Respect).unwrap();
        assert!(!path.exists());
        drop(bound);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn socket_has_its_mode_and_leaves_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let (listener, file) = opened(&at(&path), &path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert!(UnixStream::connect(&path).is_ok());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        drop((listener, file));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn nobody_is_pushed_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let kept = opened(&at(&path), &path).unwrap();
        let refused = opened(&at(&path), &path).unwrap_err();
        assert!(matches!(refused, OpenError::Taken(_)), "{refused}");
        drop(kept);
        fs::write(&path, "precious").unwrap();
        let refused = opened(&at(&path), &path).unwrap_err();
        assert!(matches!(refused, OpenError::NoSocket(_)), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn file_of_a_dead_process_is_replaced_and_that_of_a_successor_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let (listener, file) = opened(&at(&path), &path).unwrap();
        drop(listener);
        let (successor, successors) = opened(&at(&path), &path).unwrap();
        drop(file);
        assert!(UnixStream::connect(&path).is_ok());
        drop((successor, successors));
        assert!(!path.exists());
    }

    #[test]
    fn refusals_name_the_path_and_leave_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let socket = AdminSocket {
            user: Some("nobody-of-this-name".into()),
            ..at(&path)
        };
        let refused = opened(&socket, &path).unwrap_err().to_string();
        assert!(refused.contains("a.sock") && refused.contains("no user"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let nowhere = directory.path().join("none/a.sock");
        let refused = opened(&at(&nowhere), &nowhere).unwrap_err().to_string();
        assert!(refused.contains("none/a.sock"), "{refused}");
    }
}
