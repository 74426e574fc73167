//! `cargo bench --bench compare`: rlb, HAProxy, nginx and a bare relay side by side.
//!
//! One run starts an nginx origin and every proxy, gives each the same work round by
//! round (A B C D, A B C D) and prints the CPU time a proxy spends per request with its
//! ratio to each peer. On shared, noisy cores a rate means little; CPU time is stable,
//! and a ratio taken inside one round more so. Proxies run on one core, the load
//! generator (wrk) and the origin on another.
//!
//! Start reading at [`run`]; what is measured stands in [`work`], the peers and their
//! tuning in [`peer`] and `benches/peers/`. `--help` lists the options.

mod args;
mod chart;
mod host;
mod load;
mod memory;
mod origin;
mod peer;
mod pooling;
mod process;
mod relay;
mod report;
mod rounds;
mod stats;
mod template;
mod tls;
mod work;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use args::Args;

/// What can stop a run; the bench has one reader, who wants a sentence.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut argv = std::env::args_os().skip(1);
    // The bench starts itself for helpers that must be processes of their own.
    let outcome = match argv.next().as_deref().and_then(|word| word.to_str()) {
        Some(process::LAUNCH) => process::launch(argv),
        Some(relay::RELAY) => relay::run(argv),
        Some(origin::SILENT) => origin::run_silent(argv),
        _ => run(&Args::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let cores = host::Cores::choose()?;
    let files = host::raise_file_limit()?;
    let dir = tempfile::tempdir()?;
    let ports = peer::Ports::from(args.port_base);
    ports.refuse_if_taken()?;
    // Children inherit nothing of this: each is placed when it is launched.
    cores.pin_self_to_load()?;

    let peers = peer::find(args, &ports)?;
    let site = peer::Site {
        dir: dir.path(),
        cores,
        files,
        ports,
    };
    tls::write_certificate(&site)?;
    if let Some(state) = args.memory_state() {
        let table = memory::measure(&site, &peers, state)?;
        return finish(args, &table, |out| {
            std::fs::write(out.join(state.file_name()), &table)
        });
    }

    let works = args.works()?;
    let outcome = rounds::measure(args, &site, peers, &works)?;
    let table = report::markdown(args, &site, &outcome);
    finish(args, &table, |out| {
        std::fs::write(out.join("compare.md"), &table)?;
        chart::draw(&outcome, &out.join("compare.svg")).map_err(std::io::Error::other)
    })?;
    match outcome.failed_requests_of_rlb() {
        0 => Ok(()),
        n => Err(format!("{n} requests through rlb failed").into()),
    }
}

/// Prints the table; a whole run also replaces what the README shows.
fn finish(
    args: &Args,
    table: &str,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<()> {
    println!("{table}");
    if args.writes_results() {
        let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        std::fs::create_dir_all(&out)?;
        write(&out)?;
        eprintln!("written to benches/results");
    } else {
        eprintln!("a partial run: benches/results left as it was (--write replaces it)");
    }
    Ok(())
}
