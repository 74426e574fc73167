//! Which server gets the next piece of work, where servers have limits.

use std::sync::Arc;

use super::{Backend, Server};
use crate::state::{Entry, ServerId};

/// What came of asking for a place.
#[derive(Debug)]
pub(crate) enum Claim<'a> {
    /// A place at this server: to be given back.
    Server(&'a Arc<Server>, Entry),
    /// Whoever may serve has as much to do as it may have.
    Full,
    /// Nobody is usable.
    Nobody,
}

impl Backend {
    /// A place at a usable server. As [`Self::pick`], but a server at its limit is passed
    /// over: it costs another ticket, as one that is down does, so the others have what
    /// would be its turns in proportion to their weights. A backup still serves only where
    /// no active server is usable: one that is busy is.
    pub(crate) fn claim(&self, avoid: Option<ServerId>) -> Claim<'_> {
        let takes = |server: &Server| {
            server.state.is_usable() && Some(server.id()) != avoid && server.state.slots.has_room()
        };
        // A place that somebody else took since is no reason to wait for one: look on.
        // There is an end, as each of these losses is another's gain.
        while let Some(server) = self.turn(takes).or_else(|| self.by_weight(takes)) {
            if let Some(entry) = server.state.slots.enter() {
                return Claim::Server(server, entry);
            }
        }
        match self.scan(avoid) {
            None => Claim::Nobody,
            Some(server) if Some(server.id()) == avoid => Claim::Full,
            Some(server) => match server.state.slots.enter() {
                Some(entry) => Claim::Server(server, entry),
                None => Claim::Full,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::generation::testing::{backend, desired, grouped, server, serving, shares};
    use crate::generation::{Desired, Generation};
    use crate::state::{Admin, Operational};

    /// A backend of servers `s1`, `s2`, ... of these weights and limits.
    fn limited(servers: &[(u16, u32)]) -> (Generation, Desired) {
        let servers = (1..).zip(servers).map(|(port, (weight, maxconn))| {
            let mut server = server(port, *weight);
            server.maxconn = Some(*maxconn);
            server
        });
        let desired = desired(Vec::new(), vec![backend("web", servers.collect())]);
        (Generation::first(&desired, 2).0, desired)
    }

    /// The name of who gave a place.
    fn claim<'a>(backend: &'a Backend, avoid: Option<&str>) -> Option<&'a Arc<Server>> {
        let avoid = avoid.map(|name| backend.server(name).unwrap().id());
        match backend.claim(avoid) {
            Claim::Server(server, _) => Some(server),
            Claim::Full | Claim::Nobody => None,
        }
    }

    fn name(backend: &Backend, avoid: Option<&str>) -> String {
        claim(backend, avoid).map_or_else(String::new, |server| server.name.to_string())
    }

    #[test]
    fn whoever_is_at_its_limit_is_passed_over_and_the_others_keep_their_shares() {
        let (generation, _) = limited(&[(2, 3), (2, 0), (1, 0)]);
        let backend = &generation.backends[0];
        assert!(backend.is_limited());
        let mut shares: HashMap<String, u32> = HashMap::new();
        for _ in 0..303 {
            *shares.entry(name(backend, None)).or_default() += 1;
        }
        assert_eq!(shares["s1"], 3);
        assert!((198..=202).contains(&shares["s2"]), "{shares:?}");
        let slots = &backend.server("s1").unwrap().state.slots;
        assert_eq!(slots.taken(), 3);
        slots.leave();
        assert!(
            (0..3).any(|_| name(backend, None) == "s1"),
            "its turn comes"
        );
    }

    #[test]
    fn full_is_not_nobody() {
        let (generation, _) = limited(&[(1, 1), (1, 1)]);
        let backend = &generation.backends[0];
        let mut both = [name(backend, None), name(backend, None)];
        both.sort();
        assert_eq!(both, ["s1", "s2"]);
        assert!(matches!(backend.claim(None), Claim::Full));
        for server in &backend.servers {
            server.state.set_admin(Admin::Drain, 1);
        }
        assert!(matches!(backend.claim(None), Claim::Nobody));
    }

    #[test]
    fn who_failed_is_not_asked_again_while_others_are_busy() {
        let (generation, _) = limited(&[(1, 2), (1, 1)]);
        let backend = &generation.backends[0];
        assert_eq!(name(backend, Some("s1")), "s2");
        let failed = backend.server("s1").unwrap().id();
        assert!(matches!(backend.claim(Some(failed)), Claim::Full));
        assert_eq!(name(backend, None), "s1");
    }

    #[test]
    fn a_backup_does_not_stand_in_for_one_that_is_busy() {
        let (mut first, mut spare) = (server(1, 1), server(2, 1));
        (first.maxconn, spare.maxconn, spare.backup) = (Some(1), Some(1), true);
        let generation = serving(vec![backend("web", vec![first, spare])]);
        let backend = &generation.backends[0];
        assert_eq!(name(backend, None), "s1");
        assert!(matches!(backend.claim(None), Claim::Full));
        let state = &backend.server("s1").unwrap().state;
        state.set_operational(Operational::Down, 1);
        assert_eq!(name(backend, None), "s2");
        assert!(matches!(backend.claim(None), Claim::Full));
    }

    #[test]
    fn a_full_group_leaves_its_turns_to_the_others() {
        let mut servers = grouped(&[("a", 2), ("b", 1)]);
        for server in &mut servers[..2] {
            server.maxconn = Some(1);
        }
        let mut web = backend("web", servers);
        web.groups = Some(shares(&[("a", 1), ("b", 1)]));
        let desired = desired(Vec::new(), vec![web]);
        let (generation, _) = Generation::first(&desired, 2);
        let backend = &generation.backends[0];
        let names: Vec<String> = (0..20).map(|_| name(backend, None)).collect();
        let of = |wanted: &str| names.iter().filter(|name| **name == wanted).count();
        assert_eq!((of("s1"), of("s2"), of("s3")), (1, 1, 18));
    }

    #[test]
    fn a_limit_changes_without_a_server_being_another() {
        let (generation, mut desired) = limited(&[(1, 1)]);
        let before = Arc::clone(&generation.backends[0].servers[0].state);
        desired.members[0][0].settings.maxconn = None;
        let (next, change) = generation.next(&desired, 2);
        let backend = &next.backends[0];
        assert!(Arc::ptr_eq(&before, &backend.servers[0].state));
        assert!(!backend.is_limited() && change.started.is_empty());
    }
}
