//! Which server gets the next piece of work.

use std::sync::Arc;

use super::{Backend, Group, Groups, Server};
use crate::state::ServerId;

/// Tickets taken before the whole schedule is looked at once: with one usable
/// server of 1,000, tickets alone needed up to 6,886 tries.
const TICKETS_MAX: usize = 16;

impl Backend {
    /// A usable server, or `None` if there is none. `avoid` (the server a
    /// failed try was sent to) is taken only if no other of its kind is usable.
    /// A backup is taken only if no active server is usable, not even `avoid`.
    ///
    /// An unusable slot costs another ticket, never a walk ahead from the first
    /// one: walking would give the whole share of a server that is down to its
    /// successor (with 5:1:1 and the heavy one down .714/.286 instead of .5/.5).
    #[inline]
    pub(crate) fn pick(&self, avoid: Option<ServerId>) -> Option<&Arc<Server>> {
        let takes = |server: &Server| server.state.is_usable() && Some(server.id()) != avoid;
        self.turn(takes).or_else(|| self.scan(avoid))
    }

    /// Whose turn it is among those that take work, as far as tickets tell.
    #[inline]
    pub(super) fn turn(&self, takes: impl Fn(&Server) -> bool + Copy) -> Option<&Arc<Server>> {
        if let Some(groups) = &self.groups {
            return self.turn_of_groups(groups, takes);
        }
        if !self.active.is_empty() {
            for _ in 0..TICKETS_MAX {
                let server = self.scheduled(self.state.ticket());
                if takes(server) {
                    return Some(server);
                }
            }
        }
        None
    }

    /// One of all active servers that take work, by weight.
    pub(super) fn by_weight(&self, takes: impl Fn(&Server) -> bool + Copy) -> Option<&Arc<Server>> {
        match &self.groups {
            Some(groups) => self.share_groups(groups, takes),
            None => {
                let active = self.weighted(false).filter(|server| takes(server));
                share(active, self.state.ticket(), weight)
            }
        }
    }

    #[inline]
    fn scheduled(&self, ticket: u64) -> &Arc<Server> {
        &self.servers[self.active[self.schedule.slot(ticket)] as usize]
    }

    /// A group by its share, then a server of it by weight. A group without a
    /// usable server costs another ticket, as a server that is not usable does:
    /// its share goes to the other groups in proportion. A server that is not
    /// usable costs a ticket of its group alone, whose share stays what it is.
    fn turn_of_groups(
        &self,
        groups: &Groups,
        takes: impl Fn(&Server) -> bool + Copy,
    ) -> Option<&Arc<Server>> {
        for _ in 0..TICKETS_MAX {
            let group = groups.turn(self.state.ticket())?;
            if let Some(server) = self.turn_within(group, takes) {
                return Some(server);
            }
        }
        None
    }

    #[inline]
    fn turn_within(
        &self,
        group: &Group,
        takes: impl Fn(&Server) -> bool + Copy,
    ) -> Option<&Arc<Server>> {
        for _ in 0..TICKETS_MAX.min(group.active.len()) {
            let slot = group.schedule.slot(group.cursor.ticket());
            let server = &self.servers[group.active[slot] as usize];
            if takes(server) {
                return Some(server);
            }
        }
        self.scan_within(group, takes)
    }

    #[cold]
    fn scan_within(
        &self,
        group: &Group,
        takes: impl Fn(&Server) -> bool + Copy,
    ) -> Option<&Arc<Server>> {
        let members = group
            .members
            .iter()
            .map(|index| &self.servers[*index as usize]);
        let usable = members.filter(move |server| server.weight > 0 && takes(server));
        share(usable, group.cursor.ticket(), weight)
    }

    #[cold]
    pub(super) fn scan(&self, avoid: Option<ServerId>) -> Option<&Arc<Server>> {
        let others = |server: &&Arc<Server>| Some(server.id()) != avoid;
        self.by_weight(|server| server.state.is_usable() && Some(server.id()) != avoid)
            .or_else(|| self.usable(false).next())
            .or_else(|| self.usable(true).find(others))
            .or_else(|| self.usable(true).next())
            .or_else(|| {
                let unproven = self.unproven(false).filter(others);
                share(unproven, self.state.ticket(), weight)
            })
            .or_else(|| self.unproven(false).next())
            .or_else(|| self.unproven(true).next())
    }

