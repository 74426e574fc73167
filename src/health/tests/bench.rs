//! Checks on a paused clock, with made-up answers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::time::sleep;

use super::super::*;
use crate::config::{self, Check, ServerAddress};
use crate::generation::status;
use crate::generation::testing::{backend, desired, server};

/// Runs on a local runtime with a paused clock.
pub(super) fn paused(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(test);
}

/// Origins that answer as told, and what they were asked.
#[derive(Default)]
pub(super) struct Origins {
    /// By port: code and how long it takes. Others pass at once.
    pub(super) answers: RefCell<HashMap<u16, (CheckCode, Duration)>>,
    /// Port and second of each probe.
    pub(super) asked: RefCell<Vec<(u16, f64)>>,
    /// Probes under way, by port.
    pub(super) open: RefCell<HashMap<u16, u32>>,
    pub(super) most: RefCell<u32>,
}

/// One probe under way.
struct Open<'a>(&'a Origins, u16);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        *self.0.open.borrow_mut().get_mut(&self.1).unwrap() -= 1;
    }
}

impl Origins {
    pub(super) fn answer(&self, port: u16, code: CheckCode, after: Duration) {
        self.answers.borrow_mut().insert(port, (code, after));
    }

    async fn ask(&self, target: Rc<Target>, epoch: Instant) -> LastCheck {
        let ServerAddress::Ip(address) = target.address else {
            panic!("no port");
        };
        let port = address.port();
        let second = epoch.elapsed().as_secs_f64();
        self.asked.borrow_mut().push((port, second));
        let known = self.answers.borrow().get(&port).copied();
        let (code, after) = known.unwrap_or((CheckCode::L4Ok, Duration::ZERO));
        let open = {
            let mut open = self.open.borrow_mut();
            *open.entry(port).or_default() += 1;
            assert_eq!(open[&port], 1, "two probes of one server at once");
            let sum: u32 = open.values().sum();
            let most = &mut *self.most.borrow_mut();
            *most = sum.max(*most);
            Open(self, port)
        };
        sleep(after).await;
        drop(open);
        assert_ne!(code, CheckCode::Unknown, "told to panic");
        LastCheck { code, ..INITIAL }
    }

    /// Takes the seconds at which `port` was asked.
    pub(super) fn seconds(&self, port: u16) -> Vec<f64> {
        let mut asked = self.asked.borrow_mut();
        let seconds = asked.iter().filter(|a| a.0 == port).map(|a| a.1).collect();
        asked.retain(|a| a.0 != port);
        seconds
    }
}

struct Answers(Rc<Origins>, Instant);

impl Prober for Answers {
    fn ask(&self, target: Rc<Target>) -> Pin<Box<dyn Future<Output = LastCheck>>> {
        let (origins, epoch) = (Rc::clone(&self.0), self.1);
        Box::pin(async move { origins.ask(target, epoch).await })
    }
}

pub(super) struct Bench {
    pub(super) origins: Rc<Origins>,
    pub(super) health: Health,
    pub(super) events: mpsc::Receiver<HealthEvent>,
    pub(super) generation: Generation,
    pub(super) changed: bool,
}

impl Bench {
    pub(super) fn new(backends: Vec<config::Backend>) -> Self {
        let origins: Rc<Origins> = Rc::default();
        let epoch = Instant::now();
        let asked = Rc::clone(&origins);
        let prober = Answers(asked, epoch);
        let (mut health, events) = Health::with_prober(epoch, 7, Box::new(prober));
        let generation = Generation::first(&desired(Vec::new(), backends), 2).0;
        let changed = health.reconcile(&generation);
        Self {
            origins,
            health,
            events,
            generation,
            changed,
        }
    }

    pub(super) fn apply(&mut self, backends: Vec<config::Backend>) {
        let desired = desired(Vec::new(), backends);
        self.generation = self.generation.next(&desired, 2).0;
        self.reconcile();
    }

    pub(super) fn reconcile(&mut self) {
        self.changed = self.health.reconcile(&self.generation);
    }

    pub(super) fn server(&self, name: &str) -> &Arc<Server> {
        self.generation.backends[0].server(name).unwrap()
    }

    pub(super) fn status(&self, name: &str) -> String {
        status(self.server(name))
    }

    pub(super) fn fail(&self, port: u16) {
        self.origins.answer(port, CheckCode::L4Con, Duration::ZERO);
    }

    pub(super) fn pass(&self, port: u16) {
        self.origins.answer(port, CheckCode::L4Ok, Duration::ZERO);
    }

    /// Runs for this many seconds.
    pub(super) async fn seconds(&self, seconds: f64) {
        sleep(Duration::from_secs_f64(seconds)).await;
    }
}

pub(super) fn check() -> Check {
    Check {
        interval: Duration::from_secs(10),
        fast_interval: Duration::from_secs(2),
        down_interval: Duration::from_secs(5),
        timeout: Duration::from_secs(10),
        ..Check::default()
    }
}

pub(super) fn web(ports: std::ops::Range<u16>, check: Check) -> Vec<config::Backend> {
    let mut web = backend("web", ports.map(|port| server(port, 1)).collect());
    web.check = Some(check);
    vec![web]
}
