//! Who may see the stats page: binds, accounts, secrets, htpasswd files.

use std::fmt;
use std::path::Path;

use super::address::{self, Fault};
use super::{Account, BindAddress, Frontend, Secret, Stats, StatsServer, grammar};

/// Backends whose names begin so are rlb's own; no file may have one.
pub(crate) const BUILT_IN: &str = "_stats:";

/// Whether a backend of this name is one of those.
pub(crate) fn is_built_in(backend: &str) -> bool {
    backend.starts_with(BUILT_IN)
}

/// Where the page's own listener may be: it is a TCP server of control's.
pub(crate) fn bind(text: &str) -> Result<BindAddress, Fault> {
    match address::bind(text)? {
        address @ (BindAddress::Ip(_) | BindAddress::Any(_)) => Ok(address),
        _ => Err(Fault::new("the stats page listens on TCP alone")
            .help("write \"127.0.0.1:9000\"; a frontend with `stats` may have any bind")),
    }
}

/// The path of the metrics; empty = none.
pub(crate) fn metrics_path(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Ok(());
    }
    grammar::path_prefix(text)
}

/// `user:password` or `user:hash`.
pub(crate) fn account(text: &str) -> Result<Account, Fault> {
    let (name, secret) = parts(text)?;
    let secret = match known_hash(secret)? {
        Some(secret) => secret,
        None => Secret::Plain(secret.into()),
    };
    Ok(Account {
        name: name.into(),
        secret,
    })
}

/// Reads an htpasswd file: one `user:hash` a line, `#` begins a comment.
///
/// # Errors
/// A sentence for each line that cannot be used, with its number.
pub(crate) fn htpasswd(text: &str) -> Result<Vec<Account>, Vec<String>> {
    let (mut accounts, mut faults) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match file_account(line) {
            Ok(account) => accounts.push(account),
            Err(fault) => {
                let help: String = fault.help.iter().map(|help| format!("; {help}")).collect();
                faults.push(format!("line {}: {}{help}", index + 1, fault.message));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(accounts),
        false => Err(faults),
    }
}

/// [`htpasswd`] of a file; one sentence tells all that is wrong.
///
/// # Errors
/// It cannot be read, or a line of it cannot be used.
pub(crate) fn read_htpasswd(path: &Path) -> Result<Vec<Account>, String> {
    let at = |what: String| format!("{}: {what}", path.display());
    let length = std::fs::metadata(path).map_err(|error| at(error.to_string()))?;
    if length.len() > HTPASSWD_MAX {
        return Err(at(format!("larger than {} KiB", HTPASSWD_MAX >> 10)));
    }
    let text = std::fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
    htpasswd(&text).map_err(|faults| at(faults.join("; ")))
}

/// Some 16,000 accounts.
const HTPASSWD_MAX: u64 = 1 << 20;

fn file_account(line: &str) -> Result<Account, Fault> {
    let (name, secret) = parts(line)?;
    let secret = match (known_hash(secret)?, secret.strip_prefix("{PLAIN}")) {
        (Some(secret), _) => secret,
        (None, Some(plain)) => Secret::Plain(plain.into()),
        // Without a mark it would be a hash of crypt(3), or somebody's password.
        (None, None) => return Err(unknown_hash()),
    };
    Ok(Account {
        name: name.into(),
        secret,
    })
}

fn parts(text: &str) -> Result<(&str, &str), Fault> {
    match text.split_once(':') {
        Some((name, secret)) if !name.is_empty() && !secret.is_empty() => Ok((name, secret)),
        _ => Err(Fault::new("an account is \"user:password\"")
            .help("`htpasswd -nB USER` prints one with the password's hash")),
    }
}

fn known_hash(secret: &str) -> Result<Option<Secret>, Fault> {
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| secret.starts_with(prefix));
    if is(&["$2a$", "$2b$", "$2y$", "$2x$"]) {
        return match secret.len() {
            60 => Ok(Some(Secret::Bcrypt(secret.into()))),
            _ => Err(Fault::new("a bcrypt hash has 60 characters")
                .help("is it cut? `htpasswd -nB USER` prints a whole one")),
        };
    }
    if is(&["$5$", "$6$"]) {
        return Ok(Some(Secret::ShaCrypt(secret.into())));
    }
    if is(&[
        "$apr1$", "$1$", "$y$", "$7$", "$argon2", "{SHA}", "{SSHA}", "{CRYPT}",
    ]) {
        return Err(unknown_hash());
    }
    Ok(None)
}

