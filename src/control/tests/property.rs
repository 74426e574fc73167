//! Any sequence of changes ends where one fresh start with the final desired
//! state would.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::config::{Backend, Check, Config, Server};
use crate::control::apply::set_states;
use crate::control::merge::Inputs;
use crate::control::overrides::{ServerOverride, Set, Stamp};
use crate::control::sources::{Found, SourceId};
use crate::control::spec::Spec;
use crate::generation::testing::{backend, frontend, server};
use crate::generation::{Desired, Generation, Returning};
use crate::state::{Admin, Operational};

/// One change, as file, source or operator make it.
#[derive(Debug, Clone)]
enum Step {
    File(Vec<(u16, u16, bool)>, bool),
    Nodes(Vec<(u16, u16)>),
    Discovered(Vec<(u16, u16)>),
    Weight(u16, Option<u16>),
    State(u16, Option<Admin>),
    Move(u16, Option<u16>),
    Health(u16, Option<Operational>),
    Checks(u16, bool),
    Add(u16),
    Delete(u16),
    Clear(u16),
    ClearAll,
    Pause(bool),
    Limit(Option<usize>),
    Time(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let name = || 1..6_u16;
    let admin = prop::sample::select(vec![Admin::Ready, Admin::Drain, Admin::Maint]);
    let health = prop::sample::select(vec![Operational::Stopping, Operational::Down]);
    let some = |ports: std::ops::Range<u16>| prop::collection::btree_map(ports, 0..4_u16, 0..4);
    prop_oneof![
        (
            prop::collection::btree_map(name(), (0..4_u16, any::<bool>()), 0..5),
            any::<bool>()
        )
            .prop_map(|(servers, check)| {
                let servers = servers.into_iter().map(|(n, (w, d))| (n, w, d));
                Step::File(servers.collect(), check)
            }),
        some(4..8).prop_map(|servers| Step::Nodes(servers.into_iter().collect())),
        some(4..8).prop_map(|servers| Step::Discovered(servers.into_iter().collect())),
        (name(), prop::option::of(0..9_u16)).prop_map(|(n, w)| Step::Weight(n, w)),
        (name(), prop::option::of(admin)).prop_map(|(n, a)| Step::State(n, a)),
        (name(), prop::option::of(90..93_u16)).prop_map(|(n, p)| Step::Move(n, p)),
        (name(), prop::option::of(health)).prop_map(|(n, h)| Step::Health(n, h)),
        (name(), any::<bool>()).prop_map(|(n, c)| Step::Checks(n, c)),
        name().prop_map(Step::Add),
        name().prop_map(Step::Delete),
        name().prop_map(Step::Clear),
        Just(Step::ClearAll),
        any::<bool>().prop_map(Step::Pause),
        prop::option::of(1..9_usize).prop_map(Step::Limit),
        (0..4000_u64).prop_map(Step::Time),
    ]
}

fn take(inputs: &mut Inputs, now: &mut u64, step: &Step) {
    let stamp = Stamp {
        at: *now,
        by: "a step".to_owned(),
    };
    let mut set = |name: u16, change: &dyn Fn(&mut ServerOverride)| {
        change(inputs.overrides.server_mut("web", &format!("s{name}")));
    };
    match step.clone() {
        Step::File(servers, checked) => {
            let servers = servers.into_iter().map(|(name, weight, disabled)| Server {
                disabled,
                ..server(name, weight)
            });
            let web = Backend {
                check: checked.then(Check::default),
                sources: ["nodes", "found"]
                    .map(|file| crate::config::Source::File(file.into()))
                    .to_vec(),
                ..backend("web", servers.collect())
            };
            inputs.config = Arc::new(Config {
                frontends: vec![frontend("www", &[80], Some(0))],
                backends: vec![web],
                ..Config::default()
            });
        }
        Step::Nodes(servers) => {
            let found = servers.iter().map(|(n, w)| Found::written(server(*n, *w)));
            let id = SourceId::file(Path::new("nodes"));
            inputs.sources.set(id, found.collect());
        }
        Step::Discovered(servers) => {
            let found = servers.iter().map(|(n, w)| Found {
                key: format!("docker/{n}-{w}").into(),
                spec: Spec(server(*n, *w)),
                member: None,
            });
            let id = SourceId::file(Path::new("found"));
            inputs.sources.set(id, found.collect());
        }
        Step::Weight(n, w) => set(n, &|o| o.weight = w.map(|w| Set::new(w, &stamp))),
        Step::State(n, a) => set(n, &|o| o.admin = a.map(|a| Set::new(a, &stamp))),
        Step::Move(n, port) => set(n, &|o| {
            let address = port.map(|port| ([127, 0, 0, 1], port).into());
            o.address = address.map(|address| Set::new(address, &stamp));
        }),
        Step::Health(n, h) => set(n, &|o| o.health = h.map(|h| Set::new(h, &stamp))),
        Step::Checks(n, on) => set(n, &|o| {
            o.check_enabled = (!on).then(|| Set::new(false, &stamp));
        }),
        Step::Add(n) => set(n, &|o| {
            o.added = Some(Set::new(Spec(server(n, 2)), &stamp));
        }),
        Step::Delete(n) => set(n, &|o| o.deleted = Some(Set::new((), &stamp))),
        Step::Clear(n) => set(n, &|o| *o = ServerOverride::default()),
        Step::ClearAll => inputs.overrides = Default::default(),
        Step::Pause(on) => {
            let www = inputs.overrides.frontend_mut("www");
            www.paused = on.then(|| Set::new((), &stamp));
        }
        Step::Limit(maxconn) => {
            let www = inputs.overrides.frontend_mut("www");
            www.maxconn = maxconn.map(|maxconn| Set::new(Some(maxconn), &stamp));
        }
        Step::Time(seconds) => *now += seconds,
    }
}

/// What is served: everything but identities, and what only checks decide.
fn view(generation: &Generation, desired: &Desired) -> String {
    let mut view = String::new();
    for frontend in &generation.frontends {
        view += &format!(
            "{} {:?} paused {}\n",
            frontend.config.name, frontend.config.maxconn, frontend.paused
        );
    }
    for (backend, members) in generation.backends.iter().zip(&desired.members) {
        assert_eq!(backend.servers.len(), members.len());
        for server in &backend.servers {
            view += &format!(
                "{} {} {:?} {} {} {:?} {} {:?} {:?}\n",
                server.key,
                server.name,
                server.address,
                server.weight,
                server.initial_weight,
                server.check.is_some(),
                server.check_enabled,
                server.check_address,
                server.state.admin(),
            );
            if server.check.is_none() {
                view += &format!("{:?}\n", server.state.operational());
            }
        }
        // Without checks at work, shares are all decided by what is desired.
        if backend.servers.iter().all(|server| server.check.is_none()) {
            let mut shares = std::collections::BTreeMap::new();
            for _ in 0..200 {
                let name = backend.pick(None).map(|server| server.name.clone());
                *shares.entry(name).or_insert(0) += 1;
            }
            let names: Vec<_> = shares.keys().collect();
            view += &format!("picks {names:?}\n");
        }
    }
    view
}

proptest! {
    #[test]
    fn any_sequence_of_changes_ends_where_a_fresh_start_would(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut inputs = Inputs::default();
        let mut now = 1_000_000;
        let mut desired = Desired::nothing();
        let mut generation = Generation::first(&desired, 2).0;
        for step in &steps {
            take(&mut inputs, &mut now, step);
            inputs.settle(now);
            desired = inputs.merge().desired;
            set_states(&generation, &desired, &Returning::new(), now);
            generation = generation.next(&desired, 2).0;
        }
        let fresh = Generation::first(&desired, 2).0;
        prop_assert_eq!(view(&generation, &desired), view(&fresh, &desired));
        // And a second look at the same changes nothing.
        inputs.settle(now);
        prop_assert_eq!(&inputs.merge().desired, &desired);
    }

    #[test]
    fn inputs_survive_the_disk(steps in prop::collection::vec(any_step(), 1..40)) {
        let mut inputs = Inputs::default();
        let mut now = 1_000_000;
        for step in &steps {
            take(&mut inputs, &mut now, step);
            inputs.settle(now);
        }
        let Inputs { config, sources, weights, overrides, .. } = &inputs;
        let text = serde_json::to_string(&(overrides, sources, weights)).unwrap();
        let (overrides, sources, weights) = serde_json::from_str(&text).unwrap();
        let restored = Inputs { config: Arc::clone(config), sources, weights, overrides, ..Inputs::default() };
        prop_assert_eq!(restored.merge().desired, inputs.merge().desired);
    }
}
