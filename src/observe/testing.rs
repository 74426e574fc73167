//! A small world with a little of everything, for the tests of this room.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{ProcessFacts, Samples, Snapshot, View};
use crate::config::{Check, Mode, ServerAddress};
use crate::generation::Generation;
use crate::generation::testing::{backend, desired, frontend, server};
use crate::state::{Admin, CheckCode, LastCheck, Operational, WorkerId};

/// A `[[listen]]` db (tcp, one draining server on a Unix socket), a frontend www
/// and a backend web: s1 UP and busy, s2 DOWN, s3 in maintenance; iids 2, 3 and 4.
///
/// It has run for a minute; the rates are those of its 61st second.
pub(super) struct Bench {
    pub(super) generation: Generation,
    pub(super) process: ProcessFacts,
    pub(super) samples: Samples,
}

/// When the world is looked at.
pub(super) const NOW_MS: u64 = 61_000;

pub(super) fn snapshot() -> Snapshot {
    Bench::new().snapshot()
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut bench = Self {
            generation: generation(),
            process: process(),
            samples: Samples::default(),
        };
        bench.with_samples(|samples, view| {
            samples.sample(&View {
                now_ms: 1000,
                ..*view
            })
        });
        bench.states();
        bench.traffic();
        bench.with_samples(|samples, view| {
            samples.sample(&View {
                now_ms: 60_000,
                ..*view
            })
        });
        for _ in 0..7 {
            bench.generation.backends[0].servers[0]
                .state
                .counters
                .slot(WorkerId(0))
                .sessions
                .add(1);
        }
        bench.with_samples(Samples::sample);
        bench
    }

    pub(super) fn view(&self) -> View<'_> {
        View {
            now_ms: NOW_MS,
            generation: &self.generation,
            departing: &[],
            paused: &[],
            process: &self.process,
        }
    }

    pub(super) fn with_samples<T>(&mut self, f: impl FnOnce(&mut Samples, &View<'_>) -> T) -> T {
        let mut samples = std::mem::take(&mut self.samples);
        let result = f(&mut samples, &self.view());
        self.samples = samples;
        result
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.with_samples(|samples, view| Snapshot::take(view, samples))
    }

    fn states(&self) {
        let web = &self.generation.backends[0];
        let check = |code, status, errno| LastCheck {
            code,
            status,
            errno,
            duration_ms: 4,
        };
        let state = &web.servers[0].state;
        state.record_check(check(CheckCode::L7Ok, 200, 0), 4, false);
        let state = &web.servers[1].state;
        state.record_check(check(CheckCode::L4Con, 0, 111), 0, true);
        state.set_operational(Operational::Down, 11_000);
        let state = &web.servers[2].state;
        state.record_check(check(CheckCode::Ini, 0, 0), 2, false);
        state.set_admin(Admin::Maint, 21_000);
        self.generation.backends[1].servers[0]
            .state
            .set_admin(Admin::Drain, 0);
    }

    fn traffic(&self) {
        let www = self.generation.frontends[1]
            .state
            .counters
            .slot(WorkerId(0));
        www.connections.add(12);
        www.sessions.add(11);
        www.denied_connections.add(1);
        www.requests.add(30);
        www.bytes_in.add(300);
        www.bytes_out.add(900);
        www.responses[1].add(29);
        www.responses[4].add(1);
        let s1 = &self.generation.backends[0].servers[0].state.counters;
        for worker in 0..2 {
            let slot = s1.slot(WorkerId(worker));
            slot.picked.add(10);
            slot.sessions.add(10);
            slot.requests.add(10);
            slot.bytes_in.add(150);
            slot.bytes_out.add(450);
            slot.responses[1].add(10);
            slot.connects.add(3);
            slot.times.total.add(12_000);
            slot.current.up();
        }
        s1.slot(WorkerId(0)).idle.up();
        for _ in 0..2 {
            s1.slot(WorkerId(1)).idle.up();
        }
        for _ in 0..6 {
            s1.slot(WorkerId(0)).current.up();
        }
        for _ in 0..6 {
            s1.slot(WorkerId(0)).current.down();
        }
        let own = self.generation.backends[0].state.counters.slot(WorkerId(0));
        own.sessions.add(1);
        own.requests.add(1);
        own.connect_errors.add(1);
        own.responses[4].add(1);
    }
}

fn generation() -> Generation {
    let mut db = backend("db", vec![server(1, 1)]);
    db.mode = Mode::Tcp;
    db.servers[0].name = "t1".into();
    db.servers[0].address = ServerAddress::Unix(PathBuf::from("/run/db.sock"));
    let mut listen = frontend("db", &[5432], Some(1));
    listen.mode = Mode::Tcp;
    let mut web = backend("web", vec![server(1, 10), server(2, 10), server(3, 10)]);
    web.check = Some(Check::default());
    web.servers[1].check_port = Some(9);
    let mut www = frontend("www", &[80], Some(0));
    www.maxconn = Some(100);
    let mut desired = desired(vec![listen, www], vec![web, db]);
    desired.members[0][2].weight = 5;
    Generation::first(&desired, 2).0
}

fn process() -> ProcessFacts {
    ProcessFacts {
        pid: 4711,
        node: "lb1".to_owned(),
        started_unix_ms: 1_700_000_000_250,
        now_unix_ms: 1_700_000_060_250,
        uptime: Duration::from_millis(90_061_500),
        workers: 2,
        descriptors: 1024,
        maxconn: 500,
        connections: 4,
        accepted: 12,
        pipes_max: 512,
        pipes: 2,
        listeners: 2,
        generation_unix_ms: 1_700_000_000_250,
        late_max: vec![Duration::from_millis(3), Duration::ZERO],
        ..ProcessFacts::default()
    }
}

/// A snapshot whose names are these; everything else stays.
pub(super) fn named(proxy: &str, server: &str) -> Snapshot {
    let mut snapshot = snapshot();
    for row in &mut snapshot.proxies {
        row.name = Arc::from(proxy);
        for row in row
            .backend
            .iter_mut()
            .flat_map(|backend| &mut backend.servers)
        {
            row.name = Arc::from(server);
            row.status = format!("UP {server}");
        }
    }
    snapshot
}
