//! Who may come in: HTTP Basic (RFC 7617) against written accounts and htpasswd
//! files.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha_crypt::{PasswordVerifier, ShaCrypt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::guard::is_same;
use crate::config::{Account, Secret, Stats, stats};

/// Lets people in to one site.
#[derive(Debug)]
pub(super) struct Gate {
    accounts: Arc<[Account]>,
    file: Option<PathBuf>,
    remembered: RefCell<Remembered>,
    /// Hashes under way; shared by all gates.
    at_once: Arc<Semaphore>,
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visitor {
    /// `None` = nobody has to say who he is.
    pub(super) name: Option<String>,
    /// The password is one that everybody tries first.
    pub(super) weak: bool,
}

/// Passwords that were right a moment ago, by a keyed hash: a page that asks each
/// second must not cost a bcrypt each second, and nothing here is worth stealing.
#[derive(Debug, Default)]
struct Remembered {
    keys: RandomState,
    until: HashMap<u64, (Instant, bool)>,
}

/// A password hash takes a core for 50 to 500 ms: never more of them than this.
pub(super) const HASHES_AT_ONCE: usize = 2;
/// A right password is remembered so long, and one that was taken away works so long.
const REMEMBER: Duration = Duration::from_secs(60);
const REMEMBERED_MAX: usize = 256;
/// A wrong one is answered not before this.
const WRONG_DELAY: Duration = Duration::from_secs(1);
/// No header field of ours is longer, and no password of anybody's.
const CREDENTIALS_MAX: usize = 1024;

impl Gate {
    pub(super) fn new(page: &Stats, at_once: &Arc<Semaphore>) -> Self {
        Self {
            accounts: page.accounts.clone().into(),
            file: page.auth_file.clone(),
            remembered: RefCell::default(),
            at_once: Arc::clone(at_once),
        }
    }

    /// Looks at an `Authorization` field; `None` = not let in. Takes its time with
    /// a password that is wrong.
    pub(super) async fn admit(&self, authorization: Option<&[u8]>) -> Option<Visitor> {
        if self.accounts.is_empty() && self.file.is_none() {
            return Some(Visitor {
                name: None,
                weak: false,
            });
        }
        // Without a password nobody has guessed at one.
        let (name, password) = credentials(authorization?)?;
        let now = Instant::now();
        if let Some(weak) = self.remembered.borrow_mut().find(&name, &password, now) {
            let name = Some(name);
            return Some(Visitor { name, weak });
        }
        let is_right = self.verify(name.clone(), password.clone()).await;
        if !is_right {
            sleep_until(now + WRONG_DELAY).await;
            return None;
        }
        let weak = Secret::is_well_known(&name, &password);
        let mut remembered = self.remembered.borrow_mut();
        remembered.put(&name, &password, weak, Instant::now());
        let name = Some(name);
        Some(Visitor { name, weak })
    }

