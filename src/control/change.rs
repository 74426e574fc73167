//! What may be asked of control at run time: one method per change, one change
//! at a time. Each returns when every worker has passed it. Servers are here,
//! frontends in `frontends.rs`, the way back in `clear.rs`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Control;
use super::apply::{Removal, Turn};
use super::difference::Words;
use super::edit::Edit;
use super::overrides::{ServerOverride, Set};
use super::refusal::Refusal;
use super::spec::{Spec, WEIGHT_MAX, tls_text};
use crate::config::{self, ServerAddress};
use crate::state::{Admin, Operational};

/// A weight as an operator says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WeightChange {
    /// 0-256.
    Absolute(u16),
    /// Of the written weight; the result is capped at 256.
    Percent(u32),
}

/// Old and new address of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressChange {
    /// Before.
    pub(crate) old: SocketAddr,
    /// Now; may be the same.
    pub(crate) new: SocketAddr,
}

/// How an added server starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddedState {
    /// In maintenance and not checked, as in HAProxy.
    Maint,
    /// Serving and checked at once.
    Up,
}

/// What made a change, for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The process started.
    Start,
    /// Files changed on disk: which.
    File(String),
    /// Somebody asked for a reload: by which words or which signal.
    Reload(String),
    /// A command, in its words.
    Command(String),
    /// A server's health changed.
    Health,
    /// A source of servers answered: which.
    Source(String),
    /// The program that embeds the engine.
    Engine,
    /// Something was absent for too long.
    Time,
    /// The last server of a backend that nobody announces any more has drained.
    Drained,
}

impl Control {
    /// `set weight`.
    ///
    /// # Errors
    /// See [`Refusal`]; this holds for all of these.
    pub(crate) async fn set_weight(
        &self,
        backend: &str,
        server: &str,
        weight: WeightChange,
    ) -> Result<(), Refusal> {
        let words = match weight {
            WeightChange::Absolute(weight) => format!("set weight {backend}/{server} {weight}"),
            WeightChange::Percent(percent) => format!("set weight {backend}/{server} {percent}%"),
        };
        self.change_server(words, backend, server, |server| {
            let written = server.written.weight;
            let value = match weight {
                WeightChange::Absolute(weight) => weight,
                WeightChange::Percent(percent) => {
                    let share = u64::from(written) * u64::from(percent) / 100;
                    share.min(u64::from(WEIGHT_MAX)) as u16
                }
            };
            if value > WEIGHT_MAX {
                return Err(Refusal::Other(format!("a weight is at most {WEIGHT_MAX}")));
            }
            Set::put(&mut server.set.weight, value, &written, &server.stamp);
            Ok(())
        })
        .await
    }

    /// `set maxconn server`; 0 = no limit.
    pub(crate) async fn set_server_maxconn(
        &self,
        backend: &str,
        server: &str,
        maxconn: u32,
    ) -> Result<(), Refusal> {
        let words = format!("set maxconn server {backend}/{server} {maxconn}");
        self.change_server(words, backend, server, |server| {
            let (written, stamp) = (server.maxconn, &server.stamp);
            Set::put(&mut server.set.maxconn, maxconn, &written, stamp);
            Ok(())
        })
        .await
    }

    /// `set server ... state`, `enable server`, `disable server`.
    pub(crate) async fn set_state(
        &self,
        backend: &str,
        server: &str,
        state: Admin,
    ) -> Result<(), Refusal> {
        let words = format!("set server {backend}/{server} state {}", state.words());
        self.change_server(words, backend, server, |server| {
            let written = match server.written.disabled {
                true => Admin::Maint,
                false => Admin::Ready,
            };
            Set::put(&mut server.set.admin, state, &written, &server.stamp);
            Ok(())
        })
        .await
    }

    /// `set server ... health`: until the next check, for good where none is made.
    pub(crate) async fn set_health(
        &self,
        backend: &str,
        server: &str,
        health: Operational,
    ) -> Result<(), Refusal> {
        let words = format!("set server {backend}/{server} health {}", health.words());
        let turn = self.turn.lock().await;
        let generation = self.generation();
        let found = generation.backend(backend).ok_or(Refusal::NoSuchBackend)?;
        let found = found.server(server).ok_or(Refusal::NoSuchServer)?;
        if found.check.is_some() && found.check_enabled {
            self.health.borrow().force(found, health);
            let rebuilt = self.rebuild(&turn, &Cause::Command(words)).await;
            return rebuilt.map_err(|error| Refusal::Other(error.to_string()));
        }
        self.change_in_turn(&turn, words, |edit| {
            let server = edit.server(backend, server)?;
            let up = Operational::Up;
            Set::put(&mut server.set.health, health, &up, &server.stamp);
            Ok(None)
        })
        .await
    }

