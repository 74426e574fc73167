//! One question, one answer.

use std::io::{self, ErrorKind, Read as _};
use std::time::Duration;

use super::Failure;
use super::address::Address;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Without severities and without the empty line at the end.
    pub(super) text: String,
    /// The first sentence that refuses something.
    pub(super) refusal: Option<String>,
}

/// More than any answer: 10,000 servers are 5 MB.
const ANSWER_MAX: u64 = 256 << 20;

/// Asks this line and reads until the close.
///
/// # Errors
/// Nobody is there, or it does not answer in time.
pub(super) fn ask(address: &Address, line: &str, patience: Duration) -> Result<Answer, Failure> {
    let unreachable = |error: io::Error| {
        let why = match error.kind() {
            ErrorKind::NotFound => {
                "there is no such socket; is rlb running, and with this one?".to_owned()
            }
            ErrorKind::ConnectionRefused => "nobody listens there; is rlb running?".to_owned(),
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".to_owned(),
            _ => error.to_string(),
        };
        Failure::Unreachable(format!("{address}: {why}"))
    };
    let mut stream = address.connect(patience).map_err(unreachable)?;
    let question = format!("set severity-output number;{line}\n");
    stream.write_all(question.as_bytes()).map_err(unreachable)?;
    let mut bytes = Vec::new();
    (&mut *stream)
        .take(ANSWER_MAX)
        .read_to_end(&mut bytes)
        .map_err(unreachable)?;
    let text = String::from_utf8_lossy(&bytes);
    // The answer to `set severity-output`.
    match text.strip_prefix('\n') {
        Some(text) => Ok(read(text)),
        None => Err(Failure::Unreachable(format!(
            "{address}: this is no admin socket"
        ))),
    }
}

/// Takes severities off the beginning of each answer; up to 3 is a refusal.
fn read(text: &str) -> Answer {
    let mut shown = String::with_capacity(text.len());
    let mut refusal = None;
    let mut at_start = true;
    for line in text.split_inclusive('\n') {
        let tagged = at_start.then(|| severity(line)).flatten();
        if let Some((severity, sentence)) = tagged {
            if severity <= 3 && refusal.is_none() {
                refusal = Some(sentence.trim_end().to_owned());
            }
            shown.push_str(sentence);
        } else {
            shown.push_str(line);
        }
        at_start = line == "\n";
    }
    // The empty line that ends the last answer.
    if shown.ends_with("\n\n") || shown == "\n" {
        shown.pop();
    }
    Answer {
        text: shown,
        refusal,
    }
}

/// `[3]: sentence`.
fn severity(line: &str) -> Option<(u8, &str)> {
    let (number, sentence) = line.strip_prefix('[')?.split_once("]: ")?;
    Some((number.parse().ok()?, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_tell_refusals_and_are_not_shown() {
        let cases = [
            ("\n", "", None),
            (
                "[3]: No such server.\n\n",
                "No such server.\n",
                Some("No such server."),
            ),
            (
                "[6]: New server registered.\n\n",
                "New server registered.\n",
                None,
            ),
            ("a,b\n[3]: c\n\n", "a,b\n[3]: c\n", None),
            (
                "10 (initial 10)\n\n[3]: No.\n\n",
                "10 (initial 10)\n\nNo.\n",
                Some("No."),
            ),
        ];
        for (text, shown, refusal) in cases {
            let answer = read(text);
            assert_eq!(
                (&*answer.text, answer.refusal.as_deref()),
                (shown, refusal),
                "{text:?}"
            );
        }
    }
}
