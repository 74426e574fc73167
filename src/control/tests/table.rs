//! Each row of the override table, pure.

use std::path::Path;
use std::sync::Arc;

use crate::config::{Backend, Check, Config, Frontend, Server, ServerAddress};
use crate::control::difference::newly_written;
use crate::control::merge::{Inputs, Merged};
use crate::control::overrides::{ServerOverride, Set, Stamp};
use crate::control::sources::{Found, SourceId};
use crate::control::spec::Spec;
use crate::generation::Member;
use crate::generation::testing::{backend, frontend, server};
use crate::state::{Admin, Operational};

const DAY: u64 = 86_400;
/// Day 100: when the tests begin.
const START: u64 = 100 * DAY;

/// The inputs, as the single writer holds them.
struct Bench {
    inputs: Inputs,
    now: u64,
    merged: Merged,
}

impl Bench {
    fn new(backends: Vec<Backend>) -> Self {
        Self::with(Vec::new(), backends)
    }

    fn with(frontends: Vec<Frontend>, backends: Vec<Backend>) -> Self {
        let inputs = Inputs::default();
        let mut bench = Self {
            merged: inputs.merge(),
            inputs,
            now: START,
        };
        bench.file(frontends, backends);
        bench
    }

    /// Another file; what the log says.
    fn file(&mut self, frontends: Vec<Frontend>, backends: Vec<Backend>) -> Vec<String> {
        self.inputs.config = Arc::new(Config {
            frontends,
            backends,
            ..Config::default()
        });
        self.merge()
    }

    fn reload(&mut self, servers: Vec<Server>) -> Vec<String> {
        self.file(Vec::new(), vec![web(servers)])
    }

    fn merge(&mut self) -> Vec<String> {
        let notices = self.inputs.settle(self.now);
        self.merged = self.inputs.merge();
        notices
    }

    /// A source of backend `web` answers.
    fn answer(&mut self, members: Vec<Found>) -> Vec<String> {
        self.inputs
            .sources
            .set(SourceId::file(Path::new(NODES)), members);
        self.merge()
    }

    fn set(&mut self, key: &str, change: impl FnOnce(&mut ServerOverride, &Stamp)) {
        let stamp = Stamp {
            at: self.now,
            by: "a command".to_owned(),
        };
        change(self.inputs.overrides.server_mut("web", key), &stamp);
        self.merge();
    }

    fn weight(&mut self, key: &str, weight: u16) {
        self.set(key, |set, stamp| set.weight = Some(Set::new(weight, stamp)));
    }

    fn admin(&mut self, key: &str, admin: Admin) {
        self.set(key, |set, stamp| set.admin = Some(Set::new(admin, stamp)));
    }

    fn delete(&mut self, key: &str) {
        self.set(key, |set, stamp| set.deleted = Some(Set::new((), stamp)));
    }

    fn add(&mut self, server: Server) {
        self.set(&server.name.clone(), |set, stamp| {
            set.added = Some(Set::new(Spec(server), stamp));
        });
    }

    fn names(&self) -> Vec<&str> {
        let members = self.merged.desired.members[0].iter();
        members.map(|member| &*member.settings.name).collect()
    }

    fn member(&self, name: &str) -> &Member {
        let mut members = self.merged.desired.members[0].iter();
        members.find(|m| *m.settings.name == *name).unwrap()
    }

    fn sentences(&self) -> Vec<String> {
        let differences = self.merged.differences.iter();
        differences.map(|d| d.sentence(self.now)).collect()
    }
}

const NODES: &str = "/etc/rlb/nodes.toml";

fn web(servers: Vec<Server>) -> Backend {
    Backend {
        sources: vec![crate::config::Source::File(NODES.into())],
        ..backend("web", servers)
    }
}

fn discovered(id: &str, name: &str, port: u16) -> Found {
    Found {
        key: id.into(),
        spec: Spec(Server {
            name: name.into(),
            ..server(port, 1)
        }),
        member: None,
    }
}

fn at(port: u16) -> ServerAddress {
    ServerAddress::Ip(([127, 0, 0, 1], port).into())
}

