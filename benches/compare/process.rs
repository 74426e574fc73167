//! Processes of a run: placed on a core, ended with the bench whatever ends it, measured as a tree.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

use crate::{Result, host};

/// The word that makes the bench a launcher, see [`launch`].
pub(crate) const LAUNCH: &str = "__launch";

/// A process that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    end: End,
    output: PathBuf,
}

/// The signal that ends a process at once, and its children with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Has children to take along (nginx), and does so without draining.
    Term,
    /// Has none, or would drain.
    Kill,
}

/// CPU time of a process tree since it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    /// From `schedstat`: nanoseconds, of all threads that live.
    pub(crate) ns: u64,
    /// From `stat`: user + system in ticks of 10 ms, dead threads included.
    pub(crate) ticks_ns: u64,
}

impl Process {
    /// Starts `program` on `core`; what it prints goes to a file in `dir`.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        args: &[OsString],
        core: usize,
        end: End,
        dir: &Path,
    ) -> Result<Self> {
        let output = dir.join(format!("{name}.out"));
        let file = File::create(&output)?;
        let child = launcher(program, core, end)?
            .args(args)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Self {
            name: name.to_owned(),
            child,
            end,
            output,
        })
    }

    /// Waits until `ready`; an early death or 10 s without it is an error that quotes the output.
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ready() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let how = ended.map_or_else(
                    || "is not ready after 10 s".to_owned(),
                    |s| format!("ended with {s}"),
                );
                let said = fs::read_to_string(&self.output).unwrap_or_default();
                return Err(format!("{} {how}\n{said}", self.name).into());
            }
            pause(Duration::from_millis(10));
        }
        Ok(())
    }

    pub(crate) fn cpu(&self) -> Result<Cpu> {
        let mut cpu = Cpu { ns: 0, ticks_ns: 0 };
        for pid in self.tree()? {
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = fs::read_to_string(thread?.path().join("schedstat"))?;
                cpu.ns += text
                    .split(' ')
                    .next()
                    .and_then(|ns| ns.parse::<u64>().ok())
                    .unwrap_or(0);
            }
            let fields = stat_fields(pid)?;
            // proc_pid_stat(5): utime is field 14, stime 15; ours begin with field 3.
            let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
            cpu.ticks_ns += ticks * host::NS_PER_TICK;
        }
        Ok(cpu)
    }

    /// Resident memory of the tree, bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let mut kib = 0;
        for pid in self.tree()? {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))
                .unwrap_or_default();
            kib += line
                .trim()
                .trim_end_matches(" kB")
                .parse::<u64>()
                .unwrap_or(0);
        }
        Ok(kib * 1024)
    }

    fn tree(&self) -> Result<Vec<u32>> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            // Others may end while we look.
            let Ok(fields) = stat_fields(pid) else {
                continue;
            };
            parents.push((pid, fields[1].parse::<u32>()?));
        }
        let mut tree = vec![self.child.id()];
        let mut next = 0;
        while next < tree.len() {
            let children = parents
                .iter()
                .filter(|(_, parent)| *parent == tree[next])
                .map(|(pid, _)| *pid);
            let children: Vec<u32> = children.collect();
            tree.extend(children);
            next += 1;
        }
        Ok(tree)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        // Not waited for yet: the pid is still this child's, dead or alive.
        let _ = kill_process(pid, self.end.signal());
        let deadline = Instant::now() + Duration::from_secs(3);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            pause(Duration::from_millis(5));
        }
    }
}

impl End {
    fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Kill => Signal::KILL,
        }
    }
}

/// A command that goes through [`launch`].
pub(crate) fn launcher(program: &Path, core: usize, end: End) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(LAUNCH)
        .arg(core.to_string())
        .arg(if end == End::Term { "term" } else { "kill" })
        .arg(std::process::id().to_string())
        .arg(program);
    Ok(command)
}

/// `__launch CORE term|kill PARENT PROGRAM ARGS...`: becomes PROGRAM, bound to the core
/// and to the life of the bench: the kernel signals it when the bench is gone, also by SIGKILL.
pub(crate) fn launch(mut argv: impl Iterator<Item = OsString>) -> Result<()> {
    let mut word = || {
        argv.next()
            .ok_or("__launch CORE term|kill PARENT PROGRAM ARGS...")
    };
    let core = word()?.to_string_lossy().parse()?;
    let end = if word()? == "term" {
        End::Term
    } else {
        End::Kill
    };
    let parent: i32 = word()?.to_string_lossy().parse()?;
    let program = word()?;
    host::pin(core)?;
    set_parent_process_death_signal(Some(end.signal()))?;
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Err("the bench is gone already".into());
    }
    let error = Command::new(&program).args(argv).exec();
    Err(format!("{}: {error}", program.to_string_lossy()).into())
}

/// The only sleep of the bench, between two looks at a condition.
#[expect(clippy::disallowed_methods, reason = "no worker to block here")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The fields of `/proc/PID/stat` behind the name, which may hold spaces.
fn stat_fields(pid: u32) -> Result<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(") ").ok_or("no name in /proc/PID/stat")?;
    let fields: Vec<String> = rest.split(' ').map(str::to_owned).collect();
    if fields.len() < 13 {
        Err("short /proc/PID/stat".into())
    } else {
        Ok(fields)
    }
}
