//! What must hold of a conversation for any bytes: for the fuzz target and its corpus.

use std::time::Duration;

use super::answer::Reply;
use super::command::Command;
use super::wire::{LINE_MAX, Session, Step};
use crate::config::AdminLevel;

const UPTIME: Duration = Duration::from_secs(93_784);

/// The answers are the same in whatever pieces the bytes come, every command is
/// understood somehow, and nothing piles up.
///
/// # Panics
/// It does not hold.
pub(crate) fn check(bytes: &[u8]) {
    for level in [AdminLevel::User, AdminLevel::Operator, AdminLevel::Admin] {
        let whole = converse(bytes, level, bytes.len().max(1));
        for cut in [1, 7] {
            assert_eq!(converse(bytes, level, cut), whole);
        }
    }
}

/// What is answered, and whether we close.
fn converse(bytes: &[u8], level: AdminLevel, cut: usize) -> (Vec<u8>, bool) {
    let mut session = Session::new(level);
    let mut output = Vec::new();
    for piece in bytes.chunks(cut) {
        session.receive(piece);
        loop {
            match session.next(UPTIME) {
                Step::Read => break,
                Step::Close => {
                    output.extend(session.take_output());
                    return (output, true);
                }
                Step::Run(request) => match Command::parse(&request, session.level()) {
                    Command::Talk(talk) => session.obey(talk, UPTIME),
                    command => session.answer(&pretended(command), UPTIME),
                },
            }
        }
        assert!(session.kept() <= LINE_MAX, "input piles up");
    }
    output.extend(session.take_output());
    (output, false)
}

/// As if there were a process behind it.
fn pretended(command: Command) -> Reply {
    match command {
        Command::Answer(reply) => reply,
        Command::Server(_, Err(reply)) | Command::Frontend(_, Err(reply)) => reply,
        Command::AddServer(target, added) => match added.read(&target.server) {
            Ok(_) => Reply::Silent,
            Err(reply) => reply,
        },
        command => Reply::Dump(format!("{command:?}")),
    }
}
