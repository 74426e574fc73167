//! Commands that change something.

use super::find_backend;
use super::refusal::refused;
use crate::control::admin::answer::Reply;
use crate::control::admin::command::{Added, FrontendChange, ServerChange, Target};
use crate::control::{AddressChange, Control, Refusal};
use crate::generation::{Backend, Server};
use crate::observe::parse_pointer;

type Answer = Result<Reply, Reply>;

/// Done, and nothing to say.
fn silent(done: Result<(), Refusal>) -> Answer {
    done.map(|()| Reply::Silent).map_err(refused)
}

pub(super) async fn server(
    control: &Control,
    backend: &Backend,
    server: &Server,
    change: ServerChange,
) -> Answer {
    let (b, s) = (&*backend.name, &*server.name);
    match change {
        ServerChange::Weight(weight) => silent(control.set_weight(b, s, weight).await),
        ServerChange::State(state) => silent(control.set_state(b, s, state).await),
        ServerChange::Health(health) => silent(control.set_health(b, s, health).await),
        // A check that there is none cannot be on.
        ServerChange::Checks(false) => match control.set_checks_enabled(b, s, false).await {
            Err(Refusal::NoCheck) => Ok(Reply::Silent),
            done => silent(done),
        },
        ServerChange::Checks(true) => silent(control.set_checks_enabled(b, s, true).await),
        ServerChange::Address { ip, port } => {
            let changed = control.set_address(b, s, ip, port).await;
            let changed = changed.map_err(refused)?;
            Ok(Reply::warning(address_words(changed, port.is_some())))
        }
        ServerChange::CheckAddress { ip, port } => {
            match control.set_check_address(b, s, ip, port).await {
                Err(Refusal::NoCheck) => Err(Reply::warning(
                    "health checks are not enabled on this server",
                )),
                done => silent(done),
            }
        }
        ServerChange::Tls(None) => {
            let can_be = backend.config.tls.is_some() || server.check_tls.is_some();
            Err(match can_be {
                true => Reply::refused("'set server <srv> ssl' expects 'on' or 'off'."),
                false => refused(Refusal::NoTls),
            })
        }
        ServerChange::Tls(Some(on)) => {
            control.set_tls(b, s, on).await.map_err(refused)?;
            Ok(Reply::notice("server ssl setting updated."))
        }
        ServerChange::Maxconn(maxconn) => silent(control.set_server_maxconn(b, s, maxconn).await),
        ServerChange::ShutdownSessions => {
            let ended = control.shutdown_sessions_server(b, s).await;
            ended.map(|_| Reply::Silent).map_err(refused)
        }
        ServerChange::Delete(drain) => {
            let deleted = control.del_server(b, s, drain).await;
            deleted.map_err(refused)?;
            Ok(Reply::info("Server deleted."))
        }
        ServerChange::ClearCounters => {
            control.clear_server_counters(server);
            Ok(Reply::notice("Server counters cleared."))
        }
    }
}

/// RUNTIME_API 1.4: the wording of 2.x, which haproxyadmin understands.
fn address_words(change: AddressChange, with_port: bool) -> String {
    let AddressChange { old, new } = change;
    let mut words = if old.ip() == new.ip() {
        "no need to change the addr".to_owned()
    } else {
        format!("IP changed from '{}' to '{}'", old.ip(), new.ip())
    };
    if with_port && old.port() == new.port() {
        words += ", no need to change the port";
    } else if with_port {
        words += &format!(", port changed from '{}' to '{}'", old.port(), new.port());
    }
    words + " by 'stats socket command'"
}

pub(super) async fn add(control: &Control, target: &Target, added: &Added) -> Answer {
    let backend = find_backend(control, &target.backend)?;
    if backend.server(&target.server).is_some() {
        return Err(refused(Refusal::AlreadyExists));
    }
    let keywords = added.read(&target.server)?;
    let done = control
        .add_server(&backend.name, keywords.settings, keywords.start)
        .await;
    done.map_err(refused)?;
    Ok(Reply::info("New server registered."))
}

pub(super) async fn frontend(control: &Control, name: &str, change: FrontendChange) -> Answer {
    match change {
        FrontendChange::Enable(enabled) => {
            match control.set_frontend_enabled(name, enabled).await {
                Err(Refusal::AlreadySo) if enabled => {
                    Err(Reply::notice("All sockets are already enabled."))
                }
                Err(Refusal::AlreadySo) => Err(Reply::notice("All sockets are already disabled.")),
                Err(Refusal::ShutDown) if !enabled => Err(Reply::refused(
                    "Frontend was previously shut down, cannot disable.",
                )),
                done => silent(done),
            }
        }
        FrontendChange::Shutdown => match control.shutdown_frontend(name).await {
            Err(Refusal::ShutDown) => Err(Reply::refused("Frontend was already shut down.")),
            done => silent(done),
        },
        FrontendChange::Maxconn(maxconn) => {
            silent(control.set_frontend_maxconn(name, maxconn).await)
        }
    }
}

/// Never above what the process was made for: its descriptors are counted.
pub(super) fn maxconn_global(control: &Control, maxconn: usize) -> Answer {
    match control.set_maxconn(maxconn) {
        true => Ok(Reply::Silent),
        false => Err(Reply::refused("Value out of range.")),
    }
}

pub(super) async fn shutdown_session(control: &Control, id: &str) -> Answer {
    let (worker, index) = parse_pointer(id).ok_or_else(|| refused(Refusal::NoSuchSession))?;
    silent(control.shutdown_session(worker, index).await)
}

/// Names as they are written: what was deleted has no number any more.
pub(super) async fn clear_override(control: &Control, object: &str) -> Answer {
    silent(match object.split_once('/') {
        Some((backend, server)) => control.clear_override(backend, server).await,
        None => control.clear_frontend_override(object).await,
    })
}

pub(super) async fn clear_overrides(control: &Control) -> Answer {
    let cleared = control.clear_overrides().await.map_err(refused)?;
    Ok(Reply::info(match cleared {
        0 => "Nothing was overridden.".to_owned(),
        1 => "1 override cleared.".to_owned(),
        many => format!("{many} overrides cleared."),
    }))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn address_changes_are_told_in_the_words_of_2_x() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let cases = [
            (
                "10.0.0.1:80",
                false,
                "no need to change the addr by 'stats socket command'",
            ),
            (
                "10.0.0.1:80",
                true,
                "no need to change the addr, no need to change the port by 'stats socket command'",
            ),
            (
                "10.0.0.2:80",
                false,
                "IP changed from '10.0.0.1' to '10.0.0.2' by 'stats socket command'",
            ),
            (
                "10.0.0.2:80",
                true,
                "IP changed from '10.0.0.1' to '10.0.0.2', no need to change the port by 'stats socket command'",
            ),
            (
                "10.0.0.1:81",
                true,
                "no need to change the addr, port changed from '80' to '81' by 'stats socket command'",
            ),
            (
                "10.0.0.2:81",
                true,
                "IP changed from '10.0.0.1' to '10.0.0.2', port changed from '80' to '81' by 'stats socket command'",
            ),
        ];
        for (new, with_port, words) in cases {
            let change = AddressChange {
                old: at("10.0.0.1:80"),
                new: at(new),
            };
            assert_eq!(address_words(change, with_port), words);
        }
    }
}
