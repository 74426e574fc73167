//! Opening and closing listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::{libc, setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockAddr, SockFilter, SockRef, Socket, TcpKeepalive, Type};

use crate::config::{Bind, BindAddress};

/// Why a bind could not be opened: one sentence with the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// EADDRINUSE of another process.
    #[error(
        "cannot bind {0}: the address is in use by another process (`ss -tlnp` names it); stop it or choose another port"
    )]
    InUse(String),
    /// EACCES or EPERM.
    #[error(
        "cannot bind {0}: permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE (`setcap cap_net_bind_service=+ep` on the binary)"
    )]
    Permission(String),
    /// EADDRNOTAVAIL.
    #[error(
        "cannot bind {0}: no interface of this host has that address (`ip addr` lists them); use `*:PORT` for all"
    )]
    NotHere(String),
    /// EMFILE, ENFILE.
    #[error(
        "cannot bind {0}: too few file descriptors; raise the limit (`ulimit -n`, LimitNOFILE=)"
    )]
    Descriptors(String),
    /// ENODEV.
    #[error("cannot bind {0}: there is no interface \"{1}\" (`ip link` lists them)")]
    Interface(String, String),
    /// No such user or group.
    #[error("cannot bind {0}: {1}")]
    Owner(String, String),
    /// Anything else.
    #[error("cannot bind {0}: {1}")]
    Other(String, #[source] io::Error),
}

impl ListenError {
    fn of(bind: &Bind, error: io::Error) -> Self {
        let name = bind.address.to_string();
        match error
            .raw_os_error()
            .map(rustix::io::Errno::from_raw_os_error)
        {
            Some(rustix::io::Errno::ADDRINUSE) => Self::InUse(name),
            Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => Self::Permission(name),
            Some(rustix::io::Errno::ADDRNOTAVAIL) => Self::NotHere(name),
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => Self::Descriptors(name),
            Some(rustix::io::Errno::NODEV) => {
                Self::Interface(name, bind.interface.clone().unwrap_or_default())
            }
            _ => Self::Other(name, error),
        }
    }
}

/// Opens `count` listening sockets for a bind (one, whatever `count`, where the
/// address cannot be shared). `probe` = make sure that no other process has it;
/// false where this process has it already.
///
/// # Errors
/// See [`ListenError`]; what was opened so far is closed.
pub(crate) fn open(bind: &Bind, count: usize, probe: bool) -> Result<Vec<OwnedFd>, ListenError> {
    let fail = |error| ListenError::of(bind, error);
    match &bind.address {
        BindAddress::Unix(path) => Ok(vec![unix_socket(bind, path, probe)?.into()]),
        BindAddress::Abstract(name) => {
            let address = SockAddr::unix(format!("\0{name}")).map_err(fail)?;
            Ok(vec![
                bound_unix(&address, bind.backlog).map_err(fail)?.into(),
            ])
        }
        BindAddress::Fd(number) => {
            let fd = super::inherited::listener(*number).map_err(fail)?;
            set_options(bind, &fd).map_err(fail)?;
            Ok(vec![fd])
        }
        BindAddress::Ip(address) => open_tcp(bind, *address, false, count, probe).map_err(fail),
        BindAddress::Any(port) => {
            let every = SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port));
            match open_tcp(bind, every, true, count, probe) {
                // A kernel without IPv6: every address means every IPv4 address.
                Err(error) if no_ipv6(&error) => {
                    let every = SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port));
                    open_tcp(bind, every, false, count, probe).map_err(fail)
                }
                opened => opened.map_err(fail),
            }
        }
    }
}

/// Makes sockets that another process opened for the same address be as `bind` says.
///
/// # Errors
/// See [`ListenError`]
pub(crate) fn adopt(bind: &Bind, sockets: &[OwnedFd]) -> Result<(), ListenError> {
    let fail = |error| ListenError::of(bind, error);
    for socket in sockets {
        set_options(bind, socket).map_err(fail)?;
        // Only its backlog changes.
        let backlog = i32::try_from(bind.backlog).unwrap_or(i32::MAX);
        SockRef::from(socket).listen(backlog).map_err(fail)?;
    }
    match &bind.address {
        BindAddress::Unix(path) => own(bind, path),
        _ => Ok(()),
    }
}

fn open_tcp(
    bind: &Bind,
    mut address: SocketAddr,
    dual: bool,
    count: usize,
    probe: bool,
) -> io::Result<Vec<OwnedFd>> {
    // With SO_REUSEPORT alone a second process would silently take half of the
    // connections; a bind without it says that the port is taken.
    if probe {
        let alone = tcp_socket(bind, address, dual, false)?;
        if address.port() == 0 {
            address = alone.local_addr()?.as_socket().unwrap_or(address);
        }
    }
    (0..count.max(1))
        .map(|_| {
            let socket = tcp_socket(bind, address, dual, true)?;
            socket.listen(i32::try_from(bind.backlog).unwrap_or(i32::MAX))?;
            Ok(socket.into())
        })
        .collect()
}

