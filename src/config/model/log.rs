//! What is logged, and where.

use super::*;

/// `[[log]]`: what is written where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Where to.
    pub target: LogTarget,
    /// What. Default access.
    pub what: LogWhat,
    /// How. Default haproxy.
    pub format: LogFormat,
    /// Names the program in a line. Default `rlb`.
    pub tag: String,
    /// Only what did not go well. Default false.
    pub only_errors: bool,
    /// Bytes of a request line that are written. Default 1,024, at most 8,192.
    pub uri_max: usize,
}

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to this file.
    File(PathBuf),
    /// Datagrams to this Unix socket (RFC 3164).
    SyslogUnix(PathBuf),
    /// Datagrams to `host:port` (RFC 3164).
    SyslogUdp(String),
}

/// As it is written in a file.
impl std::fmt::Display for LogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::SyslogUnix(path) => write!(f, "syslog:{}", path.display()),
            Self::SyslogUdp(to) => write!(f, "syslog:udp:{to}"),
        }
    }
}

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogWhat {
    /// One line for each request and TCP session.
    Access,
    /// One line for each change of state.
    Events,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// httplog, tcplog and HAProxy's words for events.
    Haproxy,
    /// One JSON object.
    Json,
}
