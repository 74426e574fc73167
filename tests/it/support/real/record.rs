//! What `.ci/real-report` reads: nextest runs each test in a process of its own, so the
//! count lives in a file under the target directory.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::thread;

use rustix::fs::{FlockOperation, flock};

pub(super) fn ran(program: &str, version: &str) {
    append(program, "ran", version);
}

pub(super) fn skipped(program: &str, reason: &str) {
    append(program, "SKIPPED", reason);
}

/// Held while a program is installed.
pub(super) fn install_lock() -> File {
    let file = File::create(dir().join("install.lock")).expect("the target directory is ours");
    flock(&file, FlockOperation::LockExclusive).expect("a local file can be locked");
    file
}

/// Why installing it failed earlier in this run: it is not tried for every test.
pub(super) fn failed_install(program: &str) -> Option<String> {
    fs::read_to_string(failure_file(program)).ok()
}

pub(super) fn install_failed(program: &str, reason: &str) {
    let _ = fs::write(failure_file(program), reason);
}

/// One write per line: O_APPEND keeps lines of parallel tests whole.
fn append(program: &str, what: &str, detail: &str) {
    let test = thread::current().name().unwrap_or("main").to_owned();
    let detail = detail.replace(['\t', '\n'], " ");
    let line = format!("{program}\t{what}\t{detail}\t{test}\n");
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(dir().join("parts"));
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the target directory is ours");
}

fn failure_file(program: &str) -> PathBuf {
    dir().join(format!("{program}.failed"))
}

fn dir() -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("real");
    fs::create_dir_all(&dir).expect("the target directory is ours");
    dir
}
