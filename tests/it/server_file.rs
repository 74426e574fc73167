//! A server file that something else writes all the time, under load.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Answer, Origin, PATIENCE, Rlb, dawdle, echoed, free_addr, load, load_while, temp_dir,
    wait_until,
};

/// Between two writes.
const EVERY: Duration = Duration::from_millis(50);

/// As consul-template does: a temporary file beside it, fsync, rename.
fn write(path: &Path, servers: &[(String, SocketAddr)]) {
    let lines = servers
        .iter()
        .map(|(name, addr)| format!("  {{ name = \"{name}\", address = \"{addr}\" }},\n"));
    let text = format!("server = [\n{}]\n", lines.collect::<String>());
    let temporary = path.with_file_name(".nodes.toml1234");
    let mut file = File::create(&temporary).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.sync_all().unwrap();
    fs::rename(temporary, path).unwrap();
}

/// Servers come and go and move between addresses with every write; all of them answer.
/// Some seconds; `RLB_SOAK_SECONDS=60` makes it a minute.
#[test]
fn file_written_every_50_ms_fails_no_request_and_its_last_content_wins() {
    let seconds = std::env::var("RLB_SOAK_SECONDS").map_or(3, |text| text.parse().unwrap());
    let origins: Vec<_> = (0..6).map(|_| Origin::echoing_target()).collect();
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    let last = Origin::answering(move |request| {
        asked.store(true, Ordering::Relaxed);
        Answer::Keep(echoed(request.head.first_line()))
    });
    let dir = temp_dir();
    let nodes = dir.path().join("nodes.toml");
    let shuffled = |round: usize| -> Vec<_> {
        let count = 1 + round % origins.len();
        let origin = |slot: usize| origins[(slot + round / 2) % origins.len()].addr();
        (0..count)
            .map(|slot| (format!("n{slot}"), origin(slot)))
            .collect()
    };
    write(&nodes, &shuffled(0));
    let bind = free_addr();
    let rlb = Rlb::with(format!(
        "[global]\nworkers = 2\nadmin = \"\"\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\n\
         source = {{ file = {nodes:?} }}\n"
    ))
    .ready_on(bind)
    .start();
    let is_over = AtomicBool::new(false);
    let (statuses, rounds, took) = thread::scope(|scope| {
        let load = scope.spawn(|| {
            load_while(bind, 4, || {
                // Room for the others on a small machine.
                dawdle(Duration::from_micros(500));
                !is_over.load(Ordering::Relaxed)
            })
        });
        let (begin, mut rounds) = (Instant::now(), 0);
        while begin.elapsed() < Duration::from_secs(seconds) {
            rounds += 1;
            write(&nodes, &shuffled(rounds));
            dawdle((EVERY * rounds as u32).saturating_sub(begin.elapsed()));
        }
        write(&nodes, &[("last".to_owned(), last.addr())]);
        let written = Instant::now();
        wait_until(PATIENCE, "the last content is in force", || {
            is_asked.load(Ordering::Relaxed)
        });
        let took = written.elapsed();
        is_over.store(true, Ordering::Relaxed);
        (load.join().unwrap(), rounds, took)
    });
    wait_until(PATIENCE, "nothing older is served", || {
        let before = served(&origins);
        load(bind, 2, 20);
        served(&origins) == before
    });
    println!("{rounds} writes in {seconds} s, {statuses:?}; the last in force after {took:?}");
    assert_eq!(statuses.keys().collect::<Vec<_>>(), [&200], "{statuses:?}");
    assert!(!rlb.stderr().contains("ERROR"), "{}", rlb.stderr());
}

fn served(origins: &[Origin]) -> usize {
    origins.iter().map(|origin| origin.requests().len()).sum()
}
