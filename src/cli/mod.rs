//! The command line: arguments in, words and exit codes out.
//!
//! Uses the library as any program would, through its public surface, and must
//! not know how anything works. Start at [`main`]; a subcommand is a variant of
//! [`args::Command`], a line in [`main`] and a file of its own.

mod args;
mod check;
mod output;
mod pidfile;
pub(crate) mod serve;
mod signals;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use rlb::Program;

pub(crate) use args::DemoArgs;
use args::{Args, Command};
use output::say;
pub(crate) use output::{complain, print};

/// What a file or a start that was refused ends with.
pub(crate) const REFUSED: u8 = 1;
/// What a command line that makes no sense ends with, as clap does.
pub(crate) const USAGE: u8 = 2;
/// EX_SOFTWARE: a thread of ours broke.
pub(crate) const BROKEN: u8 = 70;

/// Read without `-f`.
const DEFAULT_FILE: &str = "/etc/rlb/lb.toml";

/// Runs what the arguments ask for.
pub(crate) fn main() -> ExitCode {
    let args = match Args::from_command_line(std::env::args_os()) {
        Ok(args) => args,
        Err(refused) => return refused.tell(),
    };
    if let Some(command) = args.command {
        return match command {
            Command::Check(check) => check::run(&files(check.files), args.quiet),
            Command::Demo(demo) => crate::demo::run(&demo, args.quiet, args.debug),
            Command::Ctl(ctl) => crate::ctl::run(&ctl),
            Command::Healthcheck(health) => crate::ctl::healthcheck(&health),
        };
    }
    if args.orphan {
        return match Program::start_orphan() {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => {
                complain(sentence);
                ExitCode::from(REFUSED)
            }
        };
    }
    if args.version > 0 {
        return version::run(args.version > 1);
    }
    let quiet = args.quiet && !args.verbose;
    let files = files(args.files);
    if args.check {
        return check::run(&files, quiet);
    }
    serve::run(&files, args.pidfile, args.takeover, quiet, args.debug)
}

fn files(given: Vec<PathBuf>) -> Vec<PathBuf> {
    if !given.is_empty() {
        return given;
    }
    let default = PathBuf::from(DEFAULT_FILE);
    if !default.exists() {
        say("hint: no -f is given; `rlb -f FILE` serves a file, `rlb demo` needs none");
    }
    vec![default]
}
