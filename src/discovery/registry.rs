//! The sources and providers of a process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::docker::DockerProvider;
use super::source::Rules;
use super::{Failure, FailureKind, Member, Outlet, Source, SourceId, SourceRow};
use crate::config::{self, Config};

/// Something that can be watched: made of the configuration alone, compared with
/// what runs, so that a reload that does not touch it does not disturb it.
pub(crate) trait Provider: 'static {
    /// All it depends on, so that two that are equal do the same.
    fn plan(&self) -> String;

    /// The sources it feeds, in the order of the outlets `run` gets.
    fn sources(&self) -> Vec<SourceId>;

    /// Whether an empty answer is as good as any: its source is local and
    /// authoritative. Default: it is held for a while.
    fn empty_is_believed(&self) -> bool {
        false
    }

    /// How long a set that became empty is held; `None` = not at all.
    fn empty_hold(&self, discovery: &config::Discovery) -> Option<Duration> {
        (!self.empty_is_believed()).then_some(discovery.empty_hold)
    }

    /// Watches until dropped. Starts anew after a panic.
    fn run(&self, outlets: Vec<Outlet>) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// All of discovery. Lives on the control thread, within a local runtime;
/// dropped, all providers end.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    sources: BTreeMap<SourceId, Rc<RefCell<Source>>>,
    running: Vec<Running>,
    news: Rc<Notify>,
}

#[derive(Debug)]
struct Running {
    plan: String,
    task: JoinHandle<()>,
}

/// Between a panic of a provider and its new start.
const RESTART: Duration = Duration::from_secs(1);

impl Discovery {
    /// Makes the providers those that `config` asks for.
    pub(crate) fn reconcile(&mut self, config: &Config) {
        let now = Instant::now();
        let providers = providers(config);
        let mut before = std::mem::take(&mut self.running);
        let mut known = std::mem::take(&mut self.sources);
        for provider in providers {
            let rules = rules(&config.discovery, &*provider);
            let mut outlets = Vec::new();
            for id in provider.sources() {
                let source = known.remove(&id).or_else(|| self.sources.get(&id).cloned());
                let source = source
                    .unwrap_or_else(|| Rc::new(RefCell::new(Source::new(id.clone(), rules, now))));
                source.borrow_mut().set_rules(rules);
                outlets.push(Outlet::new(Rc::clone(&source), Rc::clone(&self.news)));
                self.sources.insert(id, source);
            }
            let plan = provider.plan();
            match before.iter().position(|running| running.plan == plan) {
                Some(index) => self.running.push(before.swap_remove(index)),
                None => {
                    let task = tokio::task::spawn_local(keep(provider, outlets));
                    self.running.push(Running { plan, task });
                }
            }
        }
        self.news.notify_one();
    }

    /// What another process heard of a source, `age` ago; in force already. Only
    /// for sources that have heard nothing themselves.
    pub(crate) fn restore(&mut self, id: &SourceId, members: Arc<[Member]>, age: Duration) {
        if let Some(source) = self.sources.get(id)
            && !source.borrow().is_ready()
        {
            source.borrow_mut().restore(members, age, Instant::now());
        }
    }

    /// The sets that are to be in force from now on.
    pub(crate) fn take(&mut self) -> Vec<(SourceId, Arc<[Member]>)> {
        let now = Instant::now();
        let sources = self.sources.iter();
        let taken = sources.filter_map(|(id, source)| {
            let members = source.borrow_mut().take(now)?;
            Some((id.clone(), members))
        });
        taken.collect()
    }

    /// When [`Self::take`] has something to do, unless there is news before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let sources = self.sources.values();
        sources.filter_map(|source| source.borrow().due()).min()
    }

    /// Told when a source heard something, and when the sources changed.
    pub(crate) fn news(&self) -> Rc<Notify> {
        Rc::clone(&self.news)
    }

    /// Sources that never answered, nor had anything to begin with.
    pub(crate) fn waiting(&self) -> usize {
        let sources = self.sources.values();
        sources.filter(|source| !source.borrow().is_ready()).count()
    }

    /// The age of each set that is known.
    pub(crate) fn ages(&self) -> Vec<(SourceId, Duration)> {
        let now = Instant::now();
        let sources = self.sources.iter();
        let ages = sources.filter_map(|(id, source)| Some((id.clone(), source.borrow().age(now)?)));
        ages.collect()
    }

    /// For those who look.
    pub(crate) fn rows(&self) -> Vec<SourceRow> {
        let now = Instant::now();
        let rows = self.sources.values().map(|source| source.borrow().row(now));
        rows.collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a configuration asks for. A new kind of source is one more line here.
fn providers(config: &Config) -> Vec<Box<dyn Provider>> {
    let mut all = Vec::new();
    all.extend(super::consul::providers(config));
    if let Some(docker) = DockerProvider::of(config) {
        all.push(Box::new(docker) as Box<dyn Provider>);
    }
    all.extend(super::dns::providers(config));
    all
}

fn rules(discovery: &config::Discovery, provider: &dyn Provider) -> Rules {
    Rules {
        coalesce: discovery.coalesce,
        max_delay: discovery.max_delay,
        empty_hold: provider.empty_hold(discovery),
        stale_warn: discovery.stale_warn,
    }
}

/// Runs a provider, anew after each panic of it.
async fn keep(provider: Box<dyn Provider>, outlets: Vec<Outlet>) {
    loop {
        let mut task = Abort(tokio::task::spawn_local(provider.run(outlets.clone())));
        let why = match (&mut task.0).await {
            Ok(()) => "its provider ended by itself",
            Err(_) => "its provider panicked",
        };
        for outlet in &outlets {
            outlet.failed(Failure::new(FailureKind::Local, why));
        }
        tokio::time::sleep(RESTART).await;
    }
}

/// A task that ends when this is dropped.
struct Abort(JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
