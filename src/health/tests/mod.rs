//! Scheduling of checks, on a paused clock and with made-up answers.

mod bench;

use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};

use super::*;
use crate::config::{Check, ServerAddress};
use crate::generation::testing::{backend, desired, server};
use bench::{Bench, check, paused, web};

#[test]
fn states_follow_rise_and_fall_at_their_paces() {
    paused(async {
        let mut bench = Bench::new(web(1..2, check()));
        assert_eq!(bench.status("s1"), "UP 1/3");
        bench.seconds(1.0).await; // asked at 0
        assert_eq!(bench.status("s1"), "UP");
        assert_eq!(bench.origins.seconds(1), [0.0]);
        bench.fail(1);
        bench.seconds(30.0).await;
        // A failure each at 10, 12 and 14, then as a server that is down.
        assert_eq!(
            bench.origins.seconds(1),
            [10.0, 12.0, 14.0, 19.0, 24.0, 29.0]
        );
        assert_eq!(bench.status("s1"), "DOWN");
        assert_eq!(bench.server("s1").state.check_failures(), 3);
        assert_eq!(bench.server("s1").state.changed_ms(), 14_000);
        let event = bench.events.try_recv().unwrap();
        assert_eq!((&*event.backend, &*event.server), ("web", "s1"));
        assert_eq!((event.from, event.to), (Operational::Up, Operational::Down));
        assert_eq!(event.id, bench.server("s1").id());
        assert!(bench.events.try_recv().is_err());
        bench.pass(1);
        bench.seconds(4.0).await; // 35
        assert_eq!(bench.status("s1"), "DOWN 1/2");
        assert!(!bench.server("s1").state.is_usable());
        bench.seconds(2.0).await;
        assert_eq!(bench.status("s1"), "UP");
        assert_eq!(bench.events.try_recv().unwrap().to, Operational::Up);
        bench.seconds(10.0).await;
        assert_eq!(bench.origins.seconds(1), [34.0, 36.0, 46.0]);
        assert_eq!(bench.server("s1").state.downtime_ms(99_999), 22_000);
    });
}

#[test]
fn first_failure_takes_a_server_down_that_never_passed() {
    paused(async {
        let bench = Bench::new(web(1..2, check()));
        bench.fail(1);
        bench.seconds(1.0).await;
        assert_eq!(bench.status("s1"), "DOWN");
    });
}

#[test]
fn first_checks_are_spread_evenly_and_every_server_is_asked_once_an_interval() {
    paused(async {
        let bench = Bench::new(web(1..101, check()));
        bench.seconds(29.99).await;
        let mut first = Vec::new();
        for port in 1..101 {
            let seconds = bench.origins.seconds(port);
            assert_eq!(seconds.len(), 3, "{seconds:?}");
            assert!(
                (seconds[2] - seconds[0] - 20.0).abs() < 0.005,
                "{seconds:?}"
            );
            first.push(seconds[0]);
        }
        assert!(!first.is_sorted(), "in an order of its own");
        first.sort_by(f64::total_cmp);
        for (position, second) in (0..).zip(first) {
            assert!((second - f64::from(position) * 0.1).abs() < 0.005);
        }
    });
}

#[test]
fn slow_answers_skip_ticks_and_never_overlap() {
    paused(async {
        let slow = Check {
            timeout: Duration::from_secs(60),
            ..check()
        };
        let bench = Bench::new(web(1..2, slow));
        bench
            .origins
            .answer(1, CheckCode::L4Ok, Duration::from_secs(25));
        bench.seconds(95.0).await;
        assert_eq!(bench.origins.seconds(1), [0.0, 30.0, 60.0, 90.0]);
    });
}

#[test]
fn probes_at_once_are_bounded() {
    paused(async {
        let bench = Bench::new(web(1..2001, check()));
        for port in 1..2001 {
            bench
                .origins
                .answer(port, CheckCode::L4Tout, Duration::from_secs(10));
        }
        bench.seconds(100.0).await;
        assert_eq!(*bench.origins.most.borrow(), PROBES_MAX as u32);
        assert!((1..2001).all(|port| !bench.origins.seconds(port).is_empty()));
    });
}

#[test]
fn events_nobody_fetches_hold_up_only_their_own_server() {
    paused(async {
        let mut bench = Bench::new(web(1..1001, check()));
        for port in 1..1000 {
            bench.fail(port);
        }
        bench.seconds(50.0).await;
        assert!(bench.generation.backends[0].pick(None).is_some());
        assert_eq!(bench.origins.seconds(1000).len(), 5);
        let down = |server: &&Arc<Server>| !server.state.is_usable();
        let servers = &bench.generation.backends[0].servers;
        assert_eq!(servers.iter().filter(down).count(), 999);
        let mut events = 0;
        while bench.events.try_recv().is_ok() {
            events += 1;
            tokio::task::yield_now().await;
        }
        assert_eq!(events, 999);
    });
}