    /// `enable health`, `disable health`. [`Refusal::NoCheck`] where there is none to enable.
    pub(crate) async fn set_checks_enabled(
        &self,
        backend: &str,
        server: &str,
        enabled: bool,
    ) -> Result<(), Refusal> {
        let word = if enabled { "enable" } else { "disable" };
        let words = format!("{word} health {backend}/{server}");
        self.change_server(words, backend, server, |server| {
            if !server.has_check {
                return if enabled {
                    Err(Refusal::NoCheck)
                } else {
                    Ok(())
                };
            }
            Set::put(&mut server.set.check_enabled, enabled, &true, &server.stamp);
            if enabled {
                server.set.health = None;
            }
            Ok(())
        })
        .await
    }

    /// `set server ... addr`; `port` `None` = as it is.
    pub(crate) async fn set_address(
        &self,
        backend: &str,
        server: &str,
        ip: IpAddr,
        port: Option<u16>,
    ) -> Result<AddressChange, Refusal> {
        let words = match port {
            Some(port) => format!("set server {backend}/{server} addr {ip} port {port}"),
            None => format!("set server {backend}/{server} addr {ip}"),
        };
        if port == Some(0) {
            return Err(Refusal::Other("a server cannot have port 0".to_owned()));
        }
        let mut change = None;
        self.change_server(words, backend, server, |server| {
            let ServerAddress::Ip(old) = server.address else {
                let sentence = "the server has a Unix socket, not an IP address";
                return Err(Refusal::Other(sentence.to_owned()));
            };
            let new = SocketAddr::new(ip, port.unwrap_or_else(|| old.port()));
            let value = Some(Set::new(new, &server.stamp));
            match server.written.address == ServerAddress::Ip(new) {
                true => server.set.address = None,
                false if old == new => {}
                false => server.set.address = value,
            }
            change = Some(AddressChange { old, new });
            Ok(())
        })
        .await?;
        change.ok_or(Refusal::NoSuchServer)
    }

    /// `set server ... check-addr`, `check-port`; `None` = as it is.
    pub(crate) async fn set_check_address(
        &self,
        backend: &str,
        server: &str,
        ip: Option<IpAddr>,
        port: Option<u16>,
    ) -> Result<(), Refusal> {
        let mut words = format!("set server {backend}/{server}");
        if let Some(ip) = ip {
            words.push_str(&format!(" check-addr {ip}"));
        }
        if let Some(port) = port {
            words.push_str(&format!(" check-port {port}"));
        }
        if port == Some(0) {
            return Err(Refusal::Other("a check cannot go to port 0".to_owned()));
        }
        self.change_server(words, backend, server, |server| {
            if !server.has_check {
                return Err(Refusal::NoCheck);
            }
            let (written, set, stamp) = (&server.written, &mut *server.set, &server.stamp);
            if let Some(ip) = ip {
                let slot = &mut set.check_address;
                match written.check_address == Some(ip) {
                    true => *slot = None,
                    false => *slot = Some(Set::new(ip, stamp)),
                }
            }
            if let Some(port) = port {
                let slot = &mut set.check_port;
                match written.check_port == Some(port) {
                    true => *slot = None,
                    false => *slot = Some(Set::new(port, stamp)),
                }
            }
            Ok(())
        })
        .await
    }

    /// `set server ... ssl`: what is pooled the other way is closed, checks stay as they are.
    /// [`Refusal::NoTls`] where nothing says how TLS would be spoken.
    pub(crate) async fn set_tls(
        &self,
        backend: &str,
        server: &str,
        on: bool,
    ) -> Result<(), Refusal> {
        let words = format!("set server {backend}/{server} ssl {}", on.words());
        self.change_server(words, backend, server, |server| {
            let written = server.tls.ok_or(Refusal::NoTls)?;
            Set::put(&mut server.set.tls, on, &written, &server.stamp);
            Ok(())
        })
        .await
    }

