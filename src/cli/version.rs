//! `rlb -v` and `rlb -vv`.

use std::process::ExitCode;

use super::output::print;

/// Prints the version; `all`: what it was built from and runs on.
pub(super) fn run(all: bool) -> ExitCode {
    print(format_args!("rlb version {}", env!("CARGO_PKG_VERSION")));
    if all {
        print(built_with());
        print(runs_on());
    }
    ExitCode::SUCCESS
}

fn built_with() -> String {
    let of = |name| format!("{name} {}", locked(name).unwrap_or("?"));
    let features = if cfg!(feature = "test-panic") {
        "+TEST_PANIC"
    } else {
        "none"
    };
    format!(
        "Build: {profile}, {arch}, minimum rustc {rustc}\n\
         Features: {features}\n\
         HTTP/1.1: own engine on {httparse}; HTTP/2: {h2}\n\
         TLS: {rustls} with {aws_lc}: TLS 1.2 and 1.3\n\
         Runtime: {tokio}, {mimalloc}",
        profile = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
        arch = std::env::consts::ARCH,
        rustc = env!("CARGO_PKG_RUST_VERSION"),
        httparse = of("httparse"),
        h2 = of("h2"),
        rustls = of("rustls"),
        aws_lc = of("aws-lc-rs"),
        tokio = of("tokio"),
        mimalloc = of("mimalloc"),
    )
}

fn runs_on() -> String {
    let system = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "Running on: {} {} {}, {cores} cores",
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
    )
}

/// Version of a dependency in the lock file this was built with.
fn locked(name: &str) -> Option<&'static str> {
    let mut lines = include_str!("../../Cargo.lock").lines();
    let wanted = format!("name = \"{name}\"");
    lines.find(|line| *line == wanted)?;
    lines
        .next()?
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        assert!(locked("tokio").unwrap().starts_with("1."));
        assert!(!built_with().contains('?'));
        assert_eq!(locked("no-such-crate"), None);
    }
}
