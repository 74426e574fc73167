//! Versions of one service side by side: each gets its share, whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{fs, thread};

use store::Store;

use crate::support::{
    Answer, Lb, Origin, PATIENCE, Request, Rlb, echoed, free_addr, load, load_while, temp_dir,
    wait_until,
};

/// An instance that counts the requests of clients, not those of checks.
struct Instance {
    origin: Origin,
    asked: Arc<AtomicUsize>,
}

impl Instance {
    fn new(origin: impl FnOnce(Box<dyn Fn(&Request) -> Answer + Send + Sync>) -> Origin) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let answer = move |request: &Request| {
            let line = request.head.first_line();
            count.fetch_add(usize::from(line.starts_with("GET ")), Ordering::Relaxed);
            Answer::Keep(echoed(line))
        };
        Self {
            origin: origin(Box::new(answer)),
            asked,
        }
    }
}

fn asked(instances: &[Instance]) -> usize {
    let asked = instances.iter().map(|i| i.asked.load(Ordering::Relaxed));
    asked.sum()
}

fn instances(count: usize) -> Vec<Instance> {
    (0..count)
        .map(|_| Instance::new(|answer| Origin::answering(answer)))
        .collect()
}

/// One backend `goat` with a group for each of these, called `v0`, `v1` and so on.
fn config(versions: &[&[Instance]], groups: &str) -> String {
    let mut servers = Vec::new();
    for (version, instances) in versions.iter().enumerate() {
        for (n, instance) in instances.iter().enumerate() {
            servers.push(format!(
                "{{ name = \"v{version}-{n}\", address = \"{}\", group = \"v{version}\" }}",
                instance.origin.addr()
            ));
        }
    }
    format!(
        "[global]\nworkers = 2\nadmin = \"\"\n[[listen]]\nname = \"goat\"\n\
         bind = \"127.0.0.1:0\"\nserver = [{}]\n\
         check = {{ interval = \"20ms\", timeout = \"5s\", fall = 1, rise = 1 }}\n{groups}\n",
        servers.join(", ")
    )
}

fn weights(shares: &str) -> String {
    format!("[listen.groups]\nweights.static = {{ {shares} }}\n")
}

#[test]
fn shares_are_exact_over_any_numbers_of_instances() {
    let (old, new) = (instances(3), instances(1));
    let lb = Lb::start_whole(&config(&[&old, &new], &weights("v0 = 80, v1 = 20")));
    let all = load(lb.addr_of("goat"), 16, 5_000);
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [(200, 5_000)]);
    assert_eq!((asked(&old), asked(&new)), (4_000, 1_000));
    assert!(
        old.iter()
            .all(|o| asked(std::slice::from_ref(o)).abs_diff(1_333) <= 1)
    );

    let (a, b, c) = (instances(7), instances(11), instances(13));
    let one_percent = weights("v0 = 1, v1 = 49, v2 = 50");
    let lb = Lb::start_whole(&config(&[&a, &b, &c], &one_percent));
    load(lb.addr_of("goat"), 16, 5_000);
    assert_eq!((asked(&a), asked(&b), asked(&c)), (50, 2_450, 2_500));
}

#[test]
fn flip_under_load_fails_nothing_and_moves_everything() {
    let (old, new) = (instances(3), instances(1));
    let with = |shares| config(&[&old, &new], &weights(shares));
    let lb = Lb::start_whole(&with("v0 = 80, v1 = 20"));
    let (addr, stop, flips) = (lb.addr_of("goat"), AtomicBool::new(false), 20);
    let statuses = thread::scope(|scope| {
        let load = scope.spawn(|| load_while(addr, 8, || !stop.load(Ordering::Relaxed)));
        let flipping = catch_unwind(AssertUnwindSafe(|| {
            for flip in 0..flips {
                let (shares, gone, serving) = match flip % 2 {
                    0 => ("v0 = 0, v1 = 100", &old, &new),
                    _ => ("v0 = 100, v1 = 0", &new, &old),
                };
                lb.apply(&with(shares)).unwrap();
                // The answer to a change says that every worker has passed it: what runs
                // then may still be of before, and reaches its origin late on a busy
                // machine; what comes after is not.
                let what = format!("flip {flip}: a share of 0 gets nothing");
                wait_until(PATIENCE, &what, || {
                    let (settled, more) = (asked(gone), asked(serving));
                    wait_until(PATIENCE, "traffic moves on", || asked(serving) > more + 50);
                    asked(gone) == settled
                });
            }
        }));
        // A panic of it must not leave the load running for ever.
        stop.store(true, Ordering::Relaxed);
        let statuses = load.join().unwrap();
        flipping.unwrap_or_else(|panic| resume_unwind(panic));
        statuses
    });
    assert!(
        statuses.contains_key(&200) && statuses.len() == 1,
        "{statuses:?}"
    );
}

