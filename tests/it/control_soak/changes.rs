//! The changes, and by what each of them is known to be in force.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use super::databases::Databases;
use super::file::{File, row, sites, wait_for_late_workers};
use super::traffic::{Tally, Wire};
use super::{Random, Site};
use crate::support::{PATIENCE, Rlb, answers, connect, wait_until};

/// The ways in which a backend set changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    SetWeight,
    AddServer,
    DelServer,
    Drain,
    Maint,
    Ready,
    /// `lb.toml` written in place, then SIGHUP.
    FileInPlace,
    /// Another file renamed over `lb.toml`, then `reload`.
    FileRenamed,
    /// Another file renamed over a server file, and nobody told.
    ServerFile,
    /// A second bind, by a rewrite.
    BindOpened,
    BindClosed,
    /// As `AddServer` and `DelServer`, in a TCP backend, with a session that is on it.
    AddDatabase,
    DelDatabase,
    ReloadNothing,
}

/// A running rlb and what it should be serving.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    rlb: Rlb,
    file: File,
    tally: &'a Tally,
    random: Random,
    made: BTreeMap<Kind, usize>,
    /// Asks what nobody else asks for, so that shares can be counted.
    own: Wire,
    /// Of `file.set`, as set at run time.
    weights: [u64; 3],
    /// Of `file.web`: the last number that each may have seen, unless it is ready.
    gone: [Option<u64>; 4],
    spare: [Spare; 3],
    added: usize,
    nodes: [Site; 4],
    databases: Databases,
}

/// A server that comes and goes.
#[derive(Debug)]
struct Spare {
    site: Site,
    /// Its name while it is there.
    name: Option<String>,
    /// The last number that it may have seen.
    gone: u64,
}

impl Kind {
    pub(super) const ALL: [Self; 14] = [
        Self::SetWeight,
        Self::AddServer,
        Self::DelServer,
        Self::Drain,
        Self::Maint,
        Self::Ready,
        Self::FileInPlace,
        Self::FileRenamed,
        Self::ServerFile,
        Self::BindOpened,
        Self::BindClosed,
        Self::AddDatabase,
        Self::DelDatabase,
        Self::ReloadNothing,
    ];
}

impl<'a> Changes<'a> {
    pub(super) fn start(tally: &'a Tally, random: Random) -> Self {
        let file = File::new();
        let rlb = Rlb::with(file.text()).ready_on(file.web_addr).start();
        wait_until(PATIENCE, "the admin socket is there", || {
            UnixStream::connect(file.path("admin.sock")).is_ok()
        });
        let own = Wire::over(connect(file.web_addr));
        let mut changes = Self {
            rlb,
            file,
            tally,
            random,
            made: BTreeMap::new(),
            own,
            weights: [1; 3],
            gone: [None; 4],
            spare: std::array::from_fn(|_| Spare {
                site: Site::open(),
                name: None,
                gone: 0,
            }),
            added: 0,
            nodes: sites(),
            databases: Databases::default(),
        };
        changes.change_server_file();
        changes
    }

    pub(super) fn web_addr(&self) -> SocketAddr {
        self.file.web_addr
    }

    pub(super) fn db_addr(&self) -> SocketAddr {
        self.file.db_addr
    }

    /// Bytes of memory that rlb holds.
    pub(super) fn resident(&self) -> usize {
        self.rlb.resident()
    }

    /// How often each kind was made.
    pub(super) fn made(&self) -> &BTreeMap<Kind, usize> {
        &self.made
    }

    /// Makes one change and waits for its effect; one that has an opposite, and cannot
    /// be made now, gives way to that.
    pub(super) fn make(&mut self, kind: Kind) {
        let kind = self.possible(kind);
        *self.made.entry(kind).or_default() += 1;
        match kind {
            Kind::SetWeight => self.set_weight(),
            Kind::AddServer => self.add_server(),
            Kind::DelServer => self.del_server(),
            Kind::Drain => self.take_out("drain", STATE_DRAIN),
            Kind::Maint => self.take_out("maint", STATE_MAINT),
            Kind::Ready => self.make_ready(),
            Kind::FileInPlace => self.rewrite_in_place(),
            Kind::FileRenamed => self.rename_over(),
            Kind::ServerFile => self.change_server_file(),
            Kind::BindOpened | Kind::BindClosed => self.open_or_close_bind(),
            Kind::AddDatabase => self.databases.add(&self.file),
            Kind::DelDatabase => self.databases.delete(&self.file),
            Kind::ReloadNothing => self.reload_nothing(),
        }
    }