    /// Those whose first check is still to come: better than an error. Nobody was usable
    /// a moment ago; one that is by now is among them.
    fn unproven(&self, backup: bool) -> impl Iterator<Item = &Arc<Server>> + Clone {
        self.weighted(backup)
            .filter(|server| server.state.may_serve())
    }

    /// One of the groups that have somebody usable, by share, and one of those.
    fn share_groups(
        &self,
        groups: &Groups,
        takes: impl Fn(&Server) -> bool + Copy,
    ) -> Option<&Arc<Server>> {
        let is_usable = |index: &u32| {
            let server = &self.servers[*index as usize];
            server.weight > 0 && takes(server)
        };
        let alive = |group: &&Group| group.share > 0 && group.members.iter().any(is_usable);
        let part = |group: &&Group| u64::from(group.share);
        let group = share(groups.iter().filter(alive), self.state.ticket(), part)?;
        self.scan_within(group, takes)
    }

    /// All of them, not only those of the schedule: one that has just come UP is
    /// usable some milliseconds before it has slots.
    fn usable(&self, backup: bool) -> impl Iterator<Item = &Arc<Server>> + Clone {
        self.weighted(backup)
            .filter(|server| server.state.is_usable())
    }

    fn weighted(&self, backup: bool) -> impl Iterator<Item = &Arc<Server>> + Clone {
        let all = self.servers.iter().enumerate();
        all.filter(move |(index, server)| server.backup == backup && self.is_weighted(*index))
            .map(|(_, server)| server)
    }
}

fn weight(server: &&Arc<Server>) -> u64 {
    u64::from(server.weight)
}

/// One of these by weight. The first from the ticket on would be a walk ahead
/// again; and as every pick that comes here takes as many tickets, the bare
/// ticket modulo their number may even be the same each time.
fn share<T: Copy>(
    all: impl Iterator<Item = T> + Clone,
    ticket: u64,
    weight: impl Fn(&T) -> u64,
) -> Option<T> {
    let total: u64 = all.clone().map(|one| weight(&one)).sum();
    let spread = ticket.wrapping_mul(GOLDEN);
    let mut left = ((u128::from(spread) * u128::from(total)) >> 64) as u64;
    let mut last = None;
    for one in all {
        // A status may change between the two passes: then the last one seen is as good.
        last = Some(one);
        match left.checked_sub(weight(&one)) {
            None => break,
            Some(rest) => left = rest,
        }
    }
    last
}

