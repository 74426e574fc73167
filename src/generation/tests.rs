//! What [`Generation::next`] keeps and what it makes anew.

use std::sync::Arc;

use proptest::prelude::*;

use super::testing::{backend, desired, frontend, server};
use super::{Backend, Change, Desired, Generation, Server};
use crate::config::{self, Check, Mode, ServerAddress};
use crate::state::{Admin, Operational};

fn first(backends: Vec<config::Backend>) -> Generation {
    Generation::first(&desired(Vec::new(), backends), 2).0
}

fn next(before: &Generation, backends: Vec<config::Backend>) -> (Generation, Change) {
    before.next(&desired(Vec::new(), backends), 2)
}

fn server_of<'a>(generation: &'a Generation, name: &str) -> &'a Arc<Server> {
    generation.backends[0].server(name).unwrap()
}

fn names(servers: &[(Arc<Backend>, Arc<Server>)]) -> Vec<String> {
    servers
        .iter()
        .map(|(backend, server)| format!("{}/{}", backend.name, server.name))
        .collect()
}

fn same(a: &Generation, b: &Generation, index: usize) -> bool {
    Arc::ptr_eq(&a.backends[index], &b.backends[index])
}

#[test]
fn first_generation_starts_every_server() {
    let servers = vec![server(1, 1), server(2, 0)];
    let (generation, change) =
        Generation::first(&desired(Vec::new(), vec![backend("web", servers)]), 2);
    assert_eq!(change.started.len(), 2);
    assert!(change.left.is_empty() && change.closed_endpoints.is_empty());
    assert_eq!(generation.backends[0].schedule.cycle(), 1);
}

#[test]
fn nothing_changed_is_the_same_backend() {
    let web = || backend("web", vec![server(1, 1), server(2, 3)]);
    let before = first(vec![web(), backend("other", vec![server(9, 1)])]);
    let (after, change) = next(&before, vec![web(), backend("other", vec![server(9, 2)])]);
    assert!(after.id > before.id);
    assert!(same(&before, &after, 0));
    assert!(!same(&before, &after, 1));
    assert!(change.started.is_empty() && change.left.is_empty());
}

#[test]
fn server_that_kept_its_settings_is_the_same_server() {
    let before = first(vec![backend("web", vec![server(1, 1), server(2, 1)])]);
    let (after, _) = next(&before, vec![backend("web", vec![server(2, 1)])]);
    assert!(Arc::ptr_eq(
        server_of(&before, "s2"),
        server_of(&after, "s2")
    ));
}

#[test]
fn new_weight_keeps_identity_endpoint_and_cursor() {
    let before = first(vec![backend("web", vec![server(1, 1), server(2, 1)])]);
    before.backends[0].state.ticket();
    let (after, change) = next(
        &before,
        vec![backend("web", vec![server(1, 7), server(2, 1)])],
    );
    let (old, new) = (server_of(&before, "s1"), server_of(&after, "s1"));
    assert!(Arc::ptr_eq(&old.state, &new.state));
    assert_eq!((new.endpoint, new.weight), (old.endpoint, 7));
    assert_eq!(after.backends[0].schedule.cycle(), 8);
    assert!(Arc::ptr_eq(
        &before.backends[0].state,
        &after.backends[0].state
    ));
    assert!(change.started.is_empty() && change.closed_endpoints.is_empty());
}

#[test]
fn new_address_is_a_new_endpoint_of_the_same_server() {
    let before = first(vec![backend("web", vec![server(1, 1)])]);
    let mut moved = server(1, 1);
    moved.address = ServerAddress::Ip(([127, 0, 0, 2], 80).into());
    let (after, change) = next(&before, vec![backend("web", vec![moved])]);
    let (old, new) = (server_of(&before, "s1"), server_of(&after, "s1"));
    assert_eq!(old.id(), new.id());
    assert_ne!(old.endpoint, new.endpoint);
    assert_eq!(change.closed_endpoints, [old.endpoint]);
    assert!(Arc::ptr_eq(&change.started[0], new));
    assert!(change.left.is_empty());
}

#[test]
fn removed_server_leaves_and_coming_back_is_another_one() {
    let both = || backend("web", vec![server(1, 1), server(2, 1)]);
    let before = first(vec![both()]);
    let (without, change) = next(&before, vec![backend("web", vec![server(1, 1)])]);
    assert_eq!(names(&change.left), ["web/s2"]);
    assert!(without.backends[0].server("s2").is_none());
    let (again, change) = next(&without, vec![both()]);
    assert_eq!(change.started.len(), 1);
    assert_ne!(server_of(&again, "s2").id(), server_of(&before, "s2").id());
}

