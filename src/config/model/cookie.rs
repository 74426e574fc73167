//! Sticky sessions: a cookie that names the server of a client.

use super::*;

/// How a backend keeps its clients at their servers (HAProxy manual 4.2 "cookie", mode
/// `insert`). Values are for cookies of RFC 6265.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Its name; a token. Default `SERVERID`.
    pub name: Arc<str>,
    /// Servers do not see it. Default true.
    pub indirect: bool,
    /// No shared cache may keep an answer that sets it. Default true.
    pub nocache: bool,
    /// Where a server sets the cookie itself, that stays and ours is left out. Default false.
    pub preserve: bool,
    /// Scripts of the page do not see it. Default true.
    pub httponly: bool,
    /// Whether it is only sent over TLS. Default [`CookieSecure::Auto`].
    pub secure: CookieSecure,
    /// When other sites' requests carry it; `None` (default) = as the browser has it.
    pub same_site: Option<SameSite>,
    /// Hosts below this domain get it, too; `None` (default) = the host that set it alone.
    pub domain: Option<Arc<str>>,
    /// Paths that begin so get it. Default `/`.
    pub path: Arc<str>,
    /// The browser forgets it then, whole seconds; `None` (default) = when it is closed.
    pub max_age: Option<Duration>,
    /// The client is given another server after this time without a request, whole
    /// seconds; `None` (default) = it never is for that.
    pub maxidle: Option<Duration>,
    /// The client is given another server after this time, whole seconds; `None`
    /// (default) = it never is for that.
    pub maxlife: Option<Duration>,
    /// What values are derived with, for servers that were given none. Default empty.
    pub key: Arc<str>,
}

/// Whether a cookie is only sent over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CookieSecure {
    /// Where it was set over TLS.
    #[default]
    Auto,
    /// Always so: for clients whose TLS ends in front of us.
    Always,
    /// Never.
    Never,
}

/// When requests that other sites cause carry a cookie (RFC 6265bis 5.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Where they are a visit.
    Lax,
    /// Never.
    Strict,
    /// Always; browsers want `Secure` with it.
    None,
}
