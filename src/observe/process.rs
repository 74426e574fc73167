//! What control knows of the process.

use std::time::Duration;

/// Facts about the process for `show info` and metrics. Control fills it; what
/// is not known is 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProcessFacts {
    /// Process id.
    pub(crate) pid: u32,
    /// Host name, see [`node_name`]; never empty.
    pub(crate) node: String,
    /// When the process started, milliseconds of Unix time.
    pub(crate) started_unix_ms: u64,
    /// Now, milliseconds of Unix time.
    pub(crate) now_unix_ms: u64,
    /// Time since the start.
    pub(crate) uptime: Duration,
    /// From the start to the first accept.
    pub(crate) boot: Duration,
    /// CPU time used so far, see [`cpu_time`].
    pub(crate) cpu: Duration,
    /// Worker threads.
    pub(crate) workers: usize,
    /// Descriptors the process may open.
    pub(crate) descriptors: usize,
    /// Most client connections.
    pub(crate) maxconn: usize,
    /// Client connections now.
    pub(crate) connections: usize,
    /// Client connections accepted ever.
    pub(crate) accepted: u64,
    /// Most pipes.
    pub(crate) pipes_max: usize,
    /// Pipes now.
    pub(crate) pipes: usize,
    /// Open binds.
    pub(crate) listeners: usize,
    /// The process drains.
    pub(crate) stopping: bool,
    /// Log records lost.
    pub(crate) dropped_logs: u64,
    /// Sessions and tasks that ended in a panic.
    pub(crate) panics: u64,
    /// When the generation in force was published, milliseconds of Unix time.
    pub(crate) generation_unix_ms: u64,
    /// Generations that changed what is served, ever.
    pub(crate) changes: u64,
    /// The latest tick of each worker, by worker.
    pub(crate) late_max: Vec<Duration>,
}

/// CPU time of all threads of this process.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The host's name. hatop gives up on an empty one.
pub(crate) fn node_name() -> String {
    match rustix::system::uname().nodename().to_string_lossy() {
        name if name.is_empty() => "localhost".to_owned(),
        name => name.into_owned(),
    }
}
