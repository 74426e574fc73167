//! This process in Consul: each `[[register]]` says whether its frontend is ready.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::{Control, Outcome};
use crate::discovery::{Registration, Verdict};
use crate::generation::Generation;

/// How often readiness is looked at.
const LOOK: Duration = Duration::from_millis(100);

impl Control {
    /// Keeps the registrations until the task is dropped.
    pub(super) async fn register_always(self: Rc<Self>) -> Outcome {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            // Who stops takes them out; a successor has them already.
            if self.stop.get().is_none() && !self.shared.borrow().is_given() {
                self.look_at_registrations();
            }
        }
    }

    fn look_at_registrations(&self) {
        let config = Arc::clone(&self.inputs.borrow().config);
        let mut registrations = self.registrations.borrow_mut();
        if config.register.is_empty() && registrations.is_empty() {
            return;
        }
        let discovery = &config.discovery;
        let wanted = |one: &Registration| config.register.iter().any(|r| one.is(discovery, r));
        let (kept, ended): (Vec<_>, _) = registrations.drain(..).partition(wanted);
        *registrations = kept;
        for one in ended {
            tokio::task::spawn_local(one.end());
        }
        for register in &config.register {
            if !registrations.iter().any(|one| one.is(discovery, register)) {
                registrations.push(Registration::start(discovery, register));
            }
        }
        let generation = self.generation();
        for one in &*registrations {
            one.tell(self.readiness(&generation, one.frontend()));
        }
    }

    /// Whether clients of this frontend would be served now.
    fn readiness(&self, generation: &Generation, frontend: &str) -> Verdict {
        let mut frontends = generation.frontends.iter();
        let found = frontends.find(|f| *f.config.name == *frontend);
        let Some(found) = found.filter(|frontend| !frontend.paused) else {
            return Err(format!("frontend {frontend} is shut"));
        };
        let open = self.binds.borrow().ids();
        if !found
            .bind_ids
            .iter()
            .all(|id| open.iter().any(|(known, _)| known == id))
        {
            return Err(format!("frontend {frontend} does not listen yet"));
        }
        if self.sources_waited_for() > 0 {
            return Err("a source of servers did not answer yet".to_owned());
        }
        let routes = found.config.routes.iter().map(|route| route.backend);
        let mut backends = routes.chain(found.config.default_backend);
        let serves = |index: usize| {
            let backend = generation.backends.get(index);
            backend.is_some_and(|b| {
                b.servers
                    .iter()
                    .any(|s| s.weight > 0 && s.state.is_usable())
            })
        };
        match backends.any(serves) {
            true => Ok(()),
            false => Err(format!("no server of frontend {frontend} is up")),
        }
    }

    /// Takes them out of Consul, before anything else of the process stops: who asks
    /// it from here on goes elsewhere.
    pub(super) async fn deregister(&self) {
        let all: Vec<_> = self.registrations.borrow_mut().drain(..).collect();
        let ending: Vec<_> = all
            .into_iter()
            .map(|one| tokio::task::spawn_local(one.end()))
            .collect();
        for end in ending {
            // A panic of one is no reason to go on serving.
            let _ = end.await;
        }
    }
}
