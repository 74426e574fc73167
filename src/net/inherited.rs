//! Sockets that a service manager opened for us: sd_listen_fds(3).

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::SockRef;

use crate::config::{BindAddress, Config};

/// By the number they came with. A descriptor belongs to the process, not to one
/// of its engines; kept open, because a bind may leave and come back.
static INHERITED: OnceLock<BTreeMap<i32, OwnedFd>> = OnceLock::new();
/// SD_LISTEN_FDS_START
const FIRST: i32 = 3;

/// Takes the descriptors that LISTEN_FDS and LISTEN_PID announce: those that a
/// `fd@N` of `config` names are kept for it, the others are closed; a sentence
/// for each of them. To be called once, before any thread starts.
///
/// # Errors
/// A sentence: one that was announced cannot be taken.
pub fn take_inherited(config: &Config) -> Result<Vec<String>, String> {
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    let count = match number("LISTEN_PID") {
        Some(pid) if pid == std::process::id() => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    };
    let count = i32::try_from(count).unwrap_or(0);
    let mut kept = BTreeMap::new();
    let mut warnings = Vec::new();
    // Listed before any is taken: duplicates must not be mistaken for them.
    let announced: Vec<i32> = (FIRST..FIRST.saturating_add(count))
        .filter(|number| is_open(*number))
        .collect();
    for number in announced {
        if is_wanted(config, number) {
            let fail = |error| format!("descriptor {number} of LISTEN_FDS: {error}");
            // The duplicate is not passed on to what we execute.
            kept.insert(number, duplicate(number).map_err(fail)?);
        } else {
            warnings.push(format!(
                "LISTEN_FDS passes descriptor {number}, and no bind is \"fd@{number}\": it is closed"
            ));
        }
        // Closed already: somebody else did our work.
        let _ = nix::unistd::close(number);
    }
    let _ = INHERITED.set(kept);
    Ok(warnings)
}

/// A duplicate of an inherited, listening socket, so that our closing it is ours alone.
///
/// # Errors
/// It was not inherited, or is no listening socket.
pub(super) fn listener(number: i32) -> io::Result<OwnedFd> {
    let fd = match INHERITED.get().and_then(|all| all.get(&number)) {
        Some(fd) => fd.try_clone()?,
        // By a shell or a container, without announcement.
        None => duplicate(number)?,
    };
    match SockRef::from(&fd).is_listener() {
        Ok(true) => Ok(fd),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("descriptor {number} is no listening socket"),
        )),
    }
}

fn duplicate(number: i32) -> io::Result<OwnedFd> {
    if !is_open(number) {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("descriptor {number} was not inherited"),
        ));
    }
    // Reopening a socket through /proc is refused (ENXIO), so it is fetched from ourselves.
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(&own, number, PidfdGetfdFlags::empty())?)
}

fn is_open(number: i32) -> bool {
    // Not `exists`, which follows the link: a socket's leads nowhere.
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()
}

fn is_wanted(config: &Config, number: i32) -> bool {
    let mut binds = config.frontends.iter().flat_map(|frontend| &frontend.binds);
    binds.any(|bind| bind.address == BindAddress::Fd(number))
}