    fn possible(&self, kind: Kind) -> Kind {
        let there = self.spare.iter().filter(|s| s.name.is_some()).count();
        match kind {
            Kind::AddServer if there == self.spare.len() => Kind::DelServer,
            Kind::DelServer if there == 0 => Kind::AddServer,
            Kind::AddDatabase if self.databases.are_all_there() => Kind::DelDatabase,
            Kind::DelDatabase if self.databases.are_none_there() => Kind::AddDatabase,
            Kind::BindOpened if self.file.second_is_open => Kind::BindClosed,
            Kind::BindClosed if !self.file.second_is_open => Kind::BindOpened,
            possible => possible,
        }
    }

    fn set_weight(&mut self) {
        let which = self.pick(3);
        self.weights[which] = 1 + self.random.below(WEIGHT_MAX);
        let weight = self.weights[which];
        self.obeys(&format!("set weight set/s{which} {weight}"));
        let got = next_cycle(
            std::slice::from_mut(&mut self.own),
            self.tally,
            "set",
            &self.file.set,
            &self.weights,
        );
        assert_eq!(got, self.weights, "set weight set/s{which} {weight}");
    }

    fn add_server(&mut self) {
        let free = self.spare.iter().position(|spare| spare.name.is_none());
        let which = free.expect("it is possible");
        self.added += 1;
        let name = format!("d{}", self.added);
        let spare = &mut self.spare[which];
        let site = &spare.site;
        assert!(site.last() <= spare.gone, "served after it was deleted");
        let command = format!("add server web/{name} {} weight 10 up", site.addr());
        self.file.obeys(&command, "New server registered.");
        spare.name = Some(name.clone());
        let since = self.tally.last_number();
        wait_until(PATIENCE, "it is served from", || site.last() > since);
        assert!(self.file.states("web").contains_key(&name));
    }

    fn del_server(&mut self) {
        let there: Vec<usize> = (0..self.spare.len())
            .filter(|which| self.spare[*which].name.is_some())
            .collect();
        let which = there[self.pick(there.len())];
        let name = self.spare[which].name.take().expect("it is there");
        let command = format!("del server web/{name} drain 10s");
        self.file.obeys(&command, "Server deleted.");
        self.spare[which].gone = self.tally.last_number();
        self.pass_several();
        let spare = &self.spare[which];
        assert!(spare.site.last() <= spare.gone, "served after: {command}");
        assert!(!self.file.states("web").contains_key(&name));
    }

    fn take_out(&mut self, state: &str, shown: &str) {
        let which = 1 + self.pick(3);
        let command = format!("set server web/s{which} state {state}");
        self.obeys(&command);
        // It may have been out already, and then still has not seen anything.
        let gone = *self.gone[which].get_or_insert_with(|| self.tally.last_number());
        self.pass_several();
        let last = self.file.web[which].last();
        assert!(last <= gone, "{command}: {last} came after {gone}");
        assert_eq!(self.file.states("web")[&format!("s{which}")].admin, shown);
    }

    fn make_ready(&mut self) {
        let which = 1 + self.pick(3);
        let site = &self.file.web[which];
        if let Some(gone) = self.gone[which].take() {
            assert!(site.last() <= gone, "served before it was ready");
        }
        self.obeys(&format!("set server web/s{which} state ready"));
        let since = self.tally.last_number();
        wait_until(PATIENCE, "it is served from", || site.last() > since);
        let state = &self.file.states("web")[&format!("s{which}")];
        assert_eq!(state.admin, STATE_READY);
    }

    fn rewrite_in_place(&mut self) {
        self.file.weights = self.new_weights();
        fs::write(self.rlb.dir().join("lb.toml"), self.file.text()).expect("temporary directory");
        self.rlb.signal(Signal::HUP);
        let (own, file) = (&mut self.own, &self.file);
        wait_until(PATIENCE, "the file is in force", || {
            next_cycle(
                std::slice::from_mut(own),
                self.tally,
                "written",
                &file.written,
                &file.weights,
            ) == file.weights
        });
    }

    fn rename_over(&mut self) {
        self.file.weights = self.new_weights();
        self.write_and_reload();
        self.written_weights_are_in_force();
    }

    fn write_and_reload(&self) {
        let dir = self.rlb.dir();
        fs::write(dir.join("new"), self.file.text()).expect("temporary directory");
        fs::rename(dir.join("new"), dir.join("lb.toml")).expect("temporary directory");
        let answer = self.file.ask("reload");
        assert!(answer.starts_with("Success=1\n"), "{answer}");
        wait_for_late_workers(&self.file.path("admin.sock"), &answer);
    }

    #[track_caller]
    fn written_weights_are_in_force(&mut self) {
        let (file, own) = (&self.file, &mut self.own);
        let got = next_cycle(
            std::slice::from_mut(own),
            self.tally,
            "written",
            &file.written,
            &file.weights,
        );
        assert_eq!(got, file.weights);
    }

