//! What the system grants: cores and descriptors.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of descriptors to the hard one and returns it.
///
/// # Errors
/// setrlimit(2) was refused.
pub(crate) fn raise_descriptor_limit() -> io::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        )?;
    }
    // Unlimited is not a number to plan with; the kernel's default ceiling is.
    Ok(limit
        .maximum
        .map_or(1 << 20, |limit| usize::try_from(limit).unwrap_or(1 << 20)))
}

/// Connections a process with this many descriptors can carry: two each (client
/// and server), a pipe's two for one in eight, and `reserved` for listeners,
/// checks, the admin socket and logs.
pub(crate) fn maxconn_for(descriptors: usize, reserved: usize) -> usize {
    descriptors.saturating_sub(reserved) * 4 / 9
}

/// The other way round: descriptors that so many connections need.
pub(crate) fn descriptors_for(maxconn: usize, reserved: usize) -> usize {
    (maxconn.saturating_mul(9).div_ceil(4)).saturating_add(reserved)
}

/// Cores this process may use: affinity, bounded by the cgroup's quota (rounded up).
pub(crate) fn usable_cores() -> usize {
    let affinity = std::thread::available_parallelism().map_or(1, usize::from);
    match cgroup_quota() {
        Some(quota) => affinity.min(quota.max(1)),
        None => affinity,
    }
}

/// The CPU quota of our cgroup in whole cores, rounded up. std looks at it too,
/// but rounds 1.5 cores down to 1.
fn cgroup_quota() -> Option<usize> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::"))?;
    let own = fs::read_to_string(format!("/sys/fs/cgroup{path}/cpu.max"));
    let text = own
        .or_else(|_| fs::read_to_string("/sys/fs/cgroup/cpu.max"))
        .ok()?;
    parse_cpu_max(&text)
}

fn parse_cpu_max(text: &str) -> Option<usize> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota: usize = quota.parse().ok()?;
    let period: usize = period.parse().ok().filter(|period| *period > 0)?;
    Some(quota.div_ceil(period))
}

/// Number of a user given by name or number.
///
/// # Errors
/// A sentence: there is no such user.
pub(crate) fn user_id(name: &str) -> Result<u32, String> {
    id_in("/etc/passwd", name).ok_or_else(|| format!("there is no user \"{name}\""))
}

/// Number of a group given by name or number.
///
/// # Errors
/// A sentence: there is no such group.
pub(crate) fn group_id(name: &str) -> Result<u32, String> {
    id_in("/etc/group", name).ok_or_else(|| format!("there is no group \"{name}\""))
}

fn id_in(file: &str, name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = fs::read_to_string(file).ok()?;
    let mut entries = text.lines().map(|line| line.split(':'));
    entries
        .find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1))?)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_is_rounded_up_and_max_is_none() {
        assert_eq!(parse_cpu_max("150000 100000\n"), Some(2));
        assert_eq!(parse_cpu_max("50000 100000\n"), Some(1));
        assert_eq!(parse_cpu_max("max 100000\n"), None);
        assert_eq!(parse_cpu_max("garbage"), None);
    }

    #[test]
    fn maxconn_leaves_room_for_both_sides() {
        assert_eq!(maxconn_for(1_048_576, 576), 465_777);
        assert_eq!(maxconn_for(10, 100), 0);
        for maxconn in [1, 2, 3, 4, 1000, 465_777] {
            assert_eq!(maxconn_for(descriptors_for(maxconn, 576), 576), maxconn);
        }
    }
}
