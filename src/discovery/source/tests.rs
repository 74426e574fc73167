use super::*;
use crate::discovery::Standing;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A source and its clock.
struct Bench {
    source: Source,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::with(Some(30 * SECOND))
    }

    fn with(empty_hold: Option<Duration>) -> Self {
        let rules = Rules {
            coalesce: 100 * MS,
            max_delay: SECOND,
            empty_hold,
            stale_warn: 300 * SECOND,
        };
        let now = Instant::now();
        let id = SourceId::sites("test");
        Self {
            source: Source::new(id, rules, now),
            now,
        }
    }

    fn found(&mut self, names: &str) {
        self.source.found(found(names), self.now);
    }

    fn failed(&mut self, kind: FailureKind) {
        self.source.failed(Failure::new(kind, "no"), self.now);
    }

    /// What goes out now.
    fn take(&mut self) -> Option<String> {
        let taken = self.source.take(self.now)?;
        Some(taken.iter().map(|member| &*member.id).collect())
    }

    /// What goes out after some time, but not a millisecond before.
    fn take_after(&mut self, wait: Duration) -> Option<String> {
        self.now += wait - MS;
        assert_eq!(self.take(), None, "too early");
        self.now += MS;
        self.take()
    }

    fn row(&self) -> SourceRow {
        self.source.row(self.now)
    }

    fn in_force(&self) -> String {
        self.row()
            .members
            .iter()
            .map(|member| &*member.id)
            .collect()
    }
}