    /// `add server`.
    pub(crate) async fn add_server(
        &self,
        backend: &str,
        spec: config::Server,
        start: AddedState,
    ) -> Result<(), Refusal> {
        let words = format!(
            "add server {backend}/{} {}{}",
            spec.name,
            spec.address.words(),
            tls_text(&spec.tls)
        );
        config::server_name_written(&spec.name).map_err(|fault| Refusal::BadName(fault.message))?;
        if spec.weight > WEIGHT_MAX {
            return Err(Refusal::Other(format!("a weight is at most {WEIGHT_MAX}")));
        }
        let turn = self.turn.lock().await;
        self.prepare_server_tls(&spec).await?;
        self.change_in_turn(&turn, words, |edit| {
            let (settings, members) = edit.backend(backend)?;
            if members.iter().any(|m| m.settings.name == spec.name) {
                return Err(Refusal::AlreadyExists);
            }
            let has_check = settings.check.is_some() && spec.check != Some(false);
            let stamp = edit.stamp.clone();
            let name = spec.name.to_string();
            let set = edit.inputs.overrides.server_mut(backend, &name);
            // Another identity than the one that had the name before.
            *set = ServerOverride {
                added: Some(Set::new(Spec(spec), &stamp)),
                deleted: set.deleted.take(),
                ..ServerOverride::default()
            };
            if start == AddedState::Maint {
                set.admin = Some(Set::new(Admin::Maint, &stamp));
                set.check_enabled = has_check.then(|| Set::new(false, &stamp));
            }
            Ok(None)
        })
        .await
    }

    /// `del server`; `drain` `None` = the backend's drain timeout.
    pub(crate) async fn del_server(
        &self,
        backend: &str,
        server: &str,
        drain: Option<Duration>,
    ) -> Result<(), Refusal> {
        let words = match drain {
            Some(drain) => format!(
                "del server {backend}/{server} drain {}s",
                drain.as_secs_f64()
            ),
            None => format!("del server {backend}/{server}"),
        };
        self.change(words, |edit| {
            let (_, member) = edit.served(backend, server)?;
            let key = std::sync::Arc::clone(&member.key);
            let stamp = edit.stamp.clone();
            let set = edit.inputs.overrides.server_mut(backend, &key);
            let deleted = match set.added {
                // Added over a written one that is deleted: that stays so.
                Some(_) => set.deleted.take(),
                None => Some(Set::new((), &stamp)),
            };
            *set = ServerOverride {
                deleted,
                ..ServerOverride::default()
            };
            let backend = backend.to_owned();
            Ok(drain.map(|drain| Removal {
                backend,
                key,
                drain,
            }))
        })
        .await
    }

    async fn change_server(
        &self,
        words: String,
        backend: &str,
        server: &str,
        change: impl FnOnce(&mut super::edit::EditServer<'_>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        self.change(words, |edit| {
            change(&mut edit.server(backend, server)?)?;
            Ok(None)
        })
        .await
    }

    /// One change of the overrides, from words to effect.
    pub(super) async fn change(
        &self,
        words: String,
        change: impl FnOnce(&mut Edit<'_>) -> Result<Option<Removal>, Refusal>,
    ) -> Result<(), Refusal> {
        let turn = self.turn.lock().await;
        self.change_in_turn(&turn, words, change).await
    }

    async fn change_in_turn(
        &self,
        turn: &Turn<'_>,
        words: String,
        change: impl FnOnce(&mut Edit<'_>) -> Result<Option<Removal>, Refusal>,
    ) -> Result<(), Refusal> {
        let mut inputs = self.inputs.borrow().clone();
        let desired = std::sync::Arc::clone(&self.desired.borrow());
        let mut edit = Edit::new(&mut inputs, &desired, &words);
        let removal = change(&mut edit)?;
        let cause = Cause::Command(words);
        let brought = self.bring(turn, inputs, &cause, removal).await;
        let brought = brought.map_err(|error| Refusal::Other(error.to_string()))?;
        for warning in &brought.warnings {
            tracing::warn!("{warning}");
        }
        match brought.late.is_empty() {
            true => Ok(()),
            false => Err(Refusal::Late(brought.late.iter().map(|w| w.0).collect())),
        }
    }
}
