//! `rlb ctl` and `rlb healthcheck`: clients of the admin socket.
//!
//! Words go to the socket as they are; `answer.rs` reads what comes back,
//! `table.rs` makes it readable on a terminal. Uses the library's public surface
//! only. Start at [`run`].

mod address;
mod answer;
mod drain;
mod health;
mod table;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::{REFUSED, USAGE, complain};
use address::{Address, Places};
use answer::{Answer, ask};
pub(crate) use health::{HealthArgs, run as healthcheck};

/// Send a command to the admin socket of a running rlb
///
/// `rlb ctl help` lists the commands. `drain BACKEND/SERVER [--wait[=30s]]` takes
/// new work away from a server and waits until the last session is gone.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The socket is the one of -s, of RLB_ADMIN, of the file of -f, or /run/rlb/admin.sock.
Exit status: 0 done, 1 refused, 2 not reachable or usage.")]
pub(crate) struct CtlArgs {
    #[command(flatten)]
    socket: SocketArgs,

    /// Answer of a `show` as JSON
    #[arg(long, conflicts_with = "raw")]
    json: bool,

    /// Answer as it comes, on a terminal too
    #[arg(long)]
    raw: bool,

    /// With `drain`: return when the last session is gone, or fail after this time
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = wait)]
    wait: Option<Wait>,

    /// The command, as words or as one text
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
}

/// Where the socket is.
#[derive(Debug, clap::Args)]
pub(crate) struct SocketArgs {
    /// Path of the admin socket, or its ip:port
    #[arg(short = 's', long = "socket", value_name = "ADDRESS")]
    socket: Option<String>,

    /// Configuration file that names the socket; may repeat
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,
}

/// How long to wait; `None` = as long as it takes.
#[derive(Debug, Clone, Copy)]
struct Wait(Option<Duration>);

/// A `wait` of the socket, and a reload of a large file, may take a while.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// How the answer to a command that is none begins.
const UNKNOWN: &str = "Unknown command";

/// Why a command was not done.
#[derive(Debug)]
enum Failure {
    /// Refused, in these words.
    Refused(String),
    /// Nobody there, or the command line makes no sense.
    Unreachable(String),
}

impl SocketArgs {
    fn address(&self) -> Result<Address, Failure> {
        let environment = std::env::var("RLB_ADMIN")
            .ok()
            .filter(|place| !place.is_empty());
        Places {
            given: self.socket.as_deref(),
            environment: environment.as_deref(),
            files: &self.files,
        }
        .find()
        .map_err(Failure::Unreachable)
    }
}

/// Runs it.
pub(crate) fn run(args: &CtlArgs) -> ExitCode {
    match obey(args) {
        Ok(text) => {
            // Whoever reads may have enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => tell(failure),
    }
}

fn tell(failure: Failure) -> ExitCode {
    match failure {
        Failure::Refused(sentence) => {
            complain(sentence.trim_end());
            ExitCode::from(REFUSED)
        }
        Failure::Unreachable(sentence) => {
            complain(sentence);
            ExitCode::from(USAGE)
        }
    }
}

fn obey(args: &CtlArgs) -> Result<String, Failure> {
    let usage = |sentence: &str| Err(Failure::Unreachable(sentence.to_owned()));
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    if let ["drain", rest @ ..] = &words[..] {
        let [server] = rest else {
            return usage("usage: rlb ctl drain BACKEND/SERVER [--wait[=30s]]");
        };
        return drain::drain(&args.socket.address()?, server, args.wait);
    }
    if args.wait.is_some() {
        return usage("--wait is for `rlb ctl drain`");
    }
    let mut line = line(&words);
    if args.json {
        if !line.starts_with("show ") {
            return usage("--json is for `rlb ctl show ...`");
        }
        line += " json";
    }
    let answer = ask(&args.socket.address()?, &line, ANSWER_MAX)?;
    match &*line {
        "reload" => {
            return outcome(
                &answer,
                "the files are refused; everything goes on as before",
            );
        }
        "upgrade" => {
            return outcome(
                &answer,
                "nothing has taken over; everything goes on as before",
            );
        }
        _ => {}
    }
    match answer {
        Answer {
            refusal: Some(sentence),
            ..
        } => Err(Failure::Refused(sentence)),
        // HAProxy calls it information, and lists what there is.
        Answer { text, .. } if text.starts_with(UNKNOWN) => Err(Failure::Refused(text)),
        Answer { text, .. } if args.raw || args.json || !io::stdout().is_terminal() => Ok(text),
        Answer { text, .. } => Ok(table::readable(&text)),
    }
}

/// One text goes as it is; the words of a shell are made words of the socket.
fn line(words: &[&str]) -> String {
    if let [text] = words {
        return text.trim().replace(['\n', '\r'], ";");
    }
    let escaped = words.iter().map(|word| {
        let mut text = String::with_capacity(word.len());
        for c in word.chars() {
            if matches!(c, ' ' | ';' | '\\') {
                text.push('\\');
            }
            text.push(if matches!(c, '\n' | '\r') { ' ' } else { c });
        }
        text
    });
    escaped.collect::<Vec<_>>().join(" ")
}

/// `Success=1` or `Success=0`, `--`, and what there is to read.
fn outcome(answer: &Answer, refused: &str) -> Result<String, Failure> {
    if let Some(sentence) = &answer.refusal {
        return Err(Failure::Refused(sentence.clone()));
    }
    let (first, lines) = answer
        .text
        .split_once("\n--\n")
        .unwrap_or((&answer.text, ""));
    if first.trim() == "Success=1" {
        return Ok(lines.to_owned());
    }
    Err(Failure::Refused(format!("{refused}\n{lines}")))
}

fn wait(text: &str) -> Result<Wait, String> {
    if text.is_empty() {
        return Ok(Wait(None));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0,
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("write a time such as 500ms, 30s or 5m".to_owned()),
    };
    let number: u32 = number
        .parse()
        .map_err(|_| "write a time such as 500ms, 30s or 5m".to_owned())?;
    Ok(Wait(Some(match seconds {
        0 => Duration::from_millis(number.into()),
        seconds => Duration::from_secs(seconds) * number,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_shell_stay_words_and_one_text_stays_as_it_is() {
        let cases: [(&[&str], &str); 4] = [
            (&["show", "stat"], "show stat"),
            (&["show info; show stat"], "show info; show stat"),
            (
                &["explain", "GET", "/", "X:a b;c\\d"],
                r"explain GET / X:a\ b\;c\\d",
            ),
            (&["echo", "a\nquit"], r"echo a quit"),
        ];
        for (words, expected) in cases {
            assert_eq!(line(words), expected);
        }
    }

    #[test]
    fn waits_have_units() {
        assert_eq!(wait("500ms").unwrap().0, Some(Duration::from_millis(500)));
        assert_eq!(wait("2m").unwrap().0, Some(Duration::from_secs(120)));
        assert_eq!(wait("7").unwrap().0, Some(Duration::from_secs(7)));
        assert_eq!(wait("").unwrap().0, None);
        assert!(wait("soon").is_err() && wait("1w").is_err());
    }
}
