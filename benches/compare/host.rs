//! The machine: which cores, how many descriptors, how much noise.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// Where things run: the proxy under test alone, everything else apart from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) proxy: usize,
    pub(crate) load: usize,
}

impl Cores {
    /// The first two cores this process may use.
    pub(crate) fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        match (usable.next(), usable.next()) {
            (Some(proxy), Some(load)) => Ok(Self { proxy, load }),
            _ => Err("needs two cores: one for the proxy, one for load and origin".into()),
        }
    }

    pub(crate) fn pin_self_to_load(self) -> Result<()> {
        pin(self.load)
    }
}

/// Binds the calling thread to one core; what it starts inherits that.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the descriptor limit as far as it goes and returns it; children inherit it.
pub(crate) fn raise_file_limit() -> Result<u64> {
    let hard = getrlimit(Resource::Nofile).maximum;
    // Root may go beyond the hard limit, unless a container forbids it.
    let wished = hard.unwrap_or(ENOUGH_FILES).max(ENOUGH_FILES);
    if setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wished),
            maximum: Some(wished),
        },
    )
    .is_ok()
    {
        return Ok(wished);
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: hard,
            maximum: hard,
        },
    )?;
    Ok(hard.unwrap_or(ENOUGH_FILES))
}

/// CPU time that all processes together have spent on one core, in ns.
///
/// Counted in ticks of 10 ms: good for a share of seconds, not for less.
pub(crate) fn busy_ns(core: usize) -> Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core}");
    let line = stat
        .lines()
        .find(|line| line.split_whitespace().next() == Some(&name))
        .ok_or("this core is not in /proc/stat")?;
    // proc_stat(5): user nice system idle iowait irq softirq steal
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|t| t.parse().ok())
        .collect();
    let busy = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|&i| ticks.get(i))
        .sum::<u64>();
    Ok(busy * NS_PER_TICK)
}

/// Kernel, processor and load, for the foot of the table.
pub(crate) fn describe() -> String {
    let uname = rustix::system::uname();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    format!(
        "{} {} {}, {cores} x {model}",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy(),
    )
}

/// Descriptors that the largest measurement (16,000 connections through HAProxy) needs.
const ENOUGH_FILES: u64 = 65_536;

/// `/proc` counts in USER_HZ, which is 100 on every architecture rlb runs on.
pub(crate) const NS_PER_TICK: u64 = 1_000_000_000 / 100;
