//! What a service manager is told: sd_notify(3), in ten lines rather than a library.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The service manager that started the process, if one did.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Nobody: all that is told is void.
    pub fn none() -> Self {
        Self::default()
    }

    /// The one that NOTIFY_SOCKET names, with the patience of WATCHDOG_USEC.
    /// `is_successor` = the process was not started by the manager itself but is
    /// about to take the place of one that was: the watchdog will be its own.
    ///
    /// # Errors
    /// A sentence: NOTIFY_SOCKET makes no sense.
    pub fn from_env(is_successor: bool) -> Result<Self, String> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::none());
        };
        let fail = |error| format!("NOTIFY_SOCKET={}: {error}", name.display());
        let address = address(&name).map_err(fail)?;
        let socket = UnixDatagram::unbound().map_err(fail)?;
        // Control tells it things: a manager that does not listen must not stop it.
        socket.set_nonblocking(true).map_err(fail)?;
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let pid = number("WATCHDOG_PID");
        let is_meant = is_successor || pid.is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_meant && *usec > 0);
        Ok(Self {
            socket: Some((socket, address)),
            watchdog: watchdog.map(Duration::from_micros),
        })
    }

    /// Without a sign of life for this long, the manager ends the process.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Every bind is open and accepting. Names this process the main one.
    pub(crate) fn ready(&self) {
        let pid = std::process::id();
        self.tell(&format!("READY=1\nMAINPID={pid}\nSTATUS=serving"));
    }

    /// Files are read again; to be followed by [`reloaded`](Self::reloaded), however it goes.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// They were read.
    pub(crate) fn reloaded(&self) {
        self.tell("READY=1");
    }

    /// The process ends when its sessions have.
    pub(crate) fn stopping(&self, sessions: usize) {
        self.tell(&format!("STOPPING=1\nSTATUS=draining, {sessions} sessions"));
    }

    /// A sign of life.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// Another process is the main one from now on.
    pub(crate) fn succeeded_by(&self, pid: u32) {
        self.tell(&format!("MAINPID={pid}"));
    }

    fn tell(&self, message: &str) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, "the service manager is not told: {message:?}");
        }
    }
}

/// A path, or `@` and an abstract name.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_names_are_addresses() {
        let path = address(OsStr::new("/run/systemd/notify")).unwrap();
        assert_eq!(path.as_pathname().unwrap(), "/run/systemd/notify");
        let hidden = address(OsStr::new("@/org/notify")).unwrap();
        assert_eq!(hidden.as_abstract_name().unwrap(), b"/org/notify");
    }

    #[test]
    fn nobody_is_told_nothing() {
        ServiceManager::none().ready();
        assert_eq!(ServiceManager::none().watchdog(), None);
    }
}
