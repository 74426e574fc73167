//! What must hold of the `config` room for any text.

use crate::config::{Config, Loaded};

/// A file is accepted or refused with diagnostics that can be shown; what is
/// accepted is accepted again.
pub fn file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let environment = |name: &str| (name.len() % 2 == 1).then(|| "value".to_owned());
    let read = || Config::parse_with("fuzz.toml", &text, &environment);
    match read() {
        Ok(Loaded {
            config, warnings, ..
        }) => {
            for warning in &warnings {
                assert!(!warning.render(false).is_empty());
            }
            assert_eq!(read().map(|again| again.config).ok(), Some(config));
        }
        Err(errors) => {
            assert!(!errors.errors().is_empty());
            assert!(!errors.render(true).is_empty());
        }
    }
}