#[test]
fn servers_of_a_backend_that_left_or_changed_its_mode_leave() {
    let before = first(vec![
        backend("gone", vec![server(1, 1), server(2, 1)]),
        backend("web", vec![server(3, 1)]),
    ]);
    let mut tcp = backend("web", vec![server(3, 1)]);
    tcp.mode = Mode::Tcp;
    let (after, change) = next(&before, vec![tcp]);
    assert_eq!(names(&change.left), ["gone/s1", "gone/s2", "web/s3"]);
    assert_eq!(change.started.len(), 1);
    assert_ne!(after.backends[0].state.id, before.backends[1].state.id);
}

#[test]
fn same_name_in_two_backends_is_two_servers() {
    let generation = first(vec![
        backend("a", vec![server(1, 1)]),
        backend("b", vec![server(1, 1)]),
    ]);
    let ids: Vec<_> = generation.servers().map(|(_, s)| s.id()).collect();
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn health_changes_the_schedule_and_nothing_else() {
    let web = || backend("web", vec![server(1, 1), server(2, 1)]);
    let before = first(vec![web()]);
    let state = &server_of(&before, "s1").state;
    state.set_operational(Operational::Down, 1);
    let (down, change) = next(&before, vec![web()]);
    assert!(!same(&before, &down, 0));
    assert_eq!(*down.backends[0].active, [1]);
    assert!(change.started.is_empty() && change.left.is_empty());
    state.set_operational(Operational::Up, 2);
    let (up, _) = next(&down, vec![web()]);
    assert_eq!(*up.backends[0].active, [0, 1]);
}

#[test]
fn disabled_server_starts_in_maintenance_outside_the_schedule() {
    let mut disabled = server(1, 1);
    disabled.disabled = true;
    let generation = first(vec![backend("web", vec![disabled, server(2, 1)])]);
    assert_eq!(server_of(&generation, "s1").state.admin(), Admin::Maint);
    assert_eq!(*generation.backends[0].active, [1]);
}

#[test]
fn check_belongs_to_the_backend_unless_the_server_refuses_it() {
    let check = |rise| {
        let mut unchecked = server(2, 1);
        unchecked.check = Some(false);
        let mut web = backend("web", vec![server(1, 1), unchecked]);
        web.check = Some(Check {
            rise,
            ..Check::default()
        });
        web
    };
    let before = first(vec![check(2)]);
    assert!(server_of(&before, "s2").check.is_none());
    let (after, change) = next(&before, vec![check(5)]);
    let (old, new) = (server_of(&before, "s1"), server_of(&after, "s1"));
    assert_eq!(new.check.as_ref().unwrap().rise, 5);
    assert_eq!((old.id(), old.endpoint), (new.id(), new.endpoint));
    assert!(Arc::ptr_eq(
        server_of(&before, "s2"),
        server_of(&after, "s2")
    ));
    assert!(change.started.is_empty());
}

#[test]
fn check_goes_to_its_own_address_and_port() {
    let mut other = server(1, 1);
    other.check_port = Some(8080);
    other.check_address = Some([127, 0, 0, 9].into());
    let generation = first(vec![backend("web", vec![other])]);
    assert_eq!(
        server_of(&generation, "s1").check_address,
        ServerAddress::Ip(([127, 0, 0, 9], 8080).into())
    );
}

#[test]
fn frontends_keep_state_and_the_binds_they_still_have() {
    let web = || vec![backend("web", Vec::new())];
    let (before, _) = Generation::first(
        &desired(vec![frontend("www", &[80, 81], Some(0))], web()),
        2,
    );
    let (same, change) = before.next(
        &desired(vec![frontend("www", &[80, 81], Some(0))], web()),
        2,
    );
    assert!(Arc::ptr_eq(&before.frontends[0], &same.frontends[0]));
    assert!(change.left_frontends.is_empty());
    let (after, change) = before.next(
        &desired(vec![frontend("www", &[82, 81], Some(0))], web()),
        2,
    );
    let (old, new) = (&before.frontends[0], &after.frontends[0]);
    assert!(Arc::ptr_eq(&old.state, &new.state));
    assert_eq!(new.bind_ids[1], old.bind_ids[1]);
    assert!(!old.bind_ids.contains(&new.bind_ids[0]));
    assert!(change.left_frontends.is_empty());
}

#[test]
fn frontend_that_changed_its_mode_is_another_one_with_binds_of_its_own() {
    let (before, _) =
        Generation::first(&desired(vec![frontend("www", &[80], None)], Vec::new()), 2);
    let mut tcp = frontend("www", &[80], None);
    tcp.mode = Mode::Tcp;
    let (after, change) = before.next(&desired(vec![tcp], Vec::new()), 2);
    let (old, new) = (&before.frontends[0], &after.frontends[0]);
    assert_ne!(old.state.id, new.state.id);
    assert_ne!(old.bind_ids, new.bind_ids);
    assert!(Arc::ptr_eq(&change.left_frontends[0], old));
}

/// Everything of a generation but identities and what states count.
fn view(generation: &Generation) -> String {
    let server = |server: &Server| {
        format!(
            "{} {} {:?} {}/{} {} {:?} {} {:?} {:?}",
            server.key,
            server.name,
            server.address,
            server.weight,
            server.initial_weight,
            server.backup,
            server.check,
            server.check_enabled,
            server.check_address,
            server.state.admin(),
        )
    };
    let backend = |backend: &Arc<Backend>| {
        let servers: Vec<_> = backend.servers.iter().map(|s| server(s)).collect();
        let turns: Vec<_> = (0..backend.schedule.cycle())
            .map(|ticket| backend.active[backend.schedule.slot(ticket)])
            .collect();
        let found = backend
            .servers
            .iter()
            .all(|s| backend.server(&s.name).is_some_and(|t| Arc::ptr_eq(s, t)));
        format!(
            "{} {:?} {servers:#?} {:?} {:?} {turns:?} {found} {}",
            backend.name,
            backend.config,
            backend.active,
            backend
                .servers
                .iter()
                .filter(|s| s.backup)
                .map(|s| &s.name)
                .collect::<Vec<_>>(),
            backend.by_name.len(),
        )
    };
    let frontends: Vec<_> = generation
        .frontends
        .iter()
        .map(|frontend| (&frontend.config, frontend.bind_ids.len(), frontend.paused))
        .collect();
    let backends: Vec<_> = generation.backends.iter().map(backend).collect();
    format!("{frontends:#?} {backends:#?}")
}

fn any_server() -> impl Strategy<Value = config::Server> {
    (
        1..7_u16,
        0..4_u16,
        any::<bool>(),
        0..3_u16,
        prop::option::of(80..82_u16),
    )
        .prop_map(|(name, weight, backup, moved, check_port)| {
            let mut server = server(name, weight);
            server.address = ServerAddress::Ip(([127, 0, 0, 1], name + 100 * moved).into());
            server.backup = backup;
            server.check_port = check_port;
            server.check = (moved == 1).then_some(false);
            server
        })
}

fn any_backend() -> impl Strategy<Value = config::Backend> {
    let servers = prop::collection::vec(any_server(), 0..6);
    ("[ab]", servers, any::<bool>(), 1..3_u32).prop_map(|(name, mut servers, tcp, rise)| {
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        servers.dedup_by(|a, b| a.name == b.name);
        let mut backend = backend(&name, servers);
        backend.mode = if tcp { Mode::Tcp } else { Mode::Http };
        backend.check = Some(Check {
            rise,
            ..Check::default()
        });
        backend
    })
}

fn any_desired() -> impl Strategy<Value = Desired> {
    let ports = prop::sample::subsequence(vec![80, 81, 82], 1..3);
    let frontends = prop::collection::vec(("[xy]", ports, any::<bool>()), 0..3);
    (frontends, prop::collection::vec(any_backend(), 0..3)).prop_map(
        |(mut frontends, mut backends)| {
            frontends.sort();
            frontends.dedup_by(|a, b| a.0 == b.0);
            backends.dedup_by(|a, b| a.name == b.name);
            let frontends = frontends.iter().map(|(name, ports, tcp)| {
                let mut frontend = frontend(name, ports, None);
                frontend.mode = if *tcp { Mode::Tcp } else { Mode::Http };
                frontend
            });
            desired(frontends.collect(), backends)
        },
    )
}

proptest! {
    #[test]
    fn any_way_ends_where_a_fresh_start_would(
        steps in prop::collection::vec(any_desired(), 1..8),
    ) {
        let mut generation = Generation::first(&steps[0], 2).0;
        for step in &steps[1..] {
            let (next, change) = generation.next(step, 2);
            let before: Vec<_> = generation.servers().map(|(_, s)| s.id()).collect();
            let after: Vec<_> = next.servers().map(|(_, s)| s.id()).collect();
            for (_, server) in &change.left {
                prop_assert!(before.contains(&server.id()) && !after.contains(&server.id()));
            }
            let stayed = before.iter().filter(|id| after.contains(id)).count();
            prop_assert_eq!(before.len(), stayed + change.left.len());
            generation = next;
        }
        let fresh = Generation::first(&steps[steps.len() - 1], 2).0;
        prop_assert_eq!(view(&generation), view(&fresh));
    }
}
