//! Building schedules and picking from them.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rlb::internal::balance::{Backend, Schedule};

const SERVERS: [usize; 6] = [2, 10, 30, 100, 2_000, 10_000];
const PICKS: u64 = 10_000;

/// Weights 1-256 in no order, without a random number generator.
fn mixed(servers: usize) -> Vec<u32> {
    (0..servers as u32)
        .map(|i| i.wrapping_mul(2_654_435_761) % 256 + 1)
        .collect()
}

/// Weights 1 and 2: the longest cycles that still are tables, up to 2,000 servers.
fn light(servers: usize) -> Vec<u32> {
    (0..servers as u32).map(|i| i % 2 + 1).collect()
}

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule/build");
    for servers in SERVERS {
        for (kind, weights) in [("mixed", mixed(servers)), ("light", light(servers))] {
            group.bench_with_input(BenchmarkId::new(kind, servers), &weights, |b, weights| {
                b.iter(|| Schedule::new(black_box(weights)));
            });
        }
    }
    group.finish();
}

fn pick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule/pick");
    group.throughput(Throughput::Elements(PICKS));
    for servers in SERVERS {
        for (kind, weights) in [("mixed", mixed(servers)), ("light", light(servers))] {
            let schedule = Schedule::new(&weights);
            group.bench_function(BenchmarkId::new(kind, servers), |b| {
                b.iter(|| schedule.pick(0..PICKS));
            });
        }
    }
    group.finish();
}

/// With the ticket and the look at the server's status: what a request pays.
fn backend(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("backend/pick");
    group.throughput(Throughput::Elements(PICKS));
    for servers in [4, 31, 1_000] {
        let halves = [(servers / 2, 7), (servers - servers / 2, 7)];
        for (kind, backend) in [
            ("plain", Backend::plain(servers)),
            ("two_groups", Backend::grouped(&halves)),
        ] {
            group.bench_function(BenchmarkId::new(kind, servers), |b| {
                b.iter(|| backend.pick(PICKS));
            });
        }
    }
    // A canary: 1 % over 7, 11 and 13 instances.
    let canary = Backend::grouped(&[(7, 1), (11, 49), (13, 50)]);
    group.bench_function(BenchmarkId::new("canary_7_11_13", 31), |b| {
        b.iter(|| canary.pick(PICKS));
    });
    group.finish();
}

criterion_group!(benches, build, pick, backend);
criterion_main!(benches);
