//! Whole texts in, configurations or diagnostics out.

use super::*;

mod errors;
mod files;
mod forms;
mod print;
mod reference;
mod round_trip;

/// A text that must be fine, in an empty environment.
fn config(text: &str) -> Config {
    match Config::parse_with("lb.toml", text, &|_| None) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    }
}

/// The warnings of a text that must be fine, one line each.
fn warnings(text: &str) -> Vec<String> {
    let loaded = Config::parse_with("lb.toml", text, &|_| None).unwrap();
    loaded.warnings.iter().map(Diagnostic::summary).collect()
}

/// All that is said of a text that must not be fine.
fn refusal(text: &str) -> ConfigErrors {
    Config::parse_with("lb.toml", text, &|_| None).unwrap_err()
}

/// The problems of a text, one line each.
fn summaries(text: &str) -> Vec<String> {
    refusal(text)
        .errors()
        .iter()
        .map(Diagnostic::summary)
        .collect()
}