    fn change_server_file(&mut self) {
        let mut weights = [(); 4].map(|()| self.random.below(4));
        // Never none at all.
        weights[self.pick(4)] = 4;
        let rows: Vec<String> = (0..4)
            .filter(|which| weights[*which] > 0)
            .map(|which| row("n", which, &self.nodes[which], weights[which]))
            .collect();
        let (new, path) = (self.file.path("new"), self.file.path("nodes.toml"));
        fs::write(&new, format!("server = [{}]\n", rows.join(", "))).expect("temporary directory");
        fs::rename(new, path).expect("temporary directory");
        wait_until(PATIENCE, "the servers of the file are shown", || {
            let states = self.file.states("nodes");
            let shown = |which: usize| {
                let state = states.get(&format!("n{which}"));
                state.map_or(0, |state| state.weight)
            };
            weights == [0, 1, 2, 3].map(shown)
        });
        if self.tally.last_number() == 0 {
            // No load yet.
            return;
        }
        // Nobody answered, so the workers may still be on their way.
        wait_until(PATIENCE, "these servers and no others serve", || {
            let since = self.tally.last_number();
            self.pass_several();
            let serves = |which: usize| self.nodes[which].last() > since;
            (0..4).all(|which| serves(which) == (weights[which] > 0))
        });
    }

    fn open_or_close_bind(&mut self) {
        self.file.second_is_open = !self.file.second_is_open;
        self.write_and_reload();
        let addr = self.file.second_addr;
        if self.file.second_is_open {
            let target = format!("/web/{}", self.tally.number());
            let answered = Wire::over(connect(addr)).ask("GET", &target, b"");
            answered.unwrap_or_else(|error| panic!("the second bind: {error}"));
        } else {
            wait_until(PATIENCE, "the second bind is closed", || !answers(addr));
        }
    }

    fn reload_nothing(&mut self) {
        let answer = self.file.ask("reload");
        let mut lines = answer.lines();
        assert_eq!(
            [lines.next(), lines.next()],
            [Some("Success=1"), Some("--")]
        );
        // Who asks is told each time what is set at run time.
        wait_for_late_workers(&self.file.path("admin.sock"), &answer);
        let nothing = |line: &str| {
            let told = ["set at run time", "not yet passed by workers"];
            line == "nothing changed" || told.iter().any(|words| line.contains(words))
        };
        assert!(lines.all(nothing), "{answer}");
        self.written_weights_are_in_force();
        let got = next_cycle(
            std::slice::from_mut(&mut self.own),
            self.tally,
            "set",
            &self.file.set,
            &self.weights,
        );
        assert_eq!(got, self.weights, "set at run time");
    }

    /// Waits until so many numbers are handed out that each server would have had some.
    fn pass_several(&self) {
        let since = self.tally.last_number();
        wait_until(PATIENCE, "the load goes on", || {
            self.tally.last_number() > since + SEVERAL
        });
    }

    /// Waits until all of the background is at work.
    pub(super) fn wait_for_load(&self, sessions: usize) {
        wait_until(PATIENCE, "the background is at work", || {
            self.tally.open_sessions() == sessions as u64
                && self.tally.last_number() > SEVERAL
                && self.file.web.iter().all(|site| site.last() > 0)
        });
    }

    /// A command that is answered by silence.
    fn obeys(&self, command: &str) {
        self.file.obeys(command, "");
    }

    fn new_weights(&mut self) -> [u64; 3] {
        [(); 3].map(|()| 1 + self.random.below(WEIGHT_MAX))
    }

    fn pick(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }
}

/// How many requests of the next cycle each server gets, asked for in turn by these.
pub(super) fn next_cycle(
    clients: &mut [Wire],
    tally: &Tally,
    path: &str,
    sites: &[Site; 3],
    weights: &[u64; 3],
) -> [u64; 3] {
    let before = sites.each_ref().map(Site::requests);
    for turn in 0..weights.iter().sum::<u64>() as usize {
        let target = format!("/{path}/{}", tally.number());
        let client = turn % clients.len();
        let answered = clients[client].ask("GET", &target, b"");
        answered.unwrap_or_else(|error| panic!("{target}: {error}"));
    }
    [0, 1, 2].map(|which| sites[which].requests() - before[which])
}

const WEIGHT_MAX: u64 = 8;
/// Numbers to be handed out before the absence of one means something: several cycles.
const SEVERAL: u64 = 60;
const STATE_DRAIN: &str = "8";
const STATE_MAINT: &str = "1";
const STATE_READY: &str = "0";
