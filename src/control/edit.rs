//! What a command may touch: the overrides, found by the names people use.

use std::sync::Arc;

use super::merge::Inputs;
use super::overrides::{FrontendOverride, ServerOverride, Stamp};
use super::refusal::Refusal;
use super::unix_now;
use crate::config::{self, ServerAddress};
use crate::generation::{Desired, Member};

/// The inputs of the next desired state, beside the one in force.
pub(crate) struct Edit<'a> {
    /// To be changed.
    pub(crate) inputs: &'a mut Inputs,
    desired: &'a Desired,
    /// Now, and the words of the command.
    pub(crate) stamp: Stamp,
}

/// One server, and what was set on it.
pub(crate) struct EditServer<'a> {
    /// As in the file or source, or as it was added.
    pub(crate) written: config::Server,
    /// The limit that is written for it, by itself or by its backend.
    pub(crate) maxconn: u32,
    /// Where it listens now.
    pub(crate) address: ServerAddress,
    /// Whether TLS is written for it; `None` = nothing says how it would be spoken.
    pub(crate) tls: Option<bool>,
    /// Whether a check is configured, made or not.
    pub(crate) has_check: bool,
    /// To be changed.
    pub(crate) set: &'a mut ServerOverride,
    /// Now, and the words of the command.
    pub(crate) stamp: Stamp,
}

impl<'a> Edit<'a> {
    pub(crate) fn new(inputs: &'a mut Inputs, desired: &'a Desired, words: &str) -> Self {
        Self {
            inputs,
            desired,
            stamp: Stamp {
                at: unix_now(),
                by: words.to_owned(),
            },
        }
    }

    /// A backend and its servers as they are served.
    pub(crate) fn backend(
        &self,
        name: &str,
    ) -> Result<(&'a config::Backend, &'a [Member]), Refusal> {
        let backends = self.desired.config.backends.iter();
        let mut both = backends.zip(&self.desired.members);
        let found = both.find(|(backend, _)| *backend.name == *name);
        let (backend, members) = found.ok_or(Refusal::NoSuchBackend)?;
        Ok((backend, members))
    }

    /// A server that is served, and its backend.
    pub(crate) fn served(
        &self,
        backend: &str,
        name: &str,
    ) -> Result<(&'a config::Backend, &'a Member), Refusal> {
        let (settings, members) = self.backend(backend)?;
        let member = members.iter().find(|m| *m.settings.name == *name);
        Ok((settings, member.ok_or(Refusal::NoSuchServer)?))
    }

    /// A server that is served, to be changed.
    pub(crate) fn server(&mut self, backend: &str, name: &str) -> Result<EditServer<'_>, Refusal> {
        let (settings, member) = self.served(backend, name)?;
        let written = self.inputs.written(backend, &member.key);
        let written = written.unwrap_or_else(|| member.settings.clone());
        Ok(EditServer {
            has_check: member.has_check(settings),
            maxconn: written.maxconn.unwrap_or(settings.server_maxconn),
            tls: match (written.tls.of(settings.tls.as_ref()), &settings.tls) {
                (None, None) => None,
                (written, _) => Some(written.is_some()),
            },
            written,
            address: member.settings.address.clone(),
            set: self.inputs.overrides.server_mut(backend, &member.key),
            stamp: self.stamp.clone(),
        })
    }

    /// The key of a server that is served, or of one that is known but is not.
    pub(crate) fn key(&self, backend: &str, name: &str) -> Result<Arc<str>, Refusal> {
        let (settings, _) = self.backend(backend)?;
        if let Ok((_, member)) = self.served(backend, name) {
            return Ok(Arc::clone(&member.key));
        }
        let set = self.inputs.overrides.servers.get(backend);
        if set.is_some_and(|servers| servers.contains_key(name)) {
            return Ok(name.into());
        }
        let mut found = self.inputs.sources.of(settings);
        let found = found.find(|found| *found.settings().name == *name);
        let key = found.map(|found| Arc::clone(&found.key));
        key.ok_or(Refusal::NoSuchServer)
    }

    /// A frontend's written `maxconn`, and what was set on it.
    pub(crate) fn frontend(
        &mut self,
        name: &str,
    ) -> Result<(Option<usize>, &mut FrontendOverride), Refusal> {
        let frontends = &self.inputs.config.frontends;
        let found = frontends.iter().find(|f| *f.name == *name);
        let maxconn = found.ok_or(Refusal::NoSuchFrontend)?.maxconn;
        let set = self.inputs.overrides.frontend_mut(name);
        match set.shut {
            Some(_) => Err(Refusal::ShutDown),
            None => Ok((maxconn, set)),
        }
    }
}
