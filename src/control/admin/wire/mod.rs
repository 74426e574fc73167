//! One conversation on an admin socket, as bytes: what comes in, which command
//! is to be run, what goes out. No sockets, no clock, no knowledge of commands
//! but those that change the conversation itself.

use std::collections::VecDeque;
use std::time::Duration;

use super::answer::Reply;
use super::words::{Piece, split};
use crate::config::AdminLevel;

/// A conversation. Feed it with [`receive`](Self::receive), ask
/// [`next`](Self::next) what is to be done, [`answer`](Self::answer) each
/// command, and write what [`take_output`](Self::take_output) gives.
#[derive(Debug)]
pub(crate) struct Session {
    level: AdminLevel,
    /// Goes on after the first line.
    interactive: bool,
    prompt: bool,
    /// The prompt shows the uptime.
    timed: bool,
    severities: Severities,
    timeout: Duration,
    input: Vec<u8>,
    /// Bytes of `input` that hold no line end.
    searched: usize,
    reading: Reading,
    /// Commands of the current line that have not run.
    pending: VecDeque<Piece>,
    output: Vec<u8>,
    ended: bool,
    closing: bool,
    overrun: bool,
}

/// What the next input is.
#[derive(Debug, Default)]
enum Reading {
    #[default]
    Line,
    Payload {
        words: Vec<String>,
        end: Vec<u8>,
        text: Vec<u8>,
    },
    /// The rest of a line that was too long.
    Skip,
}

enum Taken {
    /// Without its end.
    Line(Vec<u8>),
    /// No whole line yet.
    Nothing,
    TooLong,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read more.
    Read,
    /// Run this and answer it.
    Run(Request),
    /// Write what is left and close.
    Close,
}

/// One command as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its words; none = an empty line.
    pub(crate) words: Vec<String>,
    /// What followed `<<`.
    pub(crate) payload: Option<String>,
}

/// A command about the conversation itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// `prompt`: with a prompt, or back to one line.
    TogglePrompt,
    /// `prompt p`.
    Prompt,
    /// `prompt i`.
    Interactive,
    /// `prompt n`.
    Once,
    /// `prompt timed`.
    Timed,
    /// `quit`.
    Quit,
    /// `set severity-output`.
    Severities(Severities),
    /// `set timeout cli`: an idle client is closed after this.
    Timeout(Duration),
    /// `user`, `operator`: as little as this from now on.
    Lower(AdminLevel),
    /// `show cli level`.
    ShowLevel,
}

/// Whether messages begin with their severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severities {
    None,
    /// `[3]: `
    Number,
    /// `[err]: `
    Word,
}

/// A line, and a payload, is at most this long: HAProxy's tune.bufsize.
pub(crate) const LINE_MAX: usize = 16 * 1024;
/// HAProxy's `stats timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);
const TOO_LONG: &str = "The command is too big for the buffer size. Please change tune.bufsize in the configuration to use a bigger command.";

impl Session {
    /// A client that may do what `level` says.
    pub(crate) fn new(level: AdminLevel) -> Self {
        Self {
            level,
            interactive: false,
            prompt: false,
            timed: false,
            severities: Severities::None,
            timeout: TIMEOUT,
            input: Vec::new(),
            searched: 0,
            reading: Reading::Line,
            pending: VecDeque::new(),
            output: Vec::new(),
            ended: false,
            closing: false,
            overrun: false,
        }
    }

    /// Takes bytes that came in. Call [`next`](Self::next) until it wants to read
    /// before the next call: that bounds what is kept.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The client will send nothing more. A line without its end is not run.
    pub(crate) fn end_of_input(&mut self) {
        self.ended = true;
    }

    /// What is to be done. `uptime` is for the prompt.
    pub(crate) fn next(&mut self, uptime: Duration) -> Step {
        loop {
            if self.closing {
                return Step::Close;
            }
            if let Some(piece) = self.pending.pop_front() {
                let Some(end) = piece.payload_end else {
                    return Step::Run(Request {
                        words: piece.words,
                        payload: None,
                    });
                };
                self.reading = Reading::Payload {
                    words: piece.words,
                    end,
                    text: Vec::new(),
                };
                self.ask_for_payload();
                continue;
            }
            let line = match self.take_line() {
                Taken::Line(line) => line,
                Taken::Nothing if self.ended => return Step::Close,
                Taken::Nothing => return Step::Read,
                Taken::TooLong => {
                    self.refuse_line(uptime);
                    continue;
                }
            };
            if let Some(request) = self.take_in(line, uptime) {
                return Step::Run(request);
            }
        }
    }

    /// Answers the command that [`next`](Self::next) gave last.
    pub(crate) fn answer(&mut self, reply: &Reply, uptime: Duration) {
        self.write(reply);
        self.end_answer(uptime);
    }