#[test]
fn override_stays_when_the_file_changes_the_value_and_is_named() {
    let mut bench = Bench::new(vec![web(vec![server(1, 5)])]);
    bench.weight("s1", 10);
    let before = bench.merged.differences.clone();
    bench.now += 3 * DAY;
    bench.reload(vec![server(1, 20)]);
    let member = bench.member("s1");
    assert_eq!((member.weight, member.settings.weight), (10, 20));
    assert_eq!(
        bench.sentences(),
        ["web/s1: weight 20 in the file, 10 set at run time 3d ago ('clear override web/s1')"]
    );
    assert_eq!(newly_written(&before, &bench.merged.differences).count(), 1);
    // Once said, it is not said with every reload.
    let before = bench.merged.differences.clone();
    bench.reload(vec![server(1, 20), server(2, 1)]);
    assert_eq!(newly_written(&before, &bench.merged.differences).count(), 0);
    // What is equal is no difference, and still an override.
    bench.reload(vec![server(1, 10)]);
    assert!(bench.sentences().is_empty());
    bench.reload(vec![server(1, 11)]);
    assert_eq!(bench.member("s1").weight, 10);
}

#[test]
fn every_value_of_a_server_can_be_overridden() {
    let mut checked = web(vec![server(1, 5)]);
    checked.check = Some(Check::default());
    let mut bench = Bench::new(vec![checked]);
    bench.set("s1", |set, stamp| {
        set.admin = Some(Set::new(Admin::Drain, stamp));
        set.address = Some(Set::new(([10, 0, 0, 1], 80).into(), stamp));
        set.check_port = Some(Set::new(81, stamp));
        set.check_address = Some(Set::new([10, 0, 0, 2].into(), stamp));
        set.check_enabled = Some(Set::new(false, stamp));
        set.health = Some(Set::new(Operational::Down, stamp));
    });
    let member = bench.member("s1");
    assert_eq!(member.admin, Admin::Drain);
    assert_eq!(
        member.settings.address,
        ServerAddress::Ip(([10, 0, 0, 1], 80).into())
    );
    assert_eq!(member.settings.check_port, Some(81));
    assert_eq!(member.settings.check_address, Some([10, 0, 0, 2].into()));
    assert!(!member.check_enabled);
    assert_eq!(member.health, Some(Operational::Down));
    let what: Vec<_> = bench.merged.differences.iter().map(|d| d.what).collect();
    let all = [
        "state",
        "address",
        "check address",
        "check port",
        "check",
        "health",
    ];
    assert_eq!(what, all);
    // A server that is checked has the health its checks say.
    bench.set("s1", |set, _| set.check_enabled = None);
    assert_eq!(bench.member("s1").health, None);
}

#[test]
fn deleted_server_stays_away_until_it_has_left_the_file_once() {
    let mut bench = Bench::new(vec![web(vec![server(1, 1), server(2, 1)])]);
    bench.weight("s1", 7);
    bench.delete("s1");
    assert_eq!(bench.names(), ["s2"]);
    assert!(bench.sentences()[0].contains("deleted set at run time 0s ago"));
    for _ in 0..3 {
        bench.now += DAY;
        bench.reload(vec![server(1, 3), server(2, 1)]);
        assert_eq!(bench.names(), ["s2"]);
    }
    bench.reload(vec![server(2, 1)]);
    bench.reload(vec![server(1, 3), server(2, 1)]);
    assert_eq!(bench.names(), ["s1", "s2"]);
}

#[test]
fn deleted_server_comes_back_when_cleared() {
    let mut bench = Bench::new(vec![web(vec![server(1, 1)])]);
    bench.answer(vec![discovered("docker/a", "c1", 9)]);
    bench.delete("s1");
    bench.delete("docker/a");
    assert!(bench.names().is_empty());
    assert_eq!(bench.merged.differences.len(), 2);
    bench.inputs.overrides = Default::default();
    bench.merge();
    assert_eq!(bench.names(), ["s1", "c1"]);
}

#[test]
fn deleted_discovered_server_comes_back_once_its_source_had_lost_it() {
    let mut bench = Bench::new(vec![web(Vec::new())]);
    bench.answer(vec![discovered("docker/a", "c1", 9)]);
    bench.delete("docker/a");
    bench.answer(vec![discovered("docker/a", "c1", 9)]);
    assert!(bench.names().is_empty());
    bench.answer(Vec::new());
    bench.answer(vec![discovered("docker/a", "c1", 9)]);
    assert_eq!(bench.names(), ["c1"]);
}

