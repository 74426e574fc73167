use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::config::Server;
use crate::generation::testing::{backend, desired, grouped, server, shares};
use crate::generation::{Desired, Generation};
use crate::state::Operational;

struct Bench {
    generation: Generation,
    desired: Desired,
}

impl Bench {
    fn new(servers: Vec<Server>, groups: config::Groups) -> Self {
        let mut web = backend("goat", servers);
        web.groups = Some(groups);
        let desired = desired(Vec::new(), vec![web]);
        let (generation, _) = Generation::first(&desired, 2);
        Self {
            generation,
            desired,
        }
    }

    fn goat(&self) -> &Backend {
        &self.generation.backends[0]
    }

    fn next(&mut self) {
        self.generation = self.generation.next(&self.desired, 2).0;
    }

    fn set_shares(&mut self, new: &[(&str, u32)]) {
        let new = new.iter().map(|(name, share)| ((*name).into(), *share));
        self.desired.shares[0] = Some(Arc::new(new.collect()));
        self.next();
    }

    fn set(&self, group: &str, operational: Operational) {
        let servers = self.goat().servers.iter();
        for server in servers.filter(|s| s.group.as_deref() == Some(group)) {
            server.state.set_operational(operational, 1);
        }
    }

    /// Picks by group; "" = nobody.
    fn by_group(&self, picks: u64) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for _ in 0..picks {
            let server = self.goat().pick(None);
            let group = server.and_then(|server| server.group.as_deref());
            *counts
                .entry(group.unwrap_or_default().to_owned())
                .or_default() += 1;
        }
        counts
    }

    fn weights(&self) -> Vec<u16> {
        let servers = 0..self.goat().servers.len();
        servers
            .map(|index| self.goat().shown_weight(index))
            .collect()
    }
}

fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts
        .iter()
        .map(|(group, n)| ((*group).to_owned(), *n))
        .collect()
}

#[test]
fn shares_do_not_depend_on_how_many_servers_a_group_has() {
    let canary = shares(&[("0.0.1", 80), ("0.0.2", 20)]);
    let bench = Bench::new(grouped(&[("0.0.1", 3), ("0.0.2", 1)]), canary);
    for _ in 0..7 {
        assert_eq!(bench.by_group(5), counts(&[("0.0.1", 4), ("0.0.2", 1)]));
    }
    let canary = shares(&[("a", 1), ("b", 49), ("c", 50)]);
    let bench = Bench::new(grouped(&[("a", 7), ("b", 11), ("c", 13)]), canary);
    for _ in 0..7 {
        assert_eq!(
            bench.by_group(100),
            counts(&[("a", 1), ("b", 49), ("c", 50)])
        );
    }
}

#[test]
fn whole_cycles_are_exact_from_several_threads() {
    let canary = shares(&[("a", 80), ("b", 20)]);
    let bench = Bench::new(grouped(&[("a", 3), ("b", 1)]), canary);
    let pick = || {
        let mut counts: HashMap<_, u64> = HashMap::new();
        for _ in 0..15_000 {
            *counts
                .entry(bench.goat().pick(None).unwrap().id())
                .or_default() += 1;
        }
        counts
    };
    let total = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(pick)).collect();
        let mut total: HashMap<_, u64> = HashMap::new();
        for thread in threads {
            for (server, count) in thread.join().unwrap() {
                *total.entry(server).or_default() += count;
            }
        }
        total
    });
    let counts: Vec<u64> = bench
        .goat()
        .servers
        .iter()
        .map(|s| total[&s.id()])
        .collect();
    assert_eq!(counts, [16_000, 16_000, 16_000, 12_000]);
}

