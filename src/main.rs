//! The `rlb` command.

use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let paths: Vec<PathBuf> = std::env::args_os()
        .skip(1)
        .filter(|a| a != "-f")
        .map(Into::into)
        .collect();
    let loaded = match rlb::config::Config::load(&paths) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{}", errors.render(false));
            return ExitCode::from(1);
        }
    };
    match rlb::Engine::start_files(paths, loaded) {
        Ok(engine) => {
            println!("{:?} {:?}", engine.addresses(), engine.limits());
            engine.wait();
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(1)
        }
    }
}
