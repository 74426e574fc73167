//! What may stand on the command line, HAProxy's habits included.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

use super::{USAGE, complain};
use crate::ctl::{CtlArgs, HealthArgs};

/// Layer 4 and layer 7 load balancer whose membership changes while it runs.
#[derive(Debug, Parser)]
#[command(
    name = "rlb",
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    after_help = "Signals: TERM, INT and USR1 drain, a second one stops at once; HUP and USR2 read the files again.\n\
                  Exit status: 0 success, 1 file or start refused, 2 usage, 70 a thread broke.\n\
                  RLB_LOG sets what is logged, as in RLB_LOG=debug; NO_COLOR is honoured."
)]
pub(crate) struct Args {
    /// Configuration file, or directory of *.toml files; may repeat [default: /etc/rlb/lb.toml]
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub(super) files: Vec<PathBuf>,

    /// Check the configuration and exit
    #[arg(short = 'c', long = "check")]
    pub(super) check: bool,

    /// Write the process id to this file; removed at the end
    #[arg(short = 'p', long = "pidfile", value_name = "FILE")]
    pub(super) pidfile: Option<PathBuf>,

    /// Take over from the running rlb behind this admin socket; it drains, no connection is lost
    #[arg(long, value_name = "SOCKET")]
    pub(super) takeover: Option<PathBuf>,

    /// Start as nobody's child: an upgrade does it
    #[arg(long, hide = true)]
    pub(super) orphan: bool,

    /// Print nothing but problems
    #[arg(short = 'q', long = "quiet", global = true)]
    pub(super) quiet: bool,

    /// Undo -q
    #[arg(short = 'V', long = "verbose")]
    pub(super) verbose: bool,

    /// Log more
    #[arg(short = 'd', long = "debug", global = true)]
    pub(super) debug: bool,

    /// Print the version; twice: what it was built with
    #[arg(short = 'v', long = "version", action = ArgAction::Count)]
    pub(super) version: u8,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Everything that is not running as a load balancer.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check configuration files and exit
    Check(CheckArgs),
    /// Origins, frontends and a stats page with visitors: try it without a file
    Demo(DemoArgs),
    Ctl(CtlArgs),
    Healthcheck(HealthArgs),
}

/// `rlb check`
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Configuration file, or directory of *.toml files; may repeat [default: /etc/rlb/lb.toml]
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub(super) files: Vec<PathBuf>,
}

/// `rlb demo`
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Address of the frontends
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,

    /// Port of the HTTP frontend, the others are on the next; taken ones are passed over
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    pub(crate) port: u16,

    /// Print the configuration it would run and exit
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// A command line that is not run.
#[derive(Debug)]
pub(super) enum Refused {
    /// clap's words: usage errors, and help.
    Clap(clap::Error),
    /// A flag of HAProxy's that means something else here.
    Foreign(String),
}

impl Refused {
    /// Says why, and what to exit with.
    pub(super) fn tell(self) -> ExitCode {
        match self {
            Self::Clap(error) => {
                // Nobody reads it: nothing to be done about that.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
            }
            Self::Foreign(sentence) => {
                complain(&sentence);
                ExitCode::from(USAGE)
            }
        }
    }
}

impl Args {
    /// Parses a command line, the program's name first.
    pub(super) fn from_command_line(
        line: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, Refused> {
        let line = without_haproxy_flags(line).map_err(Refused::Foreign)?;
        Self::try_parse_from(line).map_err(Refused::Clap)
    }
}

/// HAProxy's flags of two letters would be read as two flags by any getopt.
fn without_haproxy_flags(
    line: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, String> {
    let mut line = line.into_iter();
    let mut kept: Vec<_> = line.next().into_iter().collect();
    while let Some(word) = line.next() {
        match word.to_str() {
            // Foreground and supervised is what rlb is anyway.
            Some("-db" | "-W" | "-Ws") => {}
            Some("-D") => return Err(NO_DAEMON.to_owned()),
            Some(flag @ ("-sf" | "-st" | "-x")) => return Err(format!("{flag} {NO_SUCCESSOR}")),
            Some("-f" | "--file" | "-p" | "--pidfile" | "--takeover") => {
                kept.push(word);
                kept.extend(line.next());
            }
            Some(flag) if flag.starts_with('-') && flag != "--" => kept.push(word),
            // From a subcommand on, flags are its own.
            _ => {
                kept.push(word);
                kept.extend(line.by_ref());
            }
        }
    }
    Ok(kept)
}

const NO_DAEMON: &str = "-D is refused: rlb stays in the foreground, so that whoever started it sees it end; \
     use systemd, a container, or `&`";
const NO_SUCCESSOR: &str = "is refused: a changed file needs no new process (`kill -HUP` reads it again), and a new \
     binary is started with `--takeover SOCKET`, which takes over the listening sockets and \
     lets the old process drain";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Args, Refused> {
        let words = std::iter::once("rlb").chain(line.split_whitespace());
        Args::from_command_line(words.map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn haproxy_habits_are_understood() {
        let args = parse("-W -db -q -f a.toml -f conf.d -p /run/rlb.pid -d").unwrap();
        assert_eq!(args.files, [PathBuf::from("a.toml"), "conf.d".into()]);
        assert_eq!(args.pidfile, Some("/run/rlb.pid".into()));
        assert!(args.quiet && args.debug && !args.check);
        assert!(parse("-c -f a.toml").unwrap().check);
        assert_eq!(parse("-v").unwrap().version, 1);
        assert_eq!(parse("-vv").unwrap().version, 2);
        assert!(parse("-V").unwrap().verbose);
    }

    #[test]
    fn a_file_may_be_called_like_a_flag() {
        assert_eq!(
            parse("-f -D -p x").map(|args| args.files).ok(),
            None,
            "clap takes no flag for a file"
        );
        assert_eq!(parse("-f ./-D").unwrap().files, [PathBuf::from("./-D")]);
    }

    #[test]
    fn what_replaces_a_refused_flag_is_said() {
        for (line, words) in [
            ("-f a -D", "foreground"),
            ("-f a -sf 12 13", "--takeover SOCKET"),
            ("-f a -st 12", "--takeover SOCKET"),
            ("-x /run/haproxy.sock", "--takeover SOCKET"),
        ] {
            match parse(line) {
                Err(Refused::Foreign(sentence)) => assert!(sentence.contains(words), "{sentence}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn subcommands_have_flags_of_their_own() {
        let args = parse("check -f a.toml -f b.toml -q").unwrap();
        assert!(args.quiet);
        assert!(matches!(args.command, Some(Command::Check(check)) if check.files.len() == 2));
        let demo = parse("demo --port 9000").unwrap().command;
        assert!(matches!(demo, Some(Command::Demo(demo)) if demo.port == 9000));
        assert!(matches!(parse("demo -D"), Err(Refused::Clap(_))));
    }
}