#[test]
fn dead_group_hands_its_share_over_in_proportion_and_takes_it_again() {
    let canary = shares(&[("a", 60), ("b", 30), ("c", 10)]);
    let mut bench = Bench::new(grouped(&[("a", 2), ("b", 3), ("c", 1)]), canary);
    let without = counts(&[("b", 3_000), ("c", 1_000)]);
    bench.set("a", Operational::Down);
    assert_eq!(bench.by_group(4_000), without, "at once");
    bench.next();
    assert_eq!(bench.by_group(4_000), without, "after the rebuild");
    bench.set("a", Operational::Up);
    bench.next();
    let all = counts(&[("a", 600), ("b", 300), ("c", 100)]);
    assert_eq!(bench.by_group(1_000), all);
    for group in ["a", "b", "c"] {
        bench.set(group, Operational::Down);
    }
    assert_eq!(bench.by_group(3), counts(&[("", 3)]));
    bench.next();
    assert_eq!(bench.by_group(3), counts(&[("", 3)]));
    bench.set("b", Operational::Up);
    assert_eq!(
        bench.by_group(3),
        counts(&[("b", 3)]),
        "before it has slots"
    );
}

#[test]
fn dead_server_takes_nothing_from_its_group() {
    // More servers than tickets are taken, all but one of them dead.
    let canary = shares(&[("a", 90), ("b", 10)]);
    let bench = Bench::new(grouped(&[("a", 1), ("b", 100)]), canary);
    for server in &bench.goat().servers[2..] {
        server.state.set_operational(Operational::Down, 1);
    }
    assert_eq!(bench.by_group(1_000), counts(&[("a", 900), ("b", 100)]));
}

#[test]
fn weight_of_a_server_counts_within_its_group_alone() {
    let canary = shares(&[("a", 1), ("b", 1)]);
    let mut servers = grouped(&[("a", 2), ("b", 2)]);
    servers[0].weight = 3;
    let mut bench = Bench::new(servers, canary);
    assert_eq!(bench.weights(), [96, 32, 64, 64]);
    let count = |bench: &Bench| {
        let mut counts = vec![0; 4];
        for _ in 0..800 {
            let port = bench.goat().pick(None).unwrap().name[1..].parse::<usize>();
            counts[port.unwrap() - 1] += 1;
        }
        counts
    };
    assert_eq!(count(&bench), [300, 100, 200, 200]);
    bench.desired.members[0][0].weight = 0;
    bench.next();
    assert_eq!(
        count(&bench),
        [0, 400, 200, 200],
        "its group keeps its share"
    );
    assert_eq!(bench.weights(), [0, 128, 64, 64]);
    assert_eq!(bench.goat().parts(), [0.0, 0.5, 0.25, 0.25]);
}

#[test]
fn group_of_no_share_gets_nothing_whatever_happens() {
    let canary = shares(&[("old", 0), ("new", 1)]);
    let mut servers = grouped(&[("old", 2), ("new", 1)]);
    servers.push(Server {
        backup: true,
        group: Some("old".into()),
        ..server(9, 1)
    });
    let mut bench = Bench::new(servers, canary);
    assert_eq!(bench.by_group(9), counts(&[("new", 9)]));
    assert_eq!(bench.weights(), [0, 0, 256, 0]);
    bench.set("new", Operational::Down);
    assert_eq!(bench.by_group(9), counts(&[("", 9)]), "not even its backup");
    bench.desired.members[0].push(crate::generation::Member::written(&Server {
        backup: true,
        ..server(10, 1)
    }));
    bench.next();
    let picked = bench.goat().pick(None).map(|server| &*server.name);
    assert_eq!(
        picked,
        Some("s10"),
        "a backup of no group stands behind all"
    );
}

#[test]
fn share_that_is_not_listed_is_the_missing_one() {
    let mut canary = shares(&[("a", 1)]);
    let servers = || grouped(&[("a", 1), ("b", 1)]);
    let bench = Bench::new(servers(), canary.clone());
    assert_eq!(bench.by_group(9), counts(&[("a", 9)]));
    canary.missing = 2;
    let bench = Bench::new(servers(), canary);
    assert_eq!(bench.by_group(9), counts(&[("a", 3), ("b", 6)]));
}