    /// On a thread that may block: hashing takes long, and the file may lie far away.
    async fn verify(&self, name: String, password: String) -> bool {
        let Ok(_turn) = self.at_once.acquire().await else {
            return false;
        };
        let (accounts, file) = (Arc::clone(&self.accounts), self.file.clone());
        let verified = tokio::task::spawn_blocking(move || {
            let mut accounts = accounts.to_vec();
            match file.as_deref().map(stats::read_htpasswd) {
                Some(Ok(more)) => accounts.extend(more),
                Some(Err(error)) => tracing::error!("auth_file {error}"),
                None => {}
            }
            is_right(&accounts, &name, &password)
        });
        verified.await.unwrap_or(false)
    }
}

/// An unknown name takes as long as a wrong password: which of the two it was is
/// nobody's business.
fn is_right(accounts: &[Account], name: &str, password: &str) -> bool {
    let known = accounts.iter().find(|account| account.name == name);
    let account = known.or_else(|| accounts.first());
    let matches = account.is_some_and(|account| opens(&account.secret, password));
    known.is_some() && matches
}

fn opens(secret: &Secret, password: &str) -> bool {
    match secret {
        Secret::Plain(plain) => is_same(plain.as_bytes(), password.as_bytes()),
        Secret::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
        Secret::ShaCrypt(hash) => ShaCrypt::default()
            .verify_password(password.as_bytes(), hash.as_str())
            .is_ok(),
    }
}

/// `Basic dXNlcjpwYXNz` (RFC 7617 2).
fn credentials(field: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(field).ok()?;
    let (scheme, code) = text.split_once(' ')?;
    let code = code.trim();
    if !scheme.eq_ignore_ascii_case("basic") || code.len() > CREDENTIALS_MAX {
        return None;
    }
    let plain = String::from_utf8(STANDARD.decode(code).ok()?).ok()?;
    let (name, password) = plain.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

impl Remembered {
    fn find(&mut self, name: &str, password: &str, now: Instant) -> Option<bool> {
        let key = self.keys.hash_one((name, password));
        let (until, weak) = self.until.get(&key)?;
        (now < *until).then_some(*weak)
    }

    fn put(&mut self, name: &str, password: &str, weak: bool, now: Instant) {
        self.until.retain(|_, (until, _)| now < *until);
        if self.until.len() < REMEMBERED_MAX {
            let key = self.keys.hash_one((name, password));
            self.until.insert(key, (now + REMEMBER, weak));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(auth: &[&str], file: Option<PathBuf>) -> Gate {
        let accounts = auth.iter().map(|text| stats::account(text).unwrap());
        let page = Stats {
            accounts: accounts.collect(),
            auth_file: file,
            ..Stats::default()
        };
        Gate::new(&page, &Arc::new(Semaphore::new(HASHES_AT_ONCE)))
    }

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    async fn name(gate: &Gate, text: &str) -> Option<String> {
        gate.admit(Some(&basic(text))).await?.name
    }

    #[tokio::test]
    async fn plain_and_hashed_passwords_open() {
        let bcrypt = bcrypt::hash("b-secret", 4).unwrap();
        // crypt(3)'s own examples.
        let sha512 = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
        let sha256 = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
        let accounts = [
            "plain:p:w".to_owned(),
            format!("bcrypt:{bcrypt}"),
            format!("sha512:{sha512}"),
            format!("sha256:{sha256}"),
        ];
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        let gate = gate(&accounts, None);
        for right in [
            "plain:p:w",
            "bcrypt:b-secret",
            "sha512:Hello world!",
            "sha256:Hello world!",
        ] {
            let expected = right.split(':').next().map(str::to_owned);
            assert_eq!(name(&gate, right).await, expected, "{right}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_ones_are_late_and_right_ones_are_remembered() {
        let gate = gate(&["ann:secret"], None);
        for wrong in ["ann:secre", "ann:secrets", "bob:secret", "ann:", ":"] {
            let before = Instant::now();
            assert_eq!(name(&gate, wrong).await, None, "{wrong}");
            assert!(before.elapsed() >= WRONG_DELAY, "{wrong}");
        }
        assert_eq!(gate.remembered.borrow().until.len(), 0);
        assert!(name(&gate, "ann:secret").await.is_some());
        assert_eq!(gate.remembered.borrow().until.len(), 1);
        // Nobody hashes any more, and he still comes in.
        gate.at_once.close();
        assert!(name(&gate, "ann:secret").await.is_some());
        tokio::time::advance(REMEMBER).await;
        assert_eq!(name(&gate, "ann:secret").await, None);
    }

    #[tokio::test]
    async fn nonsense_is_no_login() {
        let gate = gate(&["ann:secret"], None);
        for field in [&b"Basic"[..], b"Basic !", b"Bearer x", b"\xff", b""] {
            assert_eq!(gate.admit(Some(field)).await, None, "{field:?}");
        }
        assert_eq!(gate.admit(None).await, None);
        let scheme = [&b"bAsIc "[..], STANDARD.encode("ann:secret").as_bytes()].concat();
        assert!(gate.admit(Some(&scheme)).await.is_some(), "case is free");
    }

    #[tokio::test]
    async fn the_file_is_read_when_somebody_comes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("htpasswd");
        let gate = gate(&[], Some(path.clone()));
        let hash = bcrypt::hash("secret", 4).unwrap();
        std::fs::write(&path, format!("ann:{hash}\n")).unwrap();
        assert_eq!(name(&gate, "ann:secret").await.as_deref(), Some("ann"));
        std::fs::write(&path, format!("bob:{hash}\n")).unwrap();
        assert_eq!(name(&gate, "bob:secret").await.as_deref(), Some("bob"));
    }

    #[tokio::test]
    async fn passwords_everybody_tries_are_noticed() {
        let gate = gate(&["admin:admin", "ann:k9%tQ"], None);
        let weak = async |text: &str| gate.admit(Some(&basic(text))).await.unwrap().weak;
        assert!(weak("admin:admin").await);
        assert!(!weak("ann:k9%tQ").await);
        assert!(weak("admin:admin").await, "remembered");
    }
}