#[test]
fn file_of_weights_is_followed_and_a_bad_one_changes_nothing() {
    let (old, new) = (instances(2), instances(1));
    let dir = temp_dir();
    let file = dir.path().join("weights.json");
    // As consul-template writes: beside it, and renamed.
    let write = |text: &str| {
        let temporary = dir.path().join("weights.json.new");
        fs::write(&temporary, text).unwrap();
        fs::rename(&temporary, &file).unwrap();
    };
    write(r#"{"v0": 100}"#);
    let addr = free_addr();
    let groups = format!("[listen.groups]\nby = \"tag:version\"\nweights.file = {file:?}\n");
    let config = config(&[&old, &new], &groups).replace("127.0.0.1:0", &addr.to_string());
    let rlb = Rlb::with(config).ready_on(addr).start();
    let new_of_ten = || {
        let before = asked(&new);
        load(addr, 2, 10);
        asked(&new) - before
    };
    assert_eq!(new_of_ten(), 0, "a version that is not listed gets nothing");
    write(r#"{"version=v0": {"weight": 80}, "version=v1": {"weight": 20}}"#);
    wait_until(PATIENCE, "both shapes are read", || new_of_ten() == 2);
    for (times, bad) in (1..).zip([r#"{"v0": 80, "v"#, "", r#"{"v1": 5, "v0": "no"}"#]) {
        write(bad);
        let told = || rlb.stderr().matches("the last good weights stay").count();
        wait_until(PATIENCE, "it is refused", || told() == times);
        assert_eq!(new_of_ten(), 2, "{bad}");
    }
    write("v1 = 7\n");
    wait_until(PATIENCE, "a deleted key is a missing one", || {
        new_of_ten() == 10
    });
}

#[test]
fn weights_in_consul_are_followed_key_by_key_and_as_one_object() {
    let (old, new) = (instances(2), instances(1));
    let store = Store::default();
    store.set(&[("goat/version=v0/weight", "100")]);
    let consul = store.serve();
    for one_key in [false, true] {
        let set = |v0: &str, v1: &str| match one_key {
            true => store.set(&[("goat/weights", &format!("{{\"v0\":{v0},\"v1\":{v1}}}"))]),
            false => store.set(&[
                ("goat/version=v0/weight", v0),
                ("goat/version=v1/weight", v1),
            ]),
        };
        let weights = match one_key {
            true => "weights.consul_kv_json = \"goat/weights\"",
            false => "weights.consul_kv = \"goat/version={group}/weight\"",
        };
        set("80", "20");
        let addr = free_addr();
        let groups = format!(
            "[listen.groups]\n{weights}\n[discovery]\nempty_hold = \"0s\"\n\
             [discovery.consul]\naddress = \"http://{}\"\n",
            consul.addr()
        );
        let config = config(&[&old, &new], &groups).replace("127.0.0.1:0", &addr.to_string());
        let rlb = Rlb::with(config).ready_on(addr).start();
        let new_of_ten = || {
            let before = asked(&new);
            load(addr, 2, 10);
            asked(&new) - before
        };
        wait_until(PATIENCE, "the weights are there", || new_of_ten() == 2);
        set("0", "100");
        wait_until(PATIENCE, "flipped", || new_of_ten() == 10);
        set("100", "half");
        let told = || rlb.stderr().contains("the last good weights stay");
        wait_until(PATIENCE, "what is no weight is told", told);
        assert_eq!(new_of_ten(), 10);
        store.set(&[]);
        let nobody = || load(addr, 1, 1).contains_key(&503);
        wait_until(PATIENCE, "deleted keys are missing ones", nobody);
        set("50", "50");
        wait_until(PATIENCE, "they are back", || new_of_ten() == 5);
    }
}

#[test]
fn version_whose_last_instance_dies_hands_its_share_over_and_takes_it_again() {
    let (a, b, mut c) = (instances(1), instances(2), instances(1));
    let groups = weights("v0 = 60, v1 = 20, v2 = 20");
    let lb = Lb::start_whole(&config(&[&a, &b, &c], &groups));
    let (addr, dead) = (lb.addr_of("goat"), c[0].origin.addr());
    let split = || {
        let before = (asked(&a), asked(&b));
        let all = load(addr, 4, 800);
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [(200, 800)]);
        (asked(&a) - before.0, asked(&b) - before.1)
    };
    assert_eq!(split(), (480, 160));
    drop(c.remove(0));
    assert_eq!(load(addr, 4, 100).keys().collect::<Vec<_>>(), [&200]);
    wait_until(PATIENCE, "the dead one is out", || {
        lb.server("goat", "v2-0").status == "DOWN"
    });
    wait_until(PATIENCE, "its share is split 3 to 1", || {
        split() == (600, 200)
    });
    let back = Instance::new(|answer| Origin::answering_at(dead, answer));
    wait_until(PATIENCE, "it is back", || {
        lb.server("goat", "v2-0").status == "UP"
    });
    wait_until(PATIENCE, "it has its share again", || split() == (480, 160));
    assert!(asked(std::slice::from_ref(&back)) >= 160);
}

#[expect(clippy::disallowed_types, reason = "tests may lock")]
mod store {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::Duration;

    use crate::support::{Answer, Origin};

    /// Consul's store as far as a watch sees it: an index, and queries that wait for
    /// another one.
    #[derive(Clone, Default)]
    pub(super) struct Store(Arc<Shared>);

    #[derive(Default)]
    struct Shared {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct State {
        index: u64,
        pairs: BTreeMap<String, String>,
    }

    impl Store {
        pub(super) fn serve(&self) -> Origin {
            self.0.state.lock().unwrap().index = 1;
            let store = self.clone();
            Origin::answering(move |request| Answer::Keep(store.answer(request.head.first_line())))
        }

        pub(super) fn set(&self, pairs: &[(&str, &str)]) {
            let mut state = self.0.state.lock().unwrap();
            let pairs = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            *state = State {
                index: state.index + 1,
                pairs: pairs.collect(),
            };
            self.0.changed.notify_all();
        }

        fn answer(&self, line: &str) -> Vec<u8> {
            let target = line.split(' ').nth(1).unwrap();
            let (path, query) = target.split_once('?').unwrap();
            let prefix = path.strip_prefix("/v1/kv/").unwrap();
            let index = query
                .split('&')
                .find_map(|part| part.strip_prefix("index="));
            let known: u64 = index.map_or(0, |index| index.parse().unwrap());
            let state = self.0.state.lock().unwrap();
            let wait = Duration::from_millis(200);
            let waited = self
                .0
                .changed
                .wait_timeout_while(state, wait, |state| state.index == known);
            let (state, _) = waited.unwrap();
            let pairs = state
                .pairs
                .iter()
                .filter(|(key, _)| key.starts_with(prefix));
            let pairs: Vec<_> = pairs
                .map(|(key, value)| {
                    format!("{{\"Key\":\"{key}\",\"Value\":\"{}\"}}", base64(value))
                })
                .collect();
            let (status, body) = match pairs.is_empty() {
                true => ("404 Not Found", String::new()),
                false => ("200 OK", format!("[{}]", pairs.join(","))),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nX-Consul-Index: {}\r\nContent-Length: {}\r\n\r\n",
                state.index,
                body.len()
            );
            (head + &body).into_bytes()
        }
    }

    /// RFC 4648 4.
    fn base64(text: &str) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let group = |bytes: &[u8]| {
            let mut three = [0; 3];
            three[..bytes.len()].copy_from_slice(bytes);
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            let letter = |n: usize| match n <= bytes.len() {
                true => char::from(LETTERS[(bits >> (18 - 6 * n)) as usize & 63]),
                false => '=',
            };
            (0..4).map(letter).collect::<String>()
        };
        text.as_bytes().chunks(3).map(group).collect()
    }
}