#[test]
fn all_zero_is_nobody_or_everybody() {
    let mut none = shares(&[("a", 0)]);
    let servers = || grouped(&[("a", 3), ("b", 1)]);
    let bench = Bench::new(servers(), none.clone());
    assert_eq!(bench.by_group(4), counts(&[("", 4)]));
    none.all_zero = AllZero::Equal;
    let mut bench = Bench::new(servers(), none);
    assert_eq!(bench.by_group(4), counts(&[("a", 2), ("b", 2)]));
    bench.set_shares(&[("b", 1)]);
    assert_eq!(bench.by_group(4), counts(&[("b", 4)]));
}

#[test]
fn shares_change_live_and_what_did_not_change_is_shared() {
    let canary = shares(&[("a", 80), ("b", 20)]);
    let mut bench = Bench::new(grouped(&[("a", 3), ("b", 1)]), canary);
    let before = Arc::clone(&bench.generation.backends[0]);
    bench.next();
    assert!(Arc::ptr_eq(&before, &bench.generation.backends[0]));
    bench.set_shares(&[("b", 100)]);
    assert!(!Arc::ptr_eq(&before, &bench.generation.backends[0]));
    assert_eq!(bench.by_group(99), counts(&[("b", 99)]));
    bench.set_shares(&[("a", 65_535), ("b", 1)]);
    assert_eq!(bench.by_group(65_536), counts(&[("a", 65_535), ("b", 1)]));
    assert_eq!(bench.weights(), [85, 85, 85, 1], "rounded, and never to 0");
}

#[test]
fn the_server_to_avoid_is_left_for_its_own_group_and_then_for_others() {
    let canary = shares(&[("a", 99), ("b", 1)]);
    let bench = Bench::new(grouped(&[("a", 2), ("b", 1)]), canary);
    let goat = bench.goat();
    let id = |name: &str| goat.server(name).unwrap().id();
    for _ in 0..200 {
        assert_ne!(goat.pick(Some(id("s1"))).unwrap().id(), id("s1"));
        assert_eq!(
            goat.pick(Some(id("s3"))).unwrap().group.as_deref(),
            Some("a")
        );
    }
    bench.set("a", Operational::Down);
    assert_eq!(
        goat.pick(Some(id("s3"))).unwrap().id(),
        id("s3"),
        "better than nobody"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any groups, some servers and with them whole groups down: over whole
    /// cycles of the groups that are left each has exactly its share, and each
    /// server of a group is as far from its part as rounding a turn allows.
    #[test]
    fn shares_are_exact_whatever_is_down(
        groups in prop::collection::vec(
            (0..=40_u32, prop::collection::vec((0..=5_u16, any::<bool>()), 1..6)),
            1..6,
        ),
    ) {
        let names: Vec<String> = (0..groups.len()).map(|n| format!("g{n}")).collect();
        let mut servers = Vec::new();
        for (name, (_, members)) in names.iter().zip(&groups) {
            for (weight, _) in members {
                servers.push(Server {
                    group: Some(name.as_str().into()),
                    ..server(servers.len() as u16 + 1, *weight)
                });
            }
        }
        let listed: Vec<_> = names.iter().zip(&groups).map(|(n, (s, _))| (&**n, *s)).collect();
        let mut bench = Bench::new(servers, shares(&listed));
        let up = groups.iter().flat_map(|(_, members)| members).map(|(_, up)| *up);
        for (server, up) in bench.goat().servers.iter().zip(up) {
            if !up {
                server.state.set_operational(Operational::Down, 1);
            }
        }
        let alive = |(_, members): &&(u32, Vec<(u16, bool)>)| {
            members.iter().any(|(weight, up)| *weight > 0 && *up)
        };
        let live = || names.iter().zip(&groups).filter(|(_, g)| alive(g) && g.0 > 0);
        let total: u64 = live().map(|(_, (share, _))| u64::from(*share)).sum();
        bench.next();
        let expected: BTreeMap<String, u64> = match total {
            0 => counts(&[("", 10)]),
            _ => live().map(|(n, (s, _))| (n.clone(), u64::from(*s) * 10)).collect(),
        };
        prop_assert_eq!(bench.by_group(10 * total.max(1)), expected);
    }
}
