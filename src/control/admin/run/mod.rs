//! What each command does to control, and says.
//!
//! `change.rs` asks [`Control`] to change something, `show.rs` reads, the rest
//! is what needs neither. Start at [`run`].

mod change;
mod explain;
mod refusal;
mod show;
mod wait;

use std::rc::Rc;
use std::sync::Arc;

use super::answer::Reply;
use super::command::{Added, Command, Target};
use super::dump;
use super::mask::Mask;
use crate::control::{Cause, Control, ReloadReport};
use crate::generation::{Backend, Frontend, Server};
use crate::observe::sounds_secret;

/// Runs a command and answers it.
pub(super) async fn run(control: &Rc<Control>, command: Command) -> Reply {
    obey(control, command)
        .await
        .unwrap_or_else(|refusal| refusal)
}

async fn obey(control: &Rc<Control>, command: Command) -> Result<Reply, Reply> {
    match command {
        Command::Answer(reply) => Ok(reply),
        // The client's task has taken it.
        Command::Talk(_) => Ok(Reply::Silent),
        Command::Show(show) => show::show(control, show).await,
        Command::GetWeight(target) => {
            let (_, server) = find(control, &target)?;
            let (weight, initial) = (server.weight, server.initial_weight);
            Ok(Reply::Dump(format!("{weight} (initial {initial})")))
        }
        Command::Server(target, change) => {
            let (backend, server) = find(control, &target)?;
            change::server(control, &backend, &server, change?).await
        }
        Command::AddServer(_, added) if added.help => Ok(Added::help()),
        Command::AddServer(target, added) => change::add(control, &target, &added).await,
        Command::Frontend(name, change) => {
            match find_frontend(control, &name) {
                Ok(frontend) => change::frontend(control, &frontend.config.name, change?).await,
                // One that was shut down is served no more, and still known.
                Err(refusal) => change::frontend(control, &name, change.or(Err(refusal))?).await,
            }
        }
        Command::MaxconnGlobal(maxconn) => change::maxconn_global(control, maxconn),
        Command::ShutdownSession(id) => change::shutdown_session(control, &id).await,
        Command::ClearCounters { all } => {
            control.clear_counters(all);
            Ok(Reply::Silent)
        }
        Command::ClearOverride(object) => change::clear_override(control, &object).await,
        Command::ClearOverrides => change::clear_overrides(control).await,
        Command::Wait(delay, condition) => wait::wait(control, delay, condition).await,
        Command::Explain(request) => {
            let addresses = control.addresses();
            let text = explain::explain(&control.generation(), &addresses, &request);
            Ok(Reply::Dump(mask(control).apply(text)))
        }
        Command::SaveState => {
            let path = control.save_state().await.map_err(refusal::refused)?;
            Ok(Reply::info(format!("State saved to {}.", path.display())))
        }
        Command::Reload => Ok(reload(control).await),
        Command::Upgrade => Ok(upgrade(control).await),
    }
}

/// As the master process of HAProxy answers.
async fn reload(control: &Rc<Control>) -> Reply {
    let outcome = control.reload(Cause::Reload("reload".to_owned())).await;
    let outcome = outcome.map(|report| reload_lines(&report));
    as_master(control, outcome)
}

async fn upgrade(control: &Rc<Control>) -> Reply {
    let outcome = control.upgrade().await;
    let outcome = outcome.map(|pid| {
        let own = std::process::id();
        format!("process {pid} has taken over; process {own} drains and ends")
    });
    as_master(control, outcome)
}

/// Whether it worked, then what there is to read.
fn as_master(control: &Control, outcome: Result<String, String>) -> Reply {
    let text = match outcome {
        Ok(lines) => format!("Success=1\n--\n{lines}"),
        Err(diagnostics) => format!("Success=0\n--\n{diagnostics}"),
    };
    Reply::Dump(mask(control).apply(text))
}

fn reload_lines(report: &ReloadReport) -> String {
    let tagged = |tag: &'static str, lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| format!("{tag}{line}")).collect()
    };
    let lines = [
        tagged("", &report.changed),
        tagged("warning: ", &report.warnings),
        tagged("needs a restart: ", &report.needs_restart),
    ]
    .concat();
    if lines.is_empty() {
        return "nothing changed".to_owned();
    }
    lines.join("\n")
}

/// For texts that may quote the file.
fn mask(control: &Control) -> Mask {
    let mut secrets = control.expanded().to_vec();
    // A file that was refused may have taken in more than the one in force.
    let variables = dump::variables().into_iter();
    secrets.extend(variables.filter_map(|(name, value)| sounds_secret(&name).then_some(value)));
    Mask::new(&secrets)
}

/// The server that a command is about, and its backend.
fn find(control: &Control, target: &Target) -> Result<(Arc<Backend>, Arc<Server>), Reply> {
    let backend = find_backend(control, &target.backend)?;
    let server = control
        .find_server(&backend, &target.server)
        .ok_or_else(|| Reply::refused("No such server."))?;
    Ok((backend, server))
}

fn find_backend(control: &Control, name: &str) -> Result<Arc<Backend>, Reply> {
    control
        .find_backend(name)
        .ok_or_else(|| Reply::refused("No such backend."))
}

fn find_frontend(control: &Control, name: &str) -> Result<Arc<Frontend>, Reply> {
    control
        .find_frontend(name)
        .ok_or_else(|| Reply::refused("No such frontend."))
}