    /// Obeys a command about the conversation, and answers it.
    pub(crate) fn obey(&mut self, talk: Talk, uptime: Duration) {
        let mut reply = Reply::Silent;
        match talk {
            Talk::TogglePrompt => {
                self.prompt = !self.prompt;
                self.interactive = self.prompt;
            }
            Talk::Prompt => (self.prompt, self.interactive) = (true, true),
            Talk::Interactive => (self.prompt, self.interactive) = (false, true),
            Talk::Once => (self.prompt, self.interactive) = (false, false),
            Talk::Timed => {
                (self.prompt, self.interactive) = (true, true);
                self.timed = !self.timed;
            }
            Talk::Quit => {
                self.closing = true;
                return;
            }
            Talk::Severities(severities) => self.severities = severities,
            Talk::Timeout(timeout) => self.timeout = timeout,
            Talk::Lower(level) => self.level = self.level.min(level),
            Talk::ShowLevel => reply = Reply::Dump(level_word(self.level).to_owned()),
        }
        self.answer(&reply, uptime);
    }

    /// What is to be written.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// What the client may do.
    pub(crate) fn level(&self) -> AdminLevel {
        self.level
    }

    /// A client that does not finish its line in this time is closed.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Bytes that came in and were not taken yet.
    pub(crate) fn kept(&self) -> usize {
        self.input.len()
    }

    /// Whether more came than was taken: the rest is to be read before closing,
    /// or the client loses the answer to the reset.
    pub(crate) fn is_overrun(&self) -> bool {
        self.overrun
    }

    fn take_line(&mut self) -> Taken {
        let found = memchr::memchr(b'\n', &self.input[self.searched..]);
        let end = found.map(|end| self.searched + end);
        if let Reading::Skip = self.reading {
            match end {
                Some(end) => drop(self.input.drain(..=end)),
                None => self.input.clear(),
            }
            self.searched = 0;
            if end.is_none() {
                return Taken::Nothing;
            }
            self.reading = Reading::Line;
            return self.take_line();
        }
        if end.unwrap_or(self.input.len()) > LINE_MAX {
            return Taken::TooLong;
        }
        let Some(end) = end else {
            self.searched = self.input.len();
            return Taken::Nothing;
        };
        self.searched = 0;
        let mut line: Vec<u8> = self.input.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Taken::Line(line)
    }

    /// In one-line mode, and within a payload, the client is closed; else its
    /// next line is awaited.
    fn refuse_line(&mut self, uptime: Duration) {
        self.overrun = true;
        let in_payload = !matches!(self.reading, Reading::Line);
        self.reading = Reading::Skip;
        self.searched = 0;
        self.answer(&Reply::refused(TOO_LONG), uptime);
        self.closing |= in_payload;
    }

    /// Takes a line as a command line or as a line of payload.
    fn take_in(&mut self, line: Vec<u8>, uptime: Duration) -> Option<Request> {
        let Reading::Payload { words, end, text } = &mut self.reading else {
            self.pending = split(&line).into();
            return None;
        };
        if line == *end {
            let request = Request {
                words: std::mem::take(words),
                payload: Some(String::from_utf8_lossy(text).into_owned()),
            };
            self.reading = Reading::Line;
            return Some(request);
        }
        text.extend_from_slice(&line);
        text.push(b'\n');
        if text.len() > LINE_MAX {
            // What follows is payload too, not commands.
            self.refuse_line(uptime);
            return None;
        }
        self.ask_for_payload();
        None
    }

    fn ask_for_payload(&mut self) {
        if self.prompt {
            self.output.extend_from_slice(b"+ ");
        }
    }

    fn write(&mut self, reply: &Reply) {
        let text: &str = match reply {
            Reply::Silent => "",
            Reply::Dump(text) => text,
            Reply::Message(severity, text) => {
                let prefix = match self.severities {
                    Severities::None => String::new(),
                    Severities::Number => format!("[{}]: ", *severity as u8),
                    Severities::Word => format!("[{}]: ", severity.word()),
                };
                self.output.extend_from_slice(prefix.as_bytes());
                text
            }
        };
        self.output.extend_from_slice(text.as_bytes());
        if !text.is_empty() && !text.ends_with('\n') {
            self.output.push(b'\n');
        }
    }

    /// The empty line, the prompt; closes behind the last command of the only line.
    fn end_answer(&mut self, uptime: Duration) {
        self.output.push(b'\n');
        if self.prompt {
            let prompt = if self.timed {
                timed_prompt(uptime)
            } else {
                "> ".to_owned()
            };
            self.output.extend_from_slice(prompt.as_bytes());
        }
        if !self.interactive && self.pending.is_empty() {
            self.closing = true;
        }
    }
}

/// `show cli level`.
pub(crate) const fn level_word(level: AdminLevel) -> &'static str {
    match level {
        AdminLevel::User => "user",
        AdminLevel::Operator => "operator",
        AdminLevel::Admin => "admin",
    }
}

/// `[0:00:00:58]> `: days, hours, minutes, seconds.
fn timed_prompt(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    let (minutes, hours) = (seconds / 60 % 60, seconds / 3600 % 24);
    format!(
        "[{}:{hours:02}:{minutes:02}:{:02}]> ",
        seconds / 86_400,
        seconds % 60
    )
}

#[cfg(test)]
mod tests;
