//! Which container we are.

use std::fs;

use super::api::Listed;

/// What this process can know of its own container without asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Own {
    /// 64 hexadecimal digits.
    id: Option<String>,
    /// The first 12 of them, unless somebody chose a hostname.
    hostname: Option<String>,
}

impl Own {
    /// Reads what the kernel and the engine left for us.
    pub(crate) fn read() -> Self {
        // Docker mounts /etc/hostname and two more from the container's directory.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let hostname = fs::read_to_string("/etc/hostname").unwrap_or_default();
        Self::of(&mounts, hostname.trim())
    }

    fn of(mounts: &str, hostname: &str) -> Self {
        let is_hex =
            |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
        let files = mounts.lines().filter(|line| {
            ["/hostname", "/hosts", "/resolv.conf"]
                .iter()
                .any(|file| line.contains(file))
        });
        let mut parts = files.flat_map(|line| line.split(['/', ' ']));
        Self {
            id: parts.find(|part| is_hex(part, 64)).map(str::to_owned),
            hostname: is_hex(hostname, 12).then(|| hostname.to_owned()),
        }
    }

    /// Our own among the containers of an engine; none = it is not that engine's,
    /// or we run in none.
    pub(crate) fn find<'a>(&self, listed: &'a [Listed]) -> Option<&'a Listed> {
        let by_id = |one: &&Listed| self.id.as_deref() == Some(&*one.id);
        let by_name = |one: &&Listed| {
            let hostname = self.hostname.as_deref();
            hostname.is_some_and(|hostname| one.id.starts_with(hostname))
        };
        let mut all = listed.iter();
        match self.id {
            Some(_) => all.find(by_id),
            None => all.find(by_name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stands_in_the_mounts() {
        let id = "0123456789abcdef".repeat(4);
        let mounts = format!(
            "500 400 0:1 / / rw - overlay overlay rw,lowerdir=/x\n\
             501 500 8:1 /docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda rw\n"
        );
        let own = Own::of(&mounts, "web-1");
        let listed = [
            Listed::default(),
            Listed {
                id: id.clone(),
                ..Listed::default()
            },
        ];
        assert_eq!(own.find(&listed).map(|one| &one.id), Some(&id));
        let by_hostname = Own::of("", "0123456789ab");
        assert_eq!(by_hostname.find(&listed).map(|one| &one.id), Some(&id));
        assert_eq!(Own::of("", "build-host").find(&listed), None);
        // Another engine's container of the same first digits is not us.
        let other = Own::of(&mounts.replace("0123", "3210"), "0123456789ab");
        assert_eq!(other.find(&listed), None);
    }
}