#[test]
fn file_adopts_an_added_server_and_its_settings_win() {
    let mut bench = Bench::new(vec![web(vec![server(1, 1)])]);
    bench.add(Server {
        weight: 9,
        ..server(8, 1)
    });
    bench.weight("s8", 3);
    bench.admin("s8", Admin::Maint);
    bench.set("s8", |set, stamp| {
        set.address = Some(Set::new(([10, 0, 0, 1], 80).into(), stamp));
    });
    assert_eq!(bench.names(), ["s1", "s8"]);
    bench.now += 2 * 3600;
    let mut written = server(8, 50);
    written.address = at(88);
    written.backup = true;
    let notices = bench.reload(vec![server(1, 1), written]);
    assert_eq!(
        notices,
        [
            "web/s8: is in the file now; its address and settings win over those given at run \
          time 2h ago"
        ]
    );
    let member = bench.member("s8");
    assert_eq!(
        (&member.settings.address, member.settings.backup),
        (&at(88), true)
    );
    assert_eq!((member.weight, member.admin), (3, Admin::Maint));
    assert!(
        bench.reload(vec![server(1, 1), server(8, 50)]).is_empty(),
        "said once"
    );
    bench.reload(vec![server(1, 1)]);
    assert_eq!(bench.names(), ["s1"], "it is the file's now");
}

#[test]
fn added_server_survives_reloads_of_other_files() {
    let mut bench = Bench::new(vec![web(Vec::new())]);
    bench.add(server(8, 1));
    bench.now += 30 * DAY;
    bench.reload(vec![server(1, 1)]);
    assert_eq!(bench.names(), ["s1", "s8"]);
    assert!(bench.sentences()[0].contains("added with 127.0.0.1:8"));
}

#[test]
fn server_added_in_place_of_a_deleted_one_is_not_the_files() {
    let mut bench = Bench::new(vec![web(vec![server(1, 1)])]);
    bench.delete("s1");
    let mut other = server(1, 1);
    other.address = at(11);
    bench.add(other);
    bench.reload(vec![server(1, 1)]);
    assert_eq!(bench.member("s1").settings.address, at(11));
    bench.reload(Vec::new());
    assert_eq!(bench.names(), ["s1"], "added still");
    bench.reload(vec![server(1, 1)]);
    assert_eq!(bench.member("s1").settings.address, at(1), "the file's");
}

#[test]
fn discovered_server_that_left_keeps_its_overrides_for_an_hour() {
    let mut bench = Bench::new(vec![web(Vec::new())]);
    bench.answer(vec![discovered("docker/a", "c1", 9)]);
    bench.admin("docker/a", Admin::Maint);
    bench.answer(Vec::new());
    bench.now += 3599;
    bench.answer(vec![discovered("docker/a", "c1", 10)]);
    assert_eq!(
        bench.member("c1").admin,
        Admin::Maint,
        "a restarted container"
    );
    bench.answer(Vec::new());
    bench.now += 3600;
    let notices = bench.merge();
    assert_eq!(
        notices,
        ["web/docker/a: what was set at run time is forgotten: absent for an hour"]
    );
    bench.answer(vec![discovered("docker/a", "c1", 9)]);
    assert_eq!(bench.member("c1").admin, Admin::Ready);
}

#[test]
fn new_container_of_the_same_name_starts_clean() {
    let mut bench = Bench::new(vec![web(Vec::new())]);
    bench.answer(vec![discovered("docker/a", "c1", 9)]);
    bench.admin("docker/a", Admin::Maint);
    bench.answer(vec![discovered("docker/b", "c1", 9)]);
    assert_eq!(bench.member("c1").admin, Admin::Ready);
}

#[test]
fn written_server_that_left_keeps_its_overrides_for_an_hour_too() {
    let mut bench = Bench::new(vec![web(vec![server(1, 1)])]);
    bench.weight("s1", 9);
    bench.file(Vec::new(), Vec::new());
    bench.now += 600;
    bench.reload(vec![server(1, 1)]);
    assert_eq!(bench.member("s1").weight, 9);
}

