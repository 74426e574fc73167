//! The run types: one value per setting, valid by construction. Start with [`Config`].

mod backend;
mod bind;
mod cookie;
mod frontend;
mod global;
mod log;

use super::*;

pub use backend::*;
pub use bind::*;
pub use cookie::*;
pub use frontend::*;
pub use global::*;
pub use log::*;

/// One whole, valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Settings of the process.
    pub global: Global,
    /// Frontends in the order of the file.
    pub frontends: Vec<Frontend>,
    /// Backends in the order of the file.
    pub backends: Vec<Backend>,
    /// Logs in the order of the file; none = events to stderr, no access log.
    pub logs: Vec<Log>,
    /// How sources are watched.
    pub discovery: Discovery,
    /// This process in Consul.
    pub register: Vec<Register>,
    /// What `[defaults]` say: the settings of backends that make themselves.
    pub discovered: Backend,
    /// A listener of its own for the stats page; `None` = none.
    pub stats: Option<StatsServer>,
}

/// `[stats]`: the page on a listener of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsServer {
    /// At least one.
    pub binds: Vec<StatsBind>,
    /// What the binds with TLS show and accept; set if there is one. HTTP/1.1 alone is offered.
    pub tls: Option<FrontendTls>,
    /// What is shown there, and to whom.
    pub page: Stats,
}

/// Where the page listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsBind {
    /// A TCP address.
    pub address: BindAddress,
    /// Clients speak TLS. Default false.
    pub tls: bool,
}

/// The stats page, wherever it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// What begins with this is the page; may hold a query. Default `/haproxy_stats`.
    pub path: String,
    /// Written accounts.
    pub accounts: Vec<Account>,
    /// More accounts, in an htpasswd file.
    pub auth_file: Option<PathBuf>,
    /// Servers may be steered there. Default false; true needs an account.
    pub admin: bool,
    /// Clients are told to come again after this; `None` (default) = not at all.
    pub refresh: Option<Duration>,
    /// The path of the metrics. Default `/metrics`, on a frontend none.
    pub metrics: Option<String>,
}

/// Somebody who may see the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Without a colon.
    pub name: String,
    /// What he has to know.
    pub secret: Secret,
}

/// A password or its hash. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Plain(String),
    /// `$2y$...`
    Bcrypt(String),
    /// `$6$...` or `$5$...`, as in /etc/shadow and HAProxy's userlists.
    ShaCrypt(String),
}
