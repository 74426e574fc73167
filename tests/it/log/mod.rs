//! Access log, event log and monitor, as operators and their programs see them.

mod access;
mod counting;
mod events;
mod monitor;
mod same_as_haproxy;
mod stalls;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, wait_until};

/// A syslog daemon that keeps what it is sent.
struct Syslog(UdpSocket);

impl Syslog {
    fn listen() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Self(socket)
    }

    fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next datagram; `None` = none within this time.
    fn next(&self, within: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 16 << 10];
        let read = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..read].to_vec()).unwrap())
    }

    #[track_caller]
    fn line(&self) -> String {
        self.next(PATIENCE).expect("a log line")
    }
}

/// The lines of a file, once there are so many.
#[track_caller]
pub(crate) fn lines_of(file: &Path, count: usize) -> Vec<String> {
    let read = || std::fs::read_to_string(file).unwrap_or_default();
    let what = format!("{count} lines in {}", file.display());
    wait_until(PATIENCE, &what, || read().lines().count() >= count);
    read().lines().map(ToOwned::to_owned).collect()
}

/// The reply of an admin socket.
#[track_caller]
pub(crate) fn ask(socket: &Path, command: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("an admin socket");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{command}\n").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// Rows of `show stat` by proxy and server, cells by column.
#[track_caller]
pub(crate) fn stat(socket: &Path) -> Vec<Vec<(String, String)>> {
    let text = ask(socket, "show stat");
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let header: Vec<_> = lines.next().unwrap()[2..].split(',').collect();
    let row = |line: &str| {
        let cells = line.split(',').map(ToOwned::to_owned);
        let names = header.iter().map(|name| (*name).to_owned());
        names.zip(cells).collect()
    };
    lines.map(row).collect()
}

/// A cell of `show stat` as a number.
#[track_caller]
pub(crate) fn number(
    rows: &[Vec<(String, String)>],
    proxy: &str,
    server: &str,
    column: &str,
) -> u64 {
    let cell = |row: &[(String, String)], name: &str| {
        row.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    };
    let row = rows.iter().find(|row| {
        cell(row, "pxname").as_deref() == Some(proxy)
            && cell(row, "svname").as_deref() == Some(server)
    });
    let row = row.unwrap_or_else(|| panic!("no row {proxy}/{server}"));
    let text = cell(row, column).unwrap_or_else(|| panic!("no column {column}"));
    text.parse()
        .unwrap_or_else(|_| panic!("{column} of {proxy}/{server}: {text:?}"))
}

/// The milliseconds something took.
fn took(what: impl FnOnce()) -> Duration {
    let start = Instant::now();
    what();
    start.elapsed()
}