#[test]
fn removed_server_is_not_asked_any_more_and_its_probe_ends() {
    paused(async {
        let mut bench = Bench::new(web(1..3, check()));
        bench
            .origins
            .answer(1, CheckCode::L4Con, Duration::from_secs(9));
        bench.seconds(6.0).await; // both were asked; the first has not answered
        bench.apply(web(2..3, check()));
        tokio::task::yield_now().await;
        assert_eq!(bench.origins.open.borrow()[&1], 0);
        bench.origins.seconds(1);
        bench.origins.seconds(2);
        bench.seconds(20.0).await;
        assert!(bench.origins.seconds(1).is_empty());
        assert_eq!(bench.origins.seconds(2).len(), 2);
        assert!(bench.events.try_recv().is_err());
    });
}

#[test]
fn kept_server_keeps_its_beat() {
    paused(async {
        let mut bench = Bench::new(web(1..2, check()));
        bench.seconds(4.0).await;
        let mut heavier = web(1..3, check());
        heavier[0].servers[0].weight = 9;
        bench.apply(heavier);
        bench.seconds(18.0).await;
        assert_eq!(bench.origins.seconds(1), [0.0, 10.0, 20.0]);
        assert_eq!(bench.origins.seconds(2), [4.0, 14.0], "new: asked at once");
    });
}

#[test]
fn changed_settings_keep_the_health() {
    paused(async {
        let mut bench = Bench::new(web(1..3, check()));
        bench.fail(1);
        bench.seconds(15.0).await;
        assert_eq!(
            (bench.status("s1"), bench.status("s2")),
            ("DOWN".into(), "UP".into())
        );
        let other = Check {
            rise: 1,
            fall: 7,
            ..check()
        };
        bench.apply(web(1..3, other));
        assert!(!bench.changed);
        assert_eq!(
            (bench.status("s1"), bench.status("s2")),
            ("DOWN".into(), "UP".into())
        );
        bench.pass(1);
        bench.seconds(10.0).await;
        assert_eq!(bench.status("s1"), "UP");
    });
}

#[test]
fn new_address_starts_anew() {
    paused(async {
        let mut bench = Bench::new(web(1..2, check()));
        bench.fail(1);
        bench.seconds(1.0).await;
        assert_eq!(bench.status("s1"), "DOWN");
        let mut moved = web(1..2, check());
        moved[0].servers[0].address = ServerAddress::Ip(([127, 0, 0, 1], 2).into());
        bench.apply(moved);
        assert!(bench.changed);
        assert_eq!(bench.status("s1"), "UP 1/3");
        assert_eq!(bench.server("s1").state.last_check(), Some(INITIAL));
        bench.seconds(1.0).await;
        assert_eq!(bench.status("s1"), "UP");
        assert_eq!(bench.origins.seconds(2), [1.0]);
    });
}

#[test]
fn maintenance_pauses_and_its_end_is_a_new_start() {
    paused(async {
        let mut bench = Bench::new(web(1..2, check()));
        bench.fail(1);
        bench.seconds(1.0).await;
        bench.server("s1").state.set_admin(Admin::Maint, 1);
        bench.reconcile();
        assert!(!bench.changed);
        bench.origins.seconds(1);
        bench.seconds(60.0).await;
        assert!(bench.origins.seconds(1).is_empty());
        assert_eq!(bench.status("s1"), "MAINT");
        bench.server("s1").state.set_admin(Admin::Ready, 2);
        bench.pass(1);
        bench.reconcile();
        assert!(bench.changed);
        assert_eq!(bench.status("s1"), "UP 1/3");
        bench.seconds(1.0).await;
        assert_eq!(bench.status("s1"), "UP");
    });
}

#[test]
fn result_that_comes_in_maintenance_is_not_counted() {
    paused(async {
        let mut bench = Bench::new(web(1..2, check()));
        bench
            .origins
            .answer(1, CheckCode::L4Con, Duration::from_secs(2));
        bench.seconds(1.0).await;
        // Before control came to reconcile.
        bench.server("s1").state.set_admin(Admin::Maint, 1);
        bench.seconds(30.0).await;
        assert_eq!(bench.server("s1").state.operational(), Operational::Up);
        assert_eq!(bench.origins.seconds(1), [0.0]);
        assert!(bench.events.try_recv().is_err());
    });
}

