//! `rlb healthcheck`: is this process alive, and may it get clients.

use std::process::ExitCode;
use std::time::Duration;

use super::answer::ask;
use super::{Failure, SocketArgs, tell};

/// Exit 0 if a running rlb answers within a second and all its listeners are open
///
/// The state of backends does not matter: restarting rlb would not mend them.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    socket: SocketArgs,

    /// Also fail while it drains, and until each source of servers answered once
    #[arg(long)]
    ready: bool,
}

const PATIENCE: Duration = Duration::from_secs(1);

/// Runs it.
pub(crate) fn run(args: &HealthArgs) -> ExitCode {
    match check(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(failure),
    }
}

fn check(args: &HealthArgs) -> Result<(), Failure> {
    let answer = ask(&args.socket.address()?, "show health", PATIENCE)?;
    if let Some(sentence) = answer.refusal {
        return Err(Failure::Refused(sentence));
    }
    judge(&answer.text, args.ready).map_err(Failure::Refused)
}

fn judge(table: &str, ready: bool) -> Result<(), String> {
    let mut lines = table
        .lines()
        .map(|line| line.trim_start_matches("# ").split(' '));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return Err("no answer to `show health`".to_owned());
    };
    let cells: Vec<(&str, u64)> = names
        .zip(values)
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect();
    let cell = |wanted: &str| {
        let found = cells.iter().find(|(name, _)| *name == wanted);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| format!("no {wanted} in `show health`"))
    };
    let draining = cell("draining")? > 0;
    if draining && ready {
        return Err("it drains".to_owned());
    }
    // An older process has no such column.
    let waiting = cell("sources_waiting").unwrap_or(0);
    if waiting > 0 && ready {
        return Err(format!("{waiting} sources of servers did not answer yet"));
    }
    let (open, wanted) = (cell("binds_open")?, cell("binds")?);
    // One that drains has closed them on purpose.
    if !draining && open < wanted {
        return Err(format!("{open} of {wanted} listeners are open"));
    }
    match cell("workers_late")? {
        0 => Ok(()),
        late => Err(format!("{late} workers are late")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_binds_and_workers_and_readiness_is_not_draining() {
        let table =
            |values: &str| format!("# binds binds_open draining workers workers_late\n{values}\n");
        assert!(judge(&table("3 3 0 2 0"), true).is_ok());
        assert!(judge(&table("3 0 1 2 0"), false).is_ok());
        assert!(judge(&table("3 0 1 2 0"), true).is_err());
        assert!(judge(&table("3 2 0 2 0"), false).is_err());
        assert!(judge(&table("3 3 0 2 1"), false).is_err());
        assert!(judge("", false).is_err());
        let waiting =
            "# binds binds_open draining workers workers_late sources_waiting\n1 1 0 2 0 2\n";
        assert!(judge(waiting, false).is_ok());
        assert!(judge(waiting, true).unwrap_err().starts_with("2 sources"));
    }
}