#[test]
fn written_server_wins_a_clash_of_names() {
    let mut bench = Bench::new(vec![web(vec![server(1, 1)])]);
    bench.add(server(2, 1));
    bench.answer(vec![
        discovered("docker/a", "s1", 9),
        discovered("docker/b", "s2", 9),
        Found::written(server(1, 7)),
        discovered("docker/c", "BACKEND", 9),
    ]);
    assert_eq!(bench.names(), ["s1", "s2"]);
    assert_eq!(bench.member("s1").weight, 1);
    assert_eq!(
        bench.merged.warnings,
        [
            "web/s1: is written and discovered; the written one is used",
            "web/s2: is written and discovered; the written one is used",
            "web/s1: is written twice; the first one is used",
            "web/BACKEND: a server cannot be called so; not used",
        ]
    );
}

#[test]
fn a_cookie_belongs_to_one_server() {
    let with = |port, cookie: &str| Server {
        cookie: Some(cookie.into()),
        ..server(port, 1)
    };
    let mut bench = Bench::new(vec![web(vec![with(1, "a")])]);
    bench.answer(vec![Found::written(with(2, "a"))]);
    bench.add(with(3, "b"));
    bench.add(with(4, "b"));
    let cookies: Vec<_> = (1..=4)
        .map(|n| bench.member(&format!("s{n}")).settings.cookie.clone())
        .collect();
    assert_eq!(cookies, [Some("a".into()), None, Some("b".into()), None]);
    assert_eq!(
        bench.merged.warnings,
        [
            "web/s2: has the cookie of s1; it gets one of its own",
            "web/s4: has the cookie of s3; it gets one of its own",
        ]
    );
}

#[test]
fn discovered_names_are_made_unique_and_of_our_letters() {
    let mut bench = Bench::new(vec![web(Vec::new())]);
    bench.answer(vec![
        discovered("docker/a", "de mo/web", 9),
        discovered("docker/b", "de_mo_web", 9),
        discovered("docker/c", "de_mo_web-2", 9),
        discovered("docker/d", "de_mo_web", 9),
    ]);
    let expected = ["de_mo_web", "de_mo_web-2", "de_mo_web-2-2", "de_mo_web-3"];
    assert_eq!(bench.names(), expected);
}

#[test]
fn servers_of_a_server_file_are_as_if_they_were_written() {
    let mut bench = Bench::new(vec![web(vec![server(1, 1)])]);
    bench.answer(vec![Found::written(server(2, 4))]);
    assert_eq!(bench.names(), ["s1", "s2"]);
    bench.weight("s2", 6);
    // From one file to the other it stays who it is.
    bench.answer(Vec::new());
    bench.reload(vec![server(1, 1), server(2, 4)]);
    assert_eq!(
        (bench.member("s2").weight, &*bench.member("s2").key),
        (6, "s2")
    );
}

#[test]
fn frontend_is_paused_limited_and_shut() {
    let frontends = || vec![frontend("www", &[80], None), frontend("api", &[81], None)];
    let stamp = Stamp {
        at: START,
        by: "a command".to_owned(),
    };
    let mut bench = Bench::with(frontends(), Vec::new());
    let www = bench.inputs.overrides.frontend_mut("www");
    www.paused = Some(Set::new((), &stamp));
    www.maxconn = Some(Set::new(Some(7), &stamp));
    let api = bench.inputs.overrides.frontend_mut("api");
    api.shut = Some(Set::new((), &stamp));
    bench.file(frontends(), Vec::new());
    let entrances = &bench.merged.desired.frontends;
    assert_eq!(entrances.len(), 1);
    assert!(entrances[0].paused);
    assert_eq!(entrances[0].config.maxconn, Some(7));
    let objects: Vec<_> = bench
        .merged
        .differences
        .iter()
        .map(|d| d.object.to_string())
        .collect();
    assert_eq!(objects, ["www", "www", "api"]);
    // Gone from the file once, it is not shut any more; a limit waits for an hour.
    bench.file(Vec::new(), Vec::new());
    bench.file(frontends(), Vec::new());
    assert_eq!(bench.merged.desired.frontends.len(), 2);
    assert!(bench.merged.desired.frontends[0].paused);
}

#[test]
fn disabled_in_the_file_is_what_ready_overrides() {
    let disabled = Server {
        disabled: true,
        ..server(1, 1)
    };
    let mut bench = Bench::new(vec![web(vec![disabled])]);
    assert_eq!(bench.member("s1").admin, Admin::Maint);
    bench.admin("s1", Admin::Ready);
    assert_eq!(bench.member("s1").admin, Admin::Ready);
    assert!(bench.sentences()[0].contains("state maint in the file, ready set at run time"));
}
