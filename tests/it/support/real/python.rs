//! Programs of the Python package index, in an environment that is kept between runs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Part, Tool, find, record, skip};

/// Where packages were installed.
#[derive(Debug)]
pub(crate) struct Python(PathBuf);

/// The interpreter with these packages; each is what `pip install` calls it. `large` =
/// hundreds of megabytes, which only `RLB_REAL_LARGE=1` asks for.
#[track_caller]
pub(crate) fn python(packages: &[&str], large: bool) -> Option<Python> {
    let interpreter = find(Part::Python)?;
    let name = packages.join(" ");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python {name}"));
    // Tests run in parallel processes: one installs, the others find what it got.
    let _lock = record::install_lock();
    if !dir.join("complete").is_file() {
        if env::var_os("RLB_NO_INSTALL").is_some() {
            return refuse(&name, "not installed, and RLB_NO_INSTALL is set");
        }
        if large && env::var_os("RLB_REAL_LARGE").is_none() {
            return refuse(&name, "hundreds of megabytes; RLB_REAL_LARGE=1 installs it");
        }
        if let Err(reason) = install(&interpreter, &dir, packages) {
            return refuse(&name, &reason);
        }
    }
    record::ran(&name, "of PyPI");
    Some(Python(dir))
}

#[track_caller]
fn refuse(name: &str, reason: &str) -> Option<Python> {
    skip(name, reason);
    let required = env::var_os("RLB_REQUIRE_REAL").is_some() && !reason.contains("RLB_REAL_LARGE");
    assert!(!required, "{name}: {reason}");
    None
}

fn install(interpreter: &Path, dir: &Path, packages: &[&str]) -> Result<(), String> {
    run(Command::new(interpreter)
        .args(["-m", "venv", "--clear"])
        .arg(dir))?;
    let mut pip = Command::new(dir.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run(pip.args(packages))?;
    std::fs::write(dir.join("complete"), "").map_err(|error| error.to_string())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Err(said.lines().last().unwrap_or("it failed").to_owned())
}

impl Python {
    /// A program that the packages brought; `python` is always there.
    pub(crate) fn program(&self, name: &str) -> Tool {
        Tool::at(self.0.join("bin").join(name))
    }
}
