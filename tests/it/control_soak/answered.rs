//! What the answer to a command promises: with it, every worker has passed the change.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::changes::next_cycle;
use super::file::{obeys, row, sites};
use super::traffic::{Tally, Wire};
use super::{Random, Site};
use crate::support::{PATIENCE, Rlb, connect, free_addr, temp_dir, wait_until};

const ROUNDS: usize = 200;
const CLIENTS: usize = 8;
/// Numbers to be handed out before the absence of one means something: several cycles.
const SEVERAL: u64 = 40;

#[test]
fn after_drain_is_answered_a_server_sees_no_new_request_200_times_in_a_row() {
    let stage = Stage::open();
    stage.under_load(|tally| {
        for round in 0..ROUNDS {
            let which = round % stage.servers.len();
            let site = &stage.servers[which];
            let state = ["drain", "maint"][round / stage.servers.len() % 2];
            stage.obeys(&format!("set server web/s{which} state {state}"));
            let gone = tally.last_number();
            wait_until(PATIENCE, "the load goes on", || {
                tally.last_number() > gone + SEVERAL
            });
            let last = site.last();
            assert!(
                last <= gone,
                "round {round}, {state}: {last} came after {gone}"
            );
            stage.obeys(&format!("set server web/s{which} state ready"));
            let since = tally.last_number();
            wait_until(PATIENCE, "it is served from", || site.last() > since);
        }
    });
}

#[test]
fn after_set_weight_is_answered_the_next_cycle_has_exactly_the_new_shares() {
    let stage = Stage::open();
    stage.under_load(|tally| {
        // Connections enough to be spread over all workers.
        let mut clients: Vec<Wire> = (0..CLIENTS)
            .map(|_| Wire::over(connect(stage.addr)))
            .collect();
        let mut random = Random(11);
        let mut weights = [1; 3];
        for round in 0..ROUNDS {
            let which = round % 3;
            weights[which] = 1 + random.below(9);
            stage.obeys(&format!("set weight own/s{which} {}", weights[which]));
            let shares = next_cycle(&mut clients, tally, "own", &stage.weighed, &weights);
            assert_eq!(shares, weights, "round {round}");
        }
    });
}

/// Four workers in front of servers under load, and of others that only the test asks.
struct Stage {
    _rlb: Rlb,
    dir: tempfile::TempDir,
    addr: std::net::SocketAddr,
    servers: [Site; 4],
    weighed: [Site; 3],
}

impl Stage {
    fn open() -> Self {
        let (dir, addr) = (temp_dir(), free_addr());
        let (servers, weighed) = (sites(), sites());
        let rows = |sites: &[Site]| {
            let rows = sites.iter().enumerate();
            let rows: Vec<_> = rows.map(|(which, site)| row("s", which, site, 1)).collect();
            rows.join(", ")
        };
        let text = format!(
            "[global]\nworkers = 4\nadmin = \"{}\"\n\
             [[frontend]]\nname = \"www\"\nbind = \"{addr}\"\ndefault_backend = \"web\"\n\
             route = [{{ path_prefix = \"/own\", backend = \"own\" }}]\n\
             [[backend]]\nname = \"web\"\nserver = [{}]\n\
             [[backend]]\nname = \"own\"\nserver = [{}]\n",
            dir.path().join("admin.sock").display(),
            rows(&servers),
            rows(&weighed),
        );
        Self {
            _rlb: Rlb::with(text).ready_on(addr).start(),
            dir,
            addr,
            servers,
            weighed,
        }
    }

    /// Runs `work` while others ask; nobody may notice anything.
    fn under_load(&self, work: impl FnOnce(&Tally)) {
        let tally = &Tally::default();
        let (failed, failures) = mpsc::channel();
        thread::scope(|scope| {
            let _over = tally.over_at_the_end();
            for _ in 0..CLIENTS {
                let failed = failed.clone();
                scope.spawn(move || tally.keep_alive(self.addr, &failed));
            }
            let fresh = failed.clone();
            scope.spawn(move || tally.fresh(self.addr, Duration::from_millis(1), &fresh));
            wait_until(PATIENCE, "every server is served from", || {
                self.servers.iter().all(|site| site.last() > 0)
            });
            work(tally);
        });
        drop(failed);
        let failures: Vec<String> = failures.iter().collect();
        assert!(failures.is_empty(), "{failures:#?}");
    }

    /// A command that is answered by silence.
    fn obeys(&self, command: &str) {
        obeys(&self.dir.path().join("admin.sock"), command, "");
    }
}
