use std::time::Duration;

use super::*;
use crate::generation::testing::{backend, desired, frontend, server};
use crate::generation::{Desired, Generation};
use crate::observe::{Departing, ProcessFacts};
use crate::state::{Counters, Operational, WorkerId};

fn web(ports: &[u16]) -> Desired {
    let servers = ports.iter().map(|port| server(*port, 1)).collect();
    desired(
        vec![frontend("www", &[80], Some(0))],
        vec![backend("web", servers)],
    )
}

struct Bench {
    generation: Generation,
    process: ProcessFacts,
    samples: Samples,
}

#[test]
fn what_another_process_counted_is_no_rate() {
    let mut bench = Bench::new(&[1]);
    bench.slot(2).0.sessions.add(1_000_000);
    let frontend = &bench.generation.frontends[0].state;
    frontend.counters.slot(WorkerId(2)).sessions.add(1_000_000);
    let mut samples = std::mem::take(&mut bench.samples);
    samples.begin(&bench.view(10));
    bench.samples = samples;
    bench.sample(20);
    let series = bench.series();
    assert_eq!((series.sessions.max, series.used_ms), (0, None));
    assert_eq!(bench.samples.process().sessions.max, 0);
    bench.slot(0).0.sessions.add(5);
    bench.sample(1_020);
    assert_eq!(bench.series().sessions.now, 5);
}

impl Bench {
    fn new(ports: &[u16]) -> Self {
        Self {
            generation: Generation::first(&web(ports), 2).0,
            process: ProcessFacts {
                workers: 2,
                ..ProcessFacts::default()
            },
            samples: Samples::default(),
        }
    }

    fn view(&self, now_ms: u64) -> View<'_> {
        View {
            now_ms,
            generation: &self.generation,
            departing: &[],
            paused: &[],
            process: &self.process,
        }
    }

    fn sample(&mut self, now_ms: u64) {
        let mut samples = std::mem::take(&mut self.samples);
        samples.sample(&self.view(now_ms));
        self.samples = samples;
    }

    fn slot(&self, worker: usize) -> Slot {
        let slot = self.generation.backends[0].servers[0]
            .state
            .counters
            .slot(WorkerId(worker));
        Slot(slot)
    }

    fn series(&self) -> Series {
        let id = self.generation.backends[0].servers[0].id();
        self.samples.servers[&id].clone()
    }
}

struct Slot(std::sync::Arc<crossbeam_utils::CachePadded<Counters>>);

impl std::ops::Deref for Slot {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.0
    }
}

#[test]
fn rates_are_those_of_the_last_interval_and_maxima_stay() {
    let mut bench = Bench::new(&[1]);
    bench.slot(0).sessions.add(100);
    bench.slot(1).sessions.add(50);
    bench.sample(1000);
    assert_eq!(
        (bench.series().sessions.now, bench.series().sessions.max),
        (150, 150)
    );
    bench.slot(0).sessions.add(10);
    bench.sample(3000);
    assert_eq!(
        (bench.series().sessions.now, bench.series().sessions.max),
        (5, 150)
    );
    bench.sample(4000);
    assert_eq!(bench.series().sessions.now, 0);
    let backend = &bench.samples.backends[&bench.generation.backends[0].state.id];
    assert_eq!(backend.series.sessions.max, 150);
}

#[test]
fn peaks_between_two_samples_are_seen_and_cleared() {
    let mut bench = Bench::new(&[1]);
    let slot = bench.slot(0);
    for _ in 0..3 {
        slot.current.up();
    }
    slot.current.down();
    slot.times.total.add(7000);
    bench.sample(1000);
    assert_eq!((bench.series().peak, bench.series().max[3]), (3, 7000));
    let mut samples = std::mem::take(&mut bench.samples);
    samples.clear_maxima(&bench.view(1500));
    bench.samples = samples;
    bench.sample(2000);
    assert_eq!(
        (bench.series().peak, bench.series().max[3]),
        (2, 0),
        "two still run"
    );
    slot.times.total.add(5000);
    bench.sample(3000);
    assert_eq!(bench.series().max[3], 5000);
}

#[test]
fn age_counts_from_the_last_pick() {
    let mut bench = Bench::new(&[1]);
    bench.sample(1000);
    assert_eq!(bench.series().used_ms, None);
    bench.slot(0).picked.add(1);
    bench.sample(2000);
    bench.sample(9000);
    assert_eq!(bench.series().used_ms, Some(2000));
}

#[test]
fn servers_come_and_go() {
    let mut bench = Bench::new(&[1, 2]);
    bench.slot(0).sessions.add(9);
    bench.sample(1000);
    let (next, change) = bench.generation.next(&web(&[2, 3]), 2);
    bench.generation = next;
    let leaving = &change.left[0];
    let departing = [Departing {
        backend: &leaving.0,
        server: &leaving.1,
        cut_in_ms: None,
    }];
    let mut samples = std::mem::take(&mut bench.samples);
    let mut view = bench.view(2000);
    view.departing = &departing;
    samples.sample(&view);
    assert_eq!(samples.servers.len(), 3, "the row that drains is followed");
    assert_eq!(
        samples
            .backends
            .values()
            .next()
            .unwrap()
            .series
            .sessions
            .now,
        0
    );
    let own = leaving.0.state.counters.slot(WorkerId(usize::MAX));
    for slot in leaving.1.state.counters.iter() {
        own.absorb(slot);
    }
    samples.sample(&bench.view(3000));
    assert_eq!(samples.servers.len(), 2);
    assert_eq!(samples.numbers.sid(leaving.1.id()), 0);
    assert_eq!(
        samples
            .backends
            .values()
            .next()
            .unwrap()
            .series
            .sessions
            .now,
        0,
        "folding is no traffic"
    );
}

#[test]
fn backend_without_a_usable_server_is_down_as_long() {
    let mut bench = Bench::new(&[1]);
    bench.sample(1000);
    let state = std::sync::Arc::clone(&bench.generation.backends[0].servers[0].state);
    state.set_operational(Operational::Down, 1500);
    bench.sample(2000);
    let id = bench.generation.backends[0].state.id;
    let down = bench.samples.backends[&id].clone();
    assert_eq!((down.up, down.downs, down.changed_ms), (false, 1, 2000));
    assert_eq!(down.downtime_ms(2500), 500);
    state.set_operational(Operational::Up, 3500);
    bench.sample(4000);
    let up = bench.samples.backends[&id].clone();
    assert_eq!((up.up, up.downs, up.downtime_ms(9000)), (true, 1, 2000));
}

#[test]
fn idle_is_what_the_workers_did_not_use() {
    let mut bench = Bench::new(&[1]);
    bench.sample(1000);
    bench.process.cpu = Duration::from_millis(500);
    bench.sample(2000);
    assert_eq!(bench.samples.process.idle_pct, 75);
    bench.process.cpu = Duration::from_secs(9);
    bench.sample(3000);
    assert_eq!(bench.samples.process.idle_pct, 0);
}

#[test]
fn sums_of_the_process_survive_a_frontend() {
    let mut bench = Bench::new(&[1]);
    let counters = &bench.generation.frontends[0].state.counters;
    counters.slot(WorkerId(0)).requests.add(5);
    bench.sample(1000);
    bench.generation = bench.generation.next(&desired(Vec::new(), Vec::new()), 2).0;
    bench.sample(2000);
    assert_eq!(bench.samples.all_frontends().requests, 5);
    assert!(bench.samples.frontends.is_empty() && bench.samples.backends.is_empty());
}
