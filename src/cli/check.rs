//! `rlb -c` and `rlb check`: is this a configuration?

use std::path::PathBuf;
use std::process::ExitCode;

use rlb::config::{Config, Loaded};

use super::REFUSED;
use super::output::{Count, is_color, print, say, warn};

/// Reads the files and says what is wrong with them.
pub(super) fn run(files: &[PathBuf], quiet: bool) -> ExitCode {
    let Some(loaded) = load(files) else {
        return ExitCode::from(REFUSED);
    };
    if !quiet {
        let count = loaded.warnings.len();
        if count > 0 {
            say(Count(count, "warning"));
        }
        print("Configuration file is valid");
    }
    ExitCode::SUCCESS
}

/// The configuration, its warnings told; `None` = all problems were.
pub(super) fn load(files: &[PathBuf]) -> Option<Loaded> {
    match Config::load(files) {
        Ok(loaded) => {
            warn(&loaded.warnings);
            Some(loaded)
        }
        Err(errors) => {
            say(errors.render(is_color()).trim_end());
            None
        }
    }
}