fn tcp_socket(bind: &Bind, address: SocketAddr, dual: bool, share: bool) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    if let Some(interface) = &bind.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    set_options(bind, &socket)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Options that Linux hands down from the listening to the accepted socket: set
/// once here, they cost no system call per connection.
fn set_options(bind: &Bind, fd: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(fd);
    if socket.domain()? == Domain::UNIX {
        return Ok(());
    }
    socket.set_tcp_nodelay(bind.nodelay)?;
    // Urgent bytes stay where they stand in the stream (RFC 6093 section 4).
    socket.set_out_of_band_inline(true)?;
    match bind.keepalive {
        Some(idle) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?,
        None => socket.set_keepalive(false)?,
    }
    let seconds = bind.defer_accept.map_or(0, |wait| wait.as_secs().max(1));
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    Ok(nix::sys::socket::setsockopt(fd, DeferAccept, &seconds)?)
}

fn no_ipv6(error: &io::Error) -> bool {
    let errno = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    matches!(
        errno,
        Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
    )
}

sockopt_impl!(
    /// TCP_DEFER_ACCEPT, in seconds: neither socket2 nor rustix has it.
    DeferAccept,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    u32
);

/// Binds under a temporary name and renames it over the old one, so that a
/// socket file left by a dead process is no obstacle and there is no moment
/// without a file, nor one with a file that is open to others. A socket that
/// answers belongs to a living process.
fn unix_socket(bind: &Bind, path: &Path, probe: bool) -> Result<Socket, ListenError> {
    let fail = |error| ListenError::of(bind, error);
    if probe && std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(fail(rustix::io::Errno::ADDRINUSE.into()));
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let _ = std::fs::remove_file(&temporary);
    let placed = SockAddr::unix(&temporary)
        .and_then(|address| bound_unix(&address, bind.backlog))
        .map_err(fail)
        .and_then(|socket| {
            own(bind, &temporary)?;
            std::fs::rename(&temporary, path).map_err(fail)?;
            Ok(socket)
        });
    if placed.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    placed
}

fn bound_unix(address: &SockAddr, backlog: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(address)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

fn own(bind: &Bind, path: &Path) -> Result<(), ListenError> {
    let owner = |error| ListenError::Owner(bind.address.to_string(), error);
    let user = bind.user.as_deref().map(super::system::user_id);
    let user = user.transpose().map_err(owner)?;
    let group = bind.group.as_deref().map(super::system::group_id);
    let group = group.transpose().map_err(owner)?;
    let fail = |error| ListenError::of(bind, error);
    if user.is_some() || group.is_some() {
        std::os::unix::fs::chown(path, user, group).map_err(fail)?;
    }
    if let Some(mode) = bind.socket_mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(fail)?;
    }
    Ok(())
}

/// The file of a Unix socket as we made it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// That of a bind just opened; `None` = it has none.
    pub(crate) fn of(address: &BindAddress) -> Option<Self> {
        let BindAddress::Unix(path) = address else {
            return None;
        };
        Some(Self {
            identity: identity(path)?,
            path: path.clone(),
        })
    }

    /// Takes it away, so that nobody knocks where nobody listens; unless another
    /// socket has taken its place.
    pub(crate) fn remove(&self) {
        if identity(&self.path) == Some(self.identity) {
            // Gone between the two calls is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether sockets on both addresses would be in each other's way.
pub(crate) fn overlap(one: &BindAddress, other: &BindAddress) -> bool {
    let tcp = |address: &BindAddress| match address {
        BindAddress::Ip(address) => Some((Some(address.ip()), address.port())),
        BindAddress::Any(port) => Some((None, *port)),
        _ => None,
    };
    match (tcp(one), tcp(other)) {
        (Some((_, 0)), Some((_, 0))) => false,
        (Some((one, port)), Some((other, same))) => {
            let every = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
            port == same && (one == other || every(one) || every(other))
        }
        _ => one == other,
    }
}

/// Makes a listening socket refuse new connections in silence (their SYN is
/// dropped, so the client tries again) while those under way complete. To be
/// followed by: accept until empty, wait 10 ms, accept until empty, close.
/// Plain closing resets what waits in the queue (174 connections lost in 40
/// stops under load; with this 0).
///
/// Never on a listener that was handed to a successor: the socket is shared.
///
/// # Errors
/// The kernel refuses the filter.
pub(crate) fn stop_new_connections(listener: &impl AsFd) -> io::Result<()> {
    // The filter sees the segment from its TCP header on: byte 13 holds the flags.
    // Drop SYN without ACK, keep everything else.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let filter = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(AND, 0, 0, 0x12),
        SockFilter::new(JUMP_EQUAL, 0, 1, 0x02),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_overlaps_with_each_on_its_port() {
        let ip = |text: &str| BindAddress::Ip(text.parse().expect("an address"));
        let overlapping = [
            (ip("127.0.0.1:80"), ip("127.0.0.1:80")),
            (ip("127.0.0.1:80"), ip("0.0.0.0:80")),
            (BindAddress::Any(80), ip("[::1]:80")),
            (BindAddress::Fd(3), BindAddress::Fd(3)),
        ];
        for (one, other) in overlapping {
            assert!(overlap(&one, &other) && overlap(&other, &one), "{one:?}");
        }
        let apart = [
            (ip("127.0.0.1:80"), ip("127.0.0.1:81")),
            (ip("127.0.0.1:80"), ip("127.0.0.2:80")),
            (ip("127.0.0.1:0"), ip("127.0.0.1:0")),
            (BindAddress::Fd(3), BindAddress::Any(3)),
        ];
        for (one, other) in apart {
            assert!(!overlap(&one, &other) && !overlap(&other, &one), "{one:?}");
        }
    }
}