/// A member for each letter.
fn found(names: &str) -> Found {
    let members = names.chars().map(|name| {
        let port = u16::try_from(u32::from(name)).unwrap();
        Member::new(name, name, ([127, 0, 0, 1], port).into())
    });
    Found {
        members: members.collect(),
        left_out: Vec::new(),
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn first_change_goes_out_at_once_and_followers_together() {
    let mut bench = Bench::new();
    bench.found("a");
    assert_eq!(bench.take(), some("a"));
    bench.now += 20 * MS;
    bench.found("ab");
    bench.now += 60 * MS;
    bench.found("abc");
    assert_eq!(bench.take_after(100 * MS), some("abc"));
    bench.now += 101 * MS;
    bench.found("a");
    assert_eq!(bench.take(), some("a"), "the next burst begins anew");
}

#[test]
fn no_change_waits_longer_than_the_bound() {
    let mut bench = Bench::new();
    bench.found("a");
    bench.take();
    let start = bench.now + 10 * MS;
    bench.now = start;
    loop {
        bench.found(if (bench.now - start).as_millis().is_multiple_of(100) {
            "ab"
        } else {
            "ac"
        });
        if bench.take().is_some() {
            break;
        }
        bench.now += 50 * MS;
        assert!(bench.now - start <= SECOND + 50 * MS);
    }
    assert_eq!(bench.now - start, SECOND);
}

#[test]
fn what_is_as_it_was_is_no_change() {
    let mut bench = Bench::new();
    bench.found("a");
    bench.take();
    bench.found("ab");
    bench.found("a");
    bench.now += SECOND;
    assert_eq!(bench.take(), None);
    assert_eq!(bench.row().changes_total, 1);
}

#[test]
fn an_error_never_means_empty() {
    let mut bench = Bench::new();
    bench.failed(FailureKind::Connect);
    assert!(!bench.source.is_ready());
    bench.found("ab");
    bench.take();
    for _ in 0..1_000 {
        bench.now += 30 * SECOND;
        bench.failed(FailureKind::ServerError);
        assert_eq!(bench.take(), None);
    }
    let row = bench.row();
    assert_eq!(
        (bench.in_force(), row.state),
        ("ab".to_owned(), Condition::Lost)
    );
    assert_eq!(row.age, Some(30_000.0));
    let errors = BTreeMap::from([("connect", 1), ("5xx", 1_000)]);
    assert_eq!(row.errors_total, errors);
    bench.found("ab");
    assert_eq!(bench.row().state, Condition::Up);
    assert_eq!(bench.row().error, None);
}

#[test]
fn an_empty_answer_is_held_and_then_believed() {
    let mut bench = Bench::new();
    bench.found("ab");
    bench.take();
    bench.now += SECOND;
    bench.found("");
    assert!(bench.row().empty_held);
    // Said again it is held no longer.
    bench.now += 10 * SECOND;
    bench.found("");
    assert_eq!(bench.take_after(20 * SECOND), some(""));
    assert!(!bench.row().empty_held);
    bench.found("a");
    bench.now += 100 * MS;
    assert_eq!(bench.take(), some("a"));
}

#[test]
fn a_set_that_comes_back_ends_the_hold() {
    let mut bench = Bench::new();
    bench.found("ab");
    bench.take();
    bench.found("");
    bench.now += 10 * SECOND;
    bench.found("ab");
    assert!(!bench.row().empty_held);
    bench.now += 100 * SECOND;
    assert_eq!(bench.take(), None);
    bench.found("");
    bench.now += SECOND;
    bench.found("b");
    assert_eq!(bench.take(), some("b"), "what is not empty is not held");
    let mut local = Bench::with(None);
    local.found("a");
    local.take();
    local.now += SECOND;
    local.found("");
    assert_eq!(local.take(), some(""), "authoritative");
}

#[test]
fn a_first_answer_may_be_empty() {
    let mut bench = Bench::new();
    bench.found("");
    assert_eq!(bench.take(), some(""));
    assert!(bench.source.is_ready());
}

#[test]
fn a_restored_set_has_its_age_until_something_is_heard() {
    let mut bench = Bench::new();
    let members = found("ab").members.into();
    bench.source.restore(members, 3600 * SECOND, bench.now);
    assert!(bench.source.is_ready());
    bench.now += 10 * SECOND;
    bench.failed(FailureKind::Connect);
    let row = bench.row();
    assert_eq!((row.age, row.snapshot_in_use), (Some(3610.0), true));
    assert_eq!(bench.in_force(), "ab");
    bench.found("ab");
    let row = bench.row();
    assert_eq!((row.age, row.snapshot_in_use), (Some(0.0), false));
    assert_eq!(bench.take(), None, "as it was");
}

#[test]
fn the_stale_warning_is_due_once() {
    let mut bench = Bench::new();
    bench.found("a");
    bench.take();
    assert_eq!(bench.source.due(), Some(bench.now + 300 * SECOND));
    bench.now += 300 * SECOND;
    bench.take();
    assert_eq!(bench.source.due(), None);
    bench.source.still(bench.now);
    assert_eq!(bench.source.due(), Some(bench.now + 300 * SECOND));
}

#[test]
fn a_change_of_standing_is_a_change() {
    let mut bench = Bench::new();
    bench.found("a");
    bench.take();
    let mut bad = found("a");
    bad.members[0].standing = Standing::Bad("disk full".to_owned());
    bench.now += SECOND;
    bench.source.found(bad, bench.now);
    assert_eq!(bench.take(), some("a"));
    let row = serde_json::to_value(bench.row()).unwrap();
    let member = serde_json::json!({
        "id": "a", "name": "a", "address": "127.0.0.1:97", "standing": "bad", "why": "disk full",
    });
    assert_eq!(row["members"], serde_json::json!([member]));
}

#[test]
fn weights_of_any_scale_keep_their_proportion() {
    let weights = |weights: &[u32]| {
        let mut members = found("abcd").members;
        members.truncate(weights.len());
        for (member, weight) in members.iter_mut().zip(weights) {
            member.weight = *weight;
        }
        scale(&mut members);
        members
            .iter()
            .map(|member| member.weight)
            .collect::<Vec<_>>()
    };
    assert_eq!(weights(&[0, 1, 256]), [0, 1, 256]);
    assert_eq!(weights(&[0, 1, 500, 1000]), [0, 1, 128, 256]);
    assert_eq!(weights(&[65_535, 32_768]), [256, 128]);
}

#[test]
fn a_server_that_is_told_to_end_waits_for_nobody() {
    let mut bench = Bench::new();
    bench.found("ab");
    assert_eq!(bench.take().as_deref(), Some("ab"));
    bench.now += 10 * MS;
    bench.found("abc");
    assert_eq!(bench.take(), None);
    let mut ending = found("abc");
    ending.members[0].standing = Standing::Draining("told to".into());
    bench.source.found(ending, bench.now);
    assert_eq!(bench.take().as_deref(), Some("abc"));
}
