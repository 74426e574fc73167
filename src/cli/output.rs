//! Words for the operator: on stderr, in colour only where somebody looks.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write as _};

use rlb::EventLog;
use rlb::config::Diagnostic;
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer as _;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{LevelFilter, Targets, dynamic_filter_fn};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// One line on stderr. A reader that has gone is no reason to stop serving.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// One line on stdout: what was asked for.
pub(crate) fn print(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// One sentence on stderr: why not.
pub(crate) fn complain(sentence: impl Display) {
    let (red, plain) = if is_color() {
        ("\x1b[1;31m", "\x1b[0m")
    } else {
        ("", "")
    };
    say(format_args!("{red}error:{plain} {sentence}"));
}

/// Warnings of the file, with their lines.
pub(crate) fn warn(warnings: &[Diagnostic]) {
    for warning in warnings {
        say(format_args!("{}\n", warning.render(is_color())));
    }
}

/// Whether stderr may be coloured (<https://no-color.org>).
pub(crate) fn is_color() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !unwanted && io::stderr().is_terminal()
}

/// Sends events to stderr, one line each, or where the configuration says.
///
/// # Errors
/// RLB_LOG makes no sense.
pub(crate) fn log(debug: bool, quiet: bool) -> Result<EventLog, String> {
    let all = |level| Targets::new().with_default(level);
    let filter = match std::env::var("RLB_LOG") {
        Ok(written) => written
            .parse::<Targets>()
            .map_err(|error| format!("RLB_LOG={written}: {error}"))?,
        Err(_) if debug => all(LevelFilter::INFO).with_target("rlb", LevelFilter::DEBUG),
        // rustls warns of what a peer says: whoever connects would write our log
        // (and pay 8 % of a handshake for a name that is an address).
        Err(_) if quiet => all(LevelFilter::WARN).with_target("rustls", LevelFilter::ERROR),
        Err(_) => all(LevelFilter::INFO).with_target("rustls", LevelFilter::ERROR),
    };
    let events = EventLog::default();
    let elsewhere = events.clone();
    let stderr = tracing_subscriber::fmt::layer()
        .compact()
        .with_writer(io::stderr)
        .with_ansi(is_color())
        .with_target(debug)
        .fmt_fields(Sentences)
        .with_filter(dynamic_filter_fn(move |_, _| !elsewhere.is_routed()));
    tracing_subscriber::registry()
        .with(filter)
        .with(events.clone())
        .with(stderr)
        .init();
    Ok(events)
}

/// An event that names itself is a whole sentence: its fields say the same once
/// more, for programs.
struct Sentences;

impl<'w> FormatFields<'w> for Sentences {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut told = Told::default();
        fields.record(&mut told);
        writer.write_str(&told.message)?;
        if !told.is_sentence {
            writer.write_str(&told.fields)?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Told {
    message: String,
    fields: String,
    is_sentence: bool,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "event" => {
                self.is_sentence = true;
                Ok(())
            }
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// A number of things.
pub(crate) struct Count(pub(crate) usize, pub(crate) &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, thing) = self;
        let plural = if *count == 1 { "" } else { "s" };
        write!(f, "{count} {thing}{plural}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(Count(1, "server").to_string(), "1 server");
        assert_eq!(Count(0, "server").to_string(), "0 servers");
    }
}