#[test]
fn drained_servers_are_checked_and_retired_ones_are_not() {
    paused(async {
        let bench = Bench::new(web(1..3, check()));
        bench.seconds(9.0).await;
        bench.server("s1").state.set_admin(Admin::Drain, 1);
        bench.server("s2").state.retire();
        bench.origins.seconds(1);
        bench.origins.seconds(2);
        bench.seconds(20.0).await;
        assert_eq!(bench.origins.seconds(1).len(), 2);
        assert!(bench.origins.seconds(2).is_empty());
    });
}

#[test]
fn server_that_loses_its_check_is_up_also_out_of_maintenance() {
    paused(async {
        let mut bench = Bench::new(web(1..3, check()));
        bench.fail(1);
        bench.fail(2);
        bench.seconds(6.0).await;
        bench.server("s2").state.set_admin(Admin::Maint, 1);
        bench.reconcile();
        bench.apply(vec![backend("web", vec![server(1, 1), server(2, 1)])]);
        assert!(bench.changed);
        bench.server("s2").state.set_admin(Admin::Ready, 1);
        assert_eq!(bench.status("s1"), "no check");
        assert_eq!(bench.status("s2"), "no check");
        bench.origins.asked.borrow_mut().clear();
        bench.seconds(60.0).await;
        assert!(bench.origins.asked.borrow().is_empty());
    });
}

#[test]
fn refused_connects_of_workers_count_as_failed_checks() {
    paused(async {
        let mut observed = web(1..2, check());
        observed[0].observe_connect = true;
        let mut bench = Bench::new(observed);
        bench.seconds(1.0).await;
        let id = bench.server("s1").id();
        bench.health.passive_failure(id);
        bench.health.passive_failure(id);
        bench.seconds(0.5).await;
        assert_eq!(bench.status("s1"), "UP 1/3");
        bench.health.passive_failure(id);
        bench.seconds(0.5).await;
        assert_eq!(bench.status("s1"), "DOWN");
        assert_eq!(
            bench.events.try_recv().unwrap().check.code,
            CheckCode::L4Con
        );
        // The next checks hurry, and late reports do not hold them up.
        bench.seconds(2.0).await;
        assert_eq!(bench.status("s1"), "DOWN 1/2");
        bench.health.passive_failure(id);
        bench.seconds(3.0).await;
        assert_eq!(bench.status("s1"), "UP");
    });
}

#[test]
fn refused_connects_count_only_when_asked() {
    paused(async {
        let bench = Bench::new(web(1..2, check()));
        bench.seconds(1.0).await;
        for _ in 0..10 {
            bench.health.passive_failure(bench.server("s1").id());
        }
        bench.seconds(1.0).await;
        assert_eq!(bench.status("s1"), "UP");
    });
}

#[test]
fn our_own_trouble_and_panics_are_no_failures_of_the_server() {
    paused(async {
        let mut bench = Bench::new(web(1..2, check()));
        bench.seconds(1.0).await;
        bench.origins.answer(1, CheckCode::SockErr, Duration::ZERO);
        bench.seconds(50.0).await;
        assert_eq!(bench.status("s1"), "UP");
        let last = bench.server("s1").state.last_check().unwrap();
        assert_eq!(last.code, CheckCode::SockErr);
        bench.origins.answer(1, CheckCode::Unknown, Duration::ZERO);
        bench.seconds(20.0).await;
        assert_eq!(bench.status("s1"), "UP");
        bench.fail(1);
        bench.seconds(20.0).await;
        assert_eq!(bench.status("s1"), "DOWN", "checks went on");
        assert!(bench.events.try_recv().is_ok());
    });
}

#[test]
fn forced_health_stands_until_the_checks_say_otherwise() {
    paused(async {
        let mut bench = Bench::new(web(1..2, check()));
        bench.seconds(1.0).await;
        assert!(bench.health.force(bench.server("s1"), Operational::Down));
        assert_eq!(bench.status("s1"), "DOWN");
        bench.seconds(8.0).await; // after 5, then after 2
        assert_eq!(bench.status("s1"), "UP");
        bench.apply(vec![backend("web", vec![server(1, 1)])]);
        assert!(
            bench
                .health
                .force(bench.server("s1"), Operational::Stopping)
        );
        bench.reconcile();
        bench.seconds(60.0).await;
        assert_eq!(bench.status("s1"), "NOLB");
    });
}

#[test]
fn real_probes_reach_the_log() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let backends = web(port..port + 1, check());
        let generation = Generation::first(&desired(Vec::new(), backends), 2).0;
        let (mut health, mut events) = Health::new(Instant::now(), 1);
        assert!(!health.reconcile(&generation));
        let event = events.recv().await.unwrap();
        let line = event.log_line(&generation);
        let reason = "DOWN, reason: Layer4 connection problem, info: \"Connection refused\", ";
        assert!(line.contains(reason), "{line}");
        let outage = event.outage_line(&generation);
        assert_eq!(outage.unwrap(), "backend web has no server available!");
    });
}
