//! From root to a user: once, before any thread starts.

use std::fs;
use std::io;
use std::path::Path;

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
    set_no_new_privs,
};

use crate::config::Global;

/// Why the process did not become the user it was asked to become.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// No such account.
    #[error("cannot run as {0}: there is no such {1} on this host; create it or correct [global]")]
    Unknown(String, &'static str),
    /// A user by number without an entry, and no group written.
    #[error(
        "cannot run as user {0}: it has no entry in /etc/passwd that names its group; write group in [global], too"
    )]
    NoGroup(String),
    /// Only root changes what it is.
    #[error(
        "cannot run as {wanted}: rlb was started as user number {uid}, and only root may become another; start it as root, or take user and group out of [global]"
    )]
    NotRoot {
        /// As written.
        wanted: String,
        /// Effective user now.
        uid: u32,
    },
    /// What a thread does not share cannot be changed behind its back.
    #[error("cannot change the user of a process that has {0} threads: do it before any starts")]
    Threads(usize),
    /// The system refuses.
    #[error("cannot run as {wanted}: {what}: {source}")]
    System {
        /// As written.
        wanted: String,
        /// The call.
        what: &'static str,
        /// Its error.
        source: io::Error,
    },
}

/// Whom to become.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    uid: Option<u32>,
    gid: u32,
    /// Groups that name the user as a member.
    others: Vec<u32>,
}

/// Becomes the user and group of `[global]`, if any are written. Of root's powers
/// only CAP_NET_BIND_SERVICE is kept, so that a bind below 1024 can be opened by a
/// reload, too; nothing that is executed later gets it back (no_new_privs).
///
/// To be called before any thread starts: the kernel keeps capabilities per thread.
///
/// # Errors
/// No such account, not root, threads, or the system refuses. The process should end then.
pub fn drop_privileges(global: &Global) -> Result<(), PrivilegeError> {
    let (user, group) = (global.user.as_deref(), global.group.as_deref());
    if user.is_none() && group.is_none() {
        return Ok(());
    }
    let files = (read(Path::new(PASSWD)), read(Path::new(GROUP)));
    let account = Account::find(user, group, &files.0, &files.1)?;
    if account.is_ours() {
        return Ok(());
    }
    let wanted = named(user, group);
    let uid = geteuid();
    if !uid.is_root() {
        let uid = uid.as_raw();
        return Err(PrivilegeError::NotRoot { wanted, uid });
    }
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(PrivilegeError::Threads(threads));
    }
    account
        .assume()
        .map_err(|(what, source)| PrivilegeError::System {
            wanted,
            what,
            source,
        })
}

impl Account {
    fn find(
        user: Option<&str>,
        group: Option<&str>,
        passwd: &str,
        groups: &str,
    ) -> Result<Self, PrivilegeError> {
        let entry = user.and_then(|user| entry(passwd, user));
        let uid = match user {
            None => None,
            Some(user) => Some(number(entry.as_deref(), user, "user")?),
        };
        let gid = match (group, &entry) {
            (Some(group), _) => number(self::entry(groups, group).as_deref(), group, "group")?,
            (None, Some(fields)) => fields
                .get(3)
                .and_then(|gid| gid.parse().ok())
                .ok_or_else(|| PrivilegeError::NoGroup(user.unwrap_or_default().to_owned()))?,
            (None, None) => {
                return Err(PrivilegeError::NoGroup(user.unwrap_or_default().to_owned()));
            }
        };
        let name = entry.as_ref().map(|fields| fields[0]);
        let others = groups.lines().filter_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let is_member = fields.get(3)?.split(',').any(|member| Some(member) == name);
            is_member.then(|| fields[2].parse().ok())?
        });
        let others = others.filter(|other| *other != gid).collect();
        Ok(Self { uid, gid, others })
    }

    fn is_ours(&self) -> bool {
        let uid = geteuid().as_raw();
        self.uid.is_none_or(|wanted| wanted == uid)
            && rustix::process::getegid().as_raw() == self.gid
    }

    fn assume(&self) -> Result<(), (&'static str, io::Error)> {
        let others: Vec<_> = self.others.iter().copied().map(Gid::from_raw).collect();
        let gid = Gid::from_raw(self.gid);
        setgroups(&others).map_err(|e| ("setgroups", e.into()))?;
        setresgid(gid, gid, gid).map_err(|e| ("setgid", e.into()))?;
        let Some(uid) = self.uid.filter(|uid| *uid != 0) else {
            return Ok(());
        };
        let caps = |e: rustix::io::Errno| ("capabilities", e.into());
        // Else they go with the user number.
        set_keep_capabilities(true).map_err(caps)?;
        let uid = Uid::from_raw(uid);
        setresuid(uid, uid, uid).map_err(|e| ("setuid", e.into()))?;
        // A container may have taken it away already.
        let kept = capabilities(None).map_err(caps)?.permitted & CapabilitySet::NET_BIND_SERVICE;
        let sets = CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, sets).map_err(caps)?;
        set_keep_capabilities(false).map_err(caps)?;
        set_no_new_privs(true).map_err(caps)
    }
}

/// The entry of an account given by name, else by number.
fn entry<'a>(file: &'a str, wanted: &str) -> Option<Vec<&'a str>> {
    let entries = || file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let by_name = entries().find(|fields| fields.len() > 2 && fields[0] == wanted);
    by_name.or_else(|| entries().find(|fields| fields.len() > 2 && fields[2] == wanted))
}

fn number(
    entry: Option<&[&str]>,
    written: &str,
    what: &'static str,
) -> Result<u32, PrivilegeError> {
    let number = entry.map_or(written, |fields| fields[2]);
    let unknown = |_| PrivilegeError::Unknown(named_one(what, written), what);
    number.parse().map_err(unknown)
}

fn named(user: Option<&str>, group: Option<&str>) -> String {
    match (user, group) {
        (Some(user), _) => named_one("user", user),
        (None, group) => named_one("group", group.unwrap_or_default()),
    }
}

fn named_one(what: &str, written: &str) -> String {
    format!("{what} \"{written}\"")
}

/// A file that is not there has no entries: numbers still work.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nrlb:x:990:980::/:/sbin/nologin\n";
    const GROUP: &str = "root:x:0:\nrlb:x:980:\ndocker:x:970:op,rlb\nweb:x:960:op\n";

    fn find(user: Option<&str>, group: Option<&str>) -> Result<Account, String> {
        Account::find(user, group, PASSWD, GROUP).map_err(|error| error.to_string())
    }

    #[test]
    fn a_user_brings_its_groups() {
        let rlb = |gid, others: &[u32]| Account {
            uid: Some(990),
            gid,
            others: others.to_vec(),
        };
        assert_eq!(find(Some("rlb"), None), Ok(rlb(980, &[970])));
        assert_eq!(find(Some("990"), None), Ok(rlb(980, &[970])));
        assert_eq!(find(Some("rlb"), Some("docker")), Ok(rlb(970, &[])));
        assert_eq!(find(Some("rlb"), Some("55")), Ok(rlb(55, &[970])));
        let group_alone = Account {
            uid: None,
            gid: 960,
            others: Vec::new(),
        };
        assert_eq!(find(None, Some("web")), Ok(group_alone));
    }

    #[test]
    fn what_is_not_there_is_said() {
        for (user, group, words) in [
            (Some("nobody-here"), None, "no such user"),
            (Some("rlb"), Some("nobodies"), "no such group"),
            (Some("12345"), None, "write group"),
        ] {
            let error = find(user, group).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