/// 2^64 / phi: multiples of it fill the range evenly, whatever their distance
/// (Knuth, The Art of Computer Programming 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use crate::config;
    use crate::generation::testing::{backend, desired, server, serving};
    use crate::generation::{Backend, Desired, Generation};
    use crate::state::{Admin, Operational};

    fn servers(weights: &[u16]) -> Vec<config::Server> {
        (1..)
            .zip(weights)
            .map(|(port, weight)| server(port, *weight))
            .collect()
    }

    fn generation(weights: &[u16]) -> (Generation, Desired) {
        let desired = desired(Vec::new(), vec![backend("web", servers(weights))]);
        (Generation::first(&desired, 2).0, desired)
    }

    fn shares(backend: &Backend, picks: u64) -> HashMap<u16, u64> {
        let mut shares = HashMap::new();
        for _ in 0..picks {
            *shares.entry(port(backend, None)).or_default() += 1;
        }
        shares
    }

    /// Servers are named by their port; 0 = nobody.
    fn port(backend: &Backend, avoid: Option<&str>) -> u16 {
        let avoid = avoid.map(|name| backend.server(name).unwrap().id());
        backend
            .pick(avoid)
            .map_or(0, |server| server.name[1..].parse().unwrap())
    }

    fn down(backend: &Backend, name: &str) {
        let state = &backend.server(name).unwrap().state;
        state.set_operational(Operational::Down, 1);
    }

    #[test]
    fn whole_cycles_are_exact_from_several_threads() {
        let (generation, _) = generation(&[5, 1, 1, 0, 13]);
        let backend = &generation.backends[0];
        let count = || shares(backend, 20 * 300);
        let total = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            let mut total: HashMap<u16, u64> = HashMap::new();
            for thread in threads {
                for (port, share) in thread.join().unwrap() {
                    *total.entry(port).or_default() += share;
                }
            }
            total
        });
        let cycles = 4 * 300;
        assert_eq!(
            total,
            HashMap::from([(1, 5 * cycles), (2, cycles), (3, cycles), (5, 13 * cycles)])
        );
    }

    #[test]
    fn share_of_a_dead_server_is_split_by_weight_at_once_and_after_the_rebuild() {
        let (generation, desired) = generation(&[5, 1, 1]);
        let halves = HashMap::from([(2, 3500), (3, 3500)]);
        down(&generation.backends[0], "s1");
        assert_eq!(shares(&generation.backends[0], 7000), halves);
        let (rebuilt, _) = generation.next(&desired, 2);
        assert_eq!(rebuilt.backends[0].schedule.cycle(), 2);
        assert_eq!(shares(&rebuilt.backends[0], 7000), halves);
    }

    #[test]
    fn server_that_comes_up_serves_before_it_has_slots() {
        let (generation, desired) = generation(&[1, 1]);
        let backend = &generation.backends[0];
        down(backend, "s1");
        down(backend, "s2");
        assert!(backend.pick(None).is_none());
        let (rebuilt, _) = generation.next(&desired, 2);
        let backend = &rebuilt.backends[0];
        assert_eq!(backend.schedule.cycle(), 0);
        let state = &backend.servers[1].state;
        state.set_operational(Operational::Up, 1);
        assert_eq!(backend.pick(None).map(|server| &*server.name), Some("s2"));
    }

    #[test]
    fn runs_longer_than_the_tickets_are_split_evenly_too() {
        // Between two turns of the light ones lie up to 128 of the dead one.
        let (generation, _) = generation(&[256, 1, 1]);
        down(&generation.backends[0], "s1");
        let shares = shares(&generation.backends[0], 7000);
        assert!(
            shares.values().all(|n| (3450..=3550).contains(n)),
            "{shares:?}"
        );
        // 17 servers and 17 tickets a pick: the bare ticket would never move on.
        let weights: Vec<u16> = [4000].into_iter().chain([1; 16]).collect();
        let (generation, _) = self::generation(&weights);
        down(&generation.backends[0], "s1");
        let shares = self::shares(&generation.backends[0], 1600);
        assert_eq!(shares.len(), 16);
        assert!(
            shares.values().all(|n| (90..=110).contains(n)),
            "{shares:?}"
        );
    }

    #[test]
    fn one_usable_of_a_thousand_costs_sixteen_tickets_and_a_scan() {
        let (generation, _) = generation(&[1; 1000]);
        let backend = &generation.backends[0];
        for port in 1..=999 {
            down(backend, &format!("s{port}"));
        }
        for _ in 0..100 {
            let before = backend.state.ticket();
            assert_eq!(port(backend, None), 1000);
            assert!(backend.state.ticket() - before <= 18);
        }
    }

    #[test]
    fn nothing_usable_is_nobody() {
        assert_eq!(port(&generation(&[]).0.backends[0], None), 0);
        assert_eq!(port(&generation(&[0, 0]).0.backends[0], None), 0);
        let (generation, desired) = generation(&[1, 2]);
        for server in &generation.backends[0].servers {
            server.state.set_admin(Admin::Drain, 1);
        }
        assert_eq!(port(&generation.backends[0], None), 0);
        assert_eq!(port(&generation.backends[0], Some("s1")), 0);
        let (rebuilt, _) = generation.next(&desired, 2);
        assert!(rebuilt.backends[0].schedule.is_empty());
        assert_eq!(port(&rebuilt.backends[0], None), 0);
    }

    #[test]
    fn the_server_to_avoid_is_the_last_of_its_kind() {
        let (generation, _) = generation(&[1, 1]);
        let backend = &generation.backends[0];
        for _ in 0..10 {
            assert_eq!(port(backend, Some("s1")), 2);
        }
        down(backend, "s2");
        assert_eq!(port(backend, Some("s1")), 1);
    }

    #[test]
    fn backups_serve_only_without_active_servers_and_the_first_one_alone() {
        let mut servers = servers(&[1, 1, 1, 1]);
        for server in &mut servers[2..] {
            server.backup = true;
        }
        let generation = serving(vec![backend("web", servers)]);
        let backend = &generation.backends[0];
        assert_eq!(shares(backend, 10), HashMap::from([(1, 5), (2, 5)]));
        down(backend, "s1");
        assert_eq!(port(backend, Some("s2")), 2, "still before any backup");
        down(backend, "s2");
        assert_eq!(shares(backend, 10), HashMap::from([(3, 10)]));
        assert_eq!(port(backend, Some("s3")), 4);
        down(backend, "s3");
        assert_eq!(shares(backend, 10), HashMap::from([(4, 10)]));
        assert_eq!(port(backend, Some("s4")), 4);
    }

    #[test]
    fn who_is_not_proven_serves_only_where_nobody_else_can() {
        let (generation, _) = generation(&[1, 1, 1]);
        let backend = &generation.backends[0];
        for name in ["s2", "s3"] {
            backend.server(name).unwrap().state.set_unproven(true);
        }
        assert_eq!(shares(backend, 10), HashMap::from([(1, 10)]));
        backend.server("s1").unwrap().state.set_refused(true);
        let both = shares(backend, 100);
        assert_eq!(both.len(), 2, "{both:?}");
        assert_eq!(port(backend, Some("s2")), 3);
        down(backend, "s3");
        assert_eq!(port(backend, None), 2);
    }

    #[test]
    fn below_the_share_of_panic_all_that_are_wanted_serve() {
        let mut web = backend("web", servers(&[1; 5]));
        web.panic = 50;
        let desired = desired(Vec::new(), vec![web]);
        let (generation, _) = Generation::first(&desired, 2);
        let all = &generation.backends[0];
        all.server("s5").unwrap().state.set_refused(true);
        for name in ["s1", "s2"] {
            down(all, name);
        }
        let half = generation.next(&desired, 2).0;
        assert_eq!(
            shares(&half.backends[0], 10),
            HashMap::from([(3, 5), (4, 5)])
        );
        down(all, "s3");
        let panicking = half.next(&desired, 2).0;
        let four = (1..=4).map(|port| (port, 3)).collect();
        assert_eq!(
            shares(&panicking.backends[0], 12),
            four,
            "never who is refused"
        );
        let state = &all.server("s3").unwrap().state;
        state.set_operational(Operational::Up, 2);
        let calm = panicking.next(&desired, 2).0;
        assert_eq!(
            shares(&calm.backends[0], 10),
            HashMap::from([(3, 5), (4, 5)])
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is up: only that is picked, and after a rebuild by weight.
        #[test]
        fn picks_are_usable_and_by_weight(
            members in prop::collection::vec((0..=20_u16, any::<bool>()), 1..40),
        ) {
            let weights: Vec<u16> = members.iter().map(|(weight, _)| *weight).collect();
            let (generation, desired) = generation(&weights);
            let up: HashMap<u16, u64> = (1..)
                .zip(&members)
                .filter(|(_, (weight, up))| *up && *weight > 0)
                .map(|(port, (weight, _))| (port, u64::from(*weight)))
                .collect();
            for (server, (_, up)) in generation.backends[0].servers.iter().zip(&members) {
                if !up {
                    server.state.set_operational(Operational::Down, 1);
                }
            }
            for _ in 0..100 {
                let picked = port(&generation.backends[0], None);
                prop_assert_eq!(up.contains_key(&picked), !up.is_empty());
            }
            let (rebuilt, _) = generation.next(&desired, 2);
            let total = up.values().sum();
            prop_assert_eq!(shares(&rebuilt.backends[0], total), up);
        }
    }
}
