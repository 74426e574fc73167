//! Which socket to ask.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rlb::config::{AdminAddress, AdminSocket, Config};

/// Where the admin socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// Where its address may be written, first things first.
#[derive(Debug)]
pub(super) struct Places<'a> {
    /// `-s`
    pub(super) given: Option<&'a str>,
    /// RLB_ADMIN
    pub(super) environment: Option<&'a str>,
    /// `-f`
    pub(super) files: &'a [PathBuf],
}

/// A connection.
pub(super) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Places<'_> {
    /// The first address that is written, else the default.
    ///
    /// # Errors
    /// A sentence: the file tells none.
    pub(super) fn find(&self) -> Result<Address, String> {
        if let Some(text) = self.given.or(self.environment) {
            return Ok(Address::parse(text));
        }
        if self.files.is_empty() {
            return Ok(Address::from(&AdminSocket::default().address));
        }
        match Config::load(self.files) {
            Ok(loaded) => match loaded.config.global.admin.first() {
                Some(socket) => Ok(Address::from(&socket.address)),
                None => Err("the file says admin = \"\": there is no admin socket".to_owned()),
            },
            // The file may be broken just now, and its diagnostics be what is asked for.
            Err(_) => self
                .files
                .iter()
                .find_map(|file| in_broken_file(file))
                .ok_or_else(|| {
                    "no admin socket can be read from the file; give it with -s".to_owned()
                }),
        }
    }
}

/// `admin` of a file that is TOML at least.
fn in_broken_file(file: &Path) -> Option<Address> {
    let text = std::fs::read_to_string(file).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let admin = table.get("global")?.get("admin")?;
    let first = admin.as_array().map_or(Some(admin), |list| list.first())?;
    let written = first
        .as_str()
        .or_else(|| first.get("path")?.as_str())
        .or_else(|| first.get("bind")?.as_str())?;
    (!written.is_empty()).then(|| Address::parse(written))
}

impl Address {
    /// A path (`unix:`, `unix@` in front or not) or `ip:port`.
    fn parse(text: &str) -> Self {
        if let Ok(address) = text.parse() {
            return Self::Tcp(address);
        }
        let path = text
            .strip_prefix("unix:")
            .or_else(|| text.strip_prefix("unix@"));
        Self::Unix(path.unwrap_or(text).into())
    }

    /// Connects; every read and write takes at most `patience`.
    ///
    /// # Errors
    /// Nobody there, or we may not.
    pub(super) fn connect(&self, patience: Duration) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                Ok(Box::new(stream))
            }
            Self::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, patience)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl From<&AdminAddress> for Address {
    fn from(address: &AdminAddress) -> Self {
        match address {
            AdminAddress::Unix(path) => Self::Unix(path.clone()),
            AdminAddress::Tcp(address) => Self::Tcp(*address),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(
        given: Option<&str>,
        environment: Option<&str>,
        files: &[PathBuf],
    ) -> Result<Address, String> {
        Places {
            given,
            environment,
            files,
        }
        .find()
    }

    fn unix(path: &str) -> Result<Address, String> {
        Ok(Address::Unix(path.into()))
    }

    #[test]
    fn first_place_wins() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lb.toml");
        std::fs::write(&file, "[global]\nadmin = \"/run/c.sock\"\n").unwrap();
        let files = [file.clone()];
        assert_eq!(find(Some("/a"), Some("/b"), &files), unix("/a"));
        assert_eq!(find(None, Some("unix@/b"), &files), unix("/b"));
        assert_eq!(find(None, None, &files), unix("/run/c.sock"));
        assert_eq!(find(None, None, &[]), unix("/run/rlb/admin.sock"));
        assert_eq!(
            find(Some("127.0.0.1:99"), None, &[]),
            Ok(Address::Tcp("127.0.0.1:99".parse().unwrap()))
        );
        std::fs::write(
            &file,
            "nonsense = 1\n[global]\nadmin = [{ path = \"/run/d.sock\" }]\n",
        )
        .unwrap();
        assert_eq!(find(None, None, &files), unix("/run/d.sock"));
        std::fs::write(&file, "[global]\nadmin = \"\"\n").unwrap();
        assert!(find(None, None, &files).is_err());
        assert!(find(None, None, &[dir.path().join("none")]).is_err());
    }
}
