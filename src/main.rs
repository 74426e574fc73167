//! The `rlb` command.

mod cli;
mod ctl;
mod demo;

use std::process::ExitCode;

// Half of glibc's time per allocation on the control plane, and memory that
// 100,000 connections leave behind goes back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
