//! From a command to the published generation, and from a host to its backend.
//!
//! To be held: 5 ms with 1,000 servers of random weights, 50 ms with 10,000; the
//! route of a host costs the same with 10,000 sites as with 100.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rlb::internal::change::{Sites, Writer};

fn set_weight(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("generation/set_weight");
    for servers in [10, 1_000, 10_000] {
        let mut writer = Writer::new(servers);
        let mut round = 0;
        let id = BenchmarkId::from_parameter(servers);
        group.bench_function(id, |b| {
            b.iter(|| {
                round += 1;
                black_box(writer.set_weight(round % servers, (round % 256) as u16))
            });
        });
    }
    group.finish();
}

/// Each server has an override already: the worst that the writer carries along.
fn set_weight_among_overrides(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("generation/set_weight_all_overridden");
    group.sample_size(20);
    for servers in [1_000] {
        let mut writer = Writer::new(servers);
        for server in 0..servers {
            writer.set_weight(server, 300);
        }
        let mut round = 0;
        let id = BenchmarkId::from_parameter(servers);
        group.bench_function(id, |b| {
            b.iter(|| {
                round += 1;
                black_box(writer.set_weight(round % servers, (round % 256) as u16))
            });
        });
    }
    group.finish();
}

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("generation/route");
    for count in [10, 100, 10_000] {
        let sites = Sites::new(count);
        let hosts: Vec<_> = (0..64)
            .map(|i| format!("S{}.test", i * 7919 % count))
            .collect();
        let mut hosts = hosts.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                let found = sites.route(hosts.next().expect("endless").as_bytes());
                assert_eq!(found, Some(0));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, set_weight, set_weight_among_overrides, route);
criterion_main!(benches);
