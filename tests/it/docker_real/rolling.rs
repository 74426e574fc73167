//! Updates while traffic runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Bench, Failed, StopOnDrop, traffic_while};
use crate::support::docker::endpoint;
use crate::support::real::{self, RealDocker};
use crate::support::{PATIENCE, RawClient, Rlb, free_addr, temp_dir, wait_until};

/// Compose takes them down and up in an order of its own, all at once if it likes.
#[test]
fn containers_made_anew_fail_requests_only_while_there_are_none() {
    let Some(docker) = real::docker() else { return };
    for compose in docker.composes() {
        let lb = Bench::before(&docker);
        let demo = temp_dir();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/compose.yaml");
        std::fs::copy(file, demo.path().join("compose.yaml")).unwrap();
        // Compose 1 wants to see what it is not asked to build.
        std::fs::create_dir(demo.path().join("web")).unwrap();
        let up = |more: &[&str]| {
            let all = ["-p", "demo", "up", "-d", "--no-build", "--scale", "web=5"];
            let all = all.iter().chain(more).chain(&["web"]);
            docker.compose(&compose, demo.path(), all);
        };
        up(&[]);
        lb.wait_usable("web", 5);
        let began = SystemTime::now();
        let met = traffic_while(lb.addr, "any", || {
            up(&["--force-recreate"]);
            lb.wait_usable("web", 5);
        });
        let (nobody, other): (Vec<&Failed>, Vec<&Failed>) =
            met.failed.iter().partition(|failed| failed.status == 503);
        let gaps = gaps(&docker, began);
        let (ok, unserved) = (met.ok, nobody.len());
        eprintln!("{ok} served, {unserved} while nobody was up: {gaps:?}");
        assert!(
            other.is_empty() && met.ok > 10,
            "{met:?}\n{}",
            lb.rlb.stderr()
        );
        let in_gap = |failed: &&Failed| {
            let (sent, answered) = (since_epoch(failed.sent), since_epoch(failed.answered));
            gaps.iter()
                .any(|(from, to)| sent <= *to && *from <= answered)
        };
        assert!(nobody.iter().all(in_gap), "{met:?}\n{}", lb.rlb.stderr());
        docker.compose(&compose, demo.path(), ["-p", "demo", "down", "-t", "5"]);
    }
}

/// When no container of the service was up, with the time that the first one takes to
/// pass its check.
fn gaps(docker: &RealDocker, began: SystemTime) -> Vec<(Duration, Duration)> {
    let began = since_epoch(began);
    let since = format!("{}.{:09}", began.as_secs(), began.subsec_nanos());
    let now = since_epoch(SystemTime::now() + Duration::from_secs(1));
    let until = now.as_secs().to_string();
    let told = docker.docker([
        "events",
        "--since",
        &since,
        "--until",
        &until,
        "--filter",
        "type=container",
        "--filter",
        "label=com.docker.compose.service=web",
        "--format",
        "{{.TimeNano}} {{.Action}} {{.ID}}",
    ]);
    let (mut down, mut started) = (BTreeSet::new(), BTreeSet::new());
    let (mut gaps, mut from) = (Vec::new(), None);
    for line in told.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [at, action, id] = words[..] else {
            continue;
        };
        let at = Duration::from_nanos(at.parse().unwrap());
        match action {
            "kill" => drop(down.insert(id.to_owned())),
            "start" => drop(started.insert(id.to_owned())),
            _ => continue,
        }
        let left = 5 + started.len() - down.len();
        match from {
            None if left == 0 => from = Some(at),
            Some(since) if left > 0 => {
                gaps.push((since, at + Duration::from_secs(1)));
                from = None;
            }
            _ => {}
        }
    }
    gaps
}

fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap()
}

#[test]
fn sessions_of_the_others_live_while_one_is_restarted() {
    let Some(docker) = real::docker() else { return };
    let names: Vec<String> = (1..=5).map(|number| format!("web-{number}")).collect();
    for name in &names {
        let labels = [
            ("com.docker.compose.project", "demo"),
            ("com.docker.compose.service", "web"),
        ];
        docker.run(name, &labels, &[]);
    }
    let (addr, admin) = (free_addr(), docker.socket().with_file_name("admin.sock"));
    let config = format!(
        "[global]\nworkers = 2\nadmin = \"{}\"\n[discovery.docker]\nendpoint = \"{}\"\n\
         [[listen]]\nname = \"web\"\nmode = \"tcp\"\nbind = \"{addr}\"\n\
         source = [{{ docker = \"web\", project = \"demo\" }}]\n",
        admin.display(),
        endpoint(&docker.socket())
    );
    let rlb = Rlb::with(config)
        .env("RUST_LOG", "info")
        .ready_on(addr)
        .start();
    let lb = Bench {
        docker: &docker,
        rlb,
        addr,
        admin,
    };
    // Whoever is UP takes work at once; its exact share comes with the next schedule.
    wait_until(PATIENCE, "five are in the schedule", || {
        lb.rlb.stderr().contains("web: 5 of 5 servers usable")
    });
    // Three for each of the five, kept open for as long as their containers are.
    let mut sessions: Vec<_> = (0..15).map(|_| Session::open(&lb)).collect();
    for name in &names {
        let count = sessions.iter().filter(|s| s.server == *name).count();
        assert_eq!(count, 3, "{name}");
    }
    let met = traffic_while_each_is_new(&lb, || {
        for name in &names {
            docker.docker(["restart", name]);
            lb.wait_usable("web", 5);
            let others = sessions.iter_mut().filter(|s| s.server != *name);
            for session in others {
                session.goes_on();
            }
            // Those of this one have ended with it.
            for session in &mut sessions {
                if session.server == *name {
                    *session = Session::open(&lb);
                }
            }
        }
    });
    assert!(met > 50, "{met}\n{}", lb.rlb.stderr());
}

/// A client of the TCP frontend, and who serves it.
struct Session {
    client: RawClient,
    server: String,
}

impl Session {
    fn open(lb: &Bench<'_>) -> Self {
        let mut client = RawClient::connect(lb.addr);
        let server = ask(&mut client);
        Self { client, server }
    }

    #[track_caller]
    fn goes_on(&mut self) {
        assert_eq!(ask(&mut self.client), self.server);
    }
}

#[track_caller]
fn ask(client: &mut RawClient) -> String {
    client.send("GET / HTTP/1.1\r\nHost: any\r\n\r\n");
    let (head, body) = client.read_response();
    assert_eq!(head.status(), 200);
    String::from_utf8(body).unwrap().trim().to_owned()
}

/// Clients that come with a connection each; one that is not served panics.
fn traffic_while_each_is_new(lb: &Bench<'_>, act: impl FnOnce()) -> usize {
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    Session::open(lb);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let stopping = StopOnDrop(&stop);
        act();
        drop(stopping);
    });
    served.into_inner()
}