fn unknown_hash() -> Fault {
    Fault::new("not a hash this program checks: those are bcrypt, sha512-crypt and sha256-crypt")
        .help("`htpasswd -B` and `mkpasswd -m sha512crypt` make them")
}

impl Secret {
    /// One of those that everybody tries first.
    pub(crate) fn is_well_known(name: &str, password: &str) -> bool {
        password.eq_ignore_ascii_case(name)
            || WELL_KNOWN
                .iter()
                .any(|known| password.eq_ignore_ascii_case(known))
    }
}

const WELL_KNOWN: &[&str] = &[
    "admin",
    "password",
    "passwd",
    "secret",
    "changeme",
    "haproxy",
    "stats",
    "test",
    "root",
    "interlock",
    "123456",
    "12345678",
    "1234",
    "qwerty",
    "letmein",
    "rlb",
];

/// Never shows what it holds.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Bcrypt(_) => "Bcrypt",
            Self::ShaCrypt(_) => "ShaCrypt",
        })
    }
}

impl Stats {
    /// Whether anybody has to say who he is.
    pub(crate) fn has_accounts(&self) -> bool {
        !self.accounts.is_empty() || self.auth_file.is_some()
    }

    /// What is unwise where others can reach it, a sentence each.
    pub(crate) fn concerns(&self) -> Vec<String> {
        let mut concerns = Vec::new();
        if !self.has_accounts() {
            concerns.push("anybody who reaches this address may read the page".to_owned());
        }
        for account in &self.accounts {
            let name = &account.name;
            let Secret::Plain(password) = &account.secret else {
                continue;
            };
            concerns.push(if Secret::is_well_known(name, password) {
                format!("the password of `{name}` is one that everybody tries first")
            } else {
                format!("the password of `{name}` stands here in plain text")
            });
        }
        concerns
    }
}

impl StatsServer {
    /// Whether others than this machine reach it.
    pub(crate) fn is_exposed(&self) -> bool {
        self.binds.iter().any(|bind| is_exposed(&bind.address))
    }
}

impl Frontend {
    /// Whether others than this machine reach it.
    pub(crate) fn is_exposed(&self) -> bool {
        self.binds.iter().any(|bind| is_exposed(&bind.address))
    }
}

fn is_exposed(address: &BindAddress) -> bool {
    match address {
        BindAddress::Ip(address) => !address.ip().to_canonical().is_loopback(),
        BindAddress::Any(_) | BindAddress::Fd(_) => true,
        BindAddress::Unix(_) | BindAddress::Abstract(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

    #[test]
    fn hashes_are_told_from_passwords() {
        let secret = |text: &str| account(text).unwrap().secret;
        assert_eq!(secret("a:b:c"), Secret::Plain("b:c".into()));
        assert_eq!(
            secret(&format!("a:{BCRYPT}")),
            Secret::Bcrypt(BCRYPT.into())
        );
        assert_eq!(secret("a:$6$s$h"), Secret::ShaCrypt("$6$s$h".into()));
        for refused in ["a", "a:", ":b", "a:$apr1$x$y", "a:{SHA}x", "a:$2y$05$cut"] {
            assert!(account(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn htpasswd_files_name_the_line_that_is_wrong() {
        let text = format!("# people\n\nann:{BCRYPT}\r\nbob:$5$s$h\ncat:{{PLAIN}}x\n");
        let names = |accounts: Vec<Account>| accounts.into_iter().map(|a| a.name);
        let accounts = htpasswd(&text).unwrap();
        assert_eq!(names(accounts).collect::<Vec<_>>(), ["ann", "bob", "cat"]);
        let faults = htpasswd("ann:abJnggxhB/yWI\n\nbob\n").unwrap_err();
        assert!(faults[0].starts_with("line 1: not a hash"), "{faults:?}");
        assert!(faults[1].starts_with("line 3: "), "{faults:?}");
    }

    #[test]
    fn no_secret_is_shown() {
        let account = account("ann:hunter2").unwrap();
        assert!(!format!("{account:?}").contains("hunter2"));
    }

    #[test]
    fn only_loopback_and_local_sockets_are_not_exposed() {
        for (text, exposed) in [
            ("127.0.0.1:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("10.0.0.1:1", true),
            (":1", true),
        ] {
            assert_eq!(is_exposed(&bind(text).unwrap()), exposed, "{text}");
        }
    }
}
