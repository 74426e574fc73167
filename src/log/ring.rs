//! One ring of records for each worker: it writes, the writer's thread reads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use crossbeam_utils::CachePadded;

use super::record::{FACTS, Record, Taken, pack, unpack};

/// 1 MiB: some 5,000 records, so 20 ms at 250,000 requests per second and worker.
const WORDS: usize = (1 << 20) / 8;

/// Those of all workers.
#[derive(Debug)]
pub(crate) struct Rings {
    rings: Box<[Ring]>,
    /// Bytes of a request line that somebody wants; 0 = nobody logs. Control
    /// stores, workers load once per request; relaxed, it only gates.
    wanted: AtomicUsize,
    /// Whom to wake when a ring is half full.
    writer: OnceLock<Thread>,
}

impl Rings {
    /// Empty ones, and nobody wants records yet.
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            rings: (0..workers).map(|_| Ring::default()).collect(),
            wanted: AtomicUsize::new(0),
            writer: OnceLock::new(),
        })
    }

    /// Records are wanted with so much of the request line; 0 = no records.
    pub(super) fn want(&self, uri_max: usize) {
        self.wanted.store(uri_max, Ordering::Relaxed);
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0
    }

    pub(super) fn set_writer(&self, writer: Thread) {
        // There is one for all time; a second would find the rings taken.
        let _ = self.writer.set(writer);
    }

    /// Takes every record that is there.
    pub(super) fn drain(&self, taken: &mut Taken, mut each: impl FnMut(&Taken)) {
        for ring in &self.rings {
            // At most one ring full, so that a busy worker does not starve the others.
            let mut left = WORDS;
            while left > 0 {
                let read = ring.pop(taken);
                if read == 0 {
                    break;
                }
                each(taken);
                left = left.saturating_sub(read);
            }
        }
    }

    /// Records that found no room.
    pub(super) fn lost(&self) -> u64 {
        let lost = |ring: &Ring| ring.lost.load(Ordering::Relaxed);
        self.rings.iter().map(lost).sum()
    }
}

/// A worker's end.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    rings: Arc<Rings>,
    worker: usize,
}

impl Producer {
    /// That of `worker`, of whom there is one.
    pub(crate) fn new(rings: &Arc<Rings>, worker: usize) -> Self {
        Self {
            rings: Arc::clone(rings),
            worker,
        }
    }

    /// How much of a request line is wanted; `None` = nobody logs.
    #[inline]
    pub(crate) fn wants(&self) -> Option<usize> {
        match self.rings.wanted.load(Ordering::Relaxed) {
            0 => None,
            uri_max => Some(uri_max),
        }
    }

    /// Puts a record in; without room it is lost and counted.
    pub(crate) fn push(&self, record: &Record<'_>) {
        let Some(ring) = self.rings.rings.get(self.worker) else {
            return;
        };
        // Once per time a ring fills to its half, not once per record.
        if ring.push(record)
            && let Some(writer) = self.rings.writer.get()
        {
            writer.unpark();
        }
    }
}

/// Words, so that every byte crosses as an atomic: no unsafe code, and a store of
/// a word costs what a plain one does.
#[derive(Debug, Default)]
struct Ring {
    /// Made with the first record: who does not log pays nothing.
    words: OnceLock<Box<[AtomicU64]>>,
    /// Words ever written. The worker stores with release, behind the words.
    head: CachePadded<AtomicUsize>,
    /// Words ever read. The writer stores with release, behind its loads.
    tail: CachePadded<AtomicUsize>,
    /// The worker writes, anybody reads.
    lost: CachePadded<AtomicU64>,
}

impl Ring {
    /// True = half full as of this record.
    fn push(&self, record: &Record<'_>) -> bool {
        let words = self
            .words
            .get_or_init(|| (0..WORDS).map(|_| AtomicU64::new(0)).collect());
        let head = self.head.load(Ordering::Relaxed);
        let held = head.wrapping_sub(self.tail.load(Ordering::Acquire));
        let texts = record.texts();
        let needed = FACTS + 1 + texts.iter().map(|t| t.len().div_ceil(8)).sum::<usize>();
        if held + needed > WORDS {
            self.lost
                .store(self.lost.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            return false;
        }
        let mut at = head;
        let mut put = |word: u64| {
            words[at % WORDS].store(word, Ordering::Relaxed);
            at = at.wrapping_add(1);
        };
        pack(&record.facts).into_iter().for_each(&mut put);
        let lens = texts.iter().rev();
        put(lens.fold(0, |all, text| all << 16 | text.len() as u64));
        for text in texts {
            let (whole, rest) = text.as_chunks::<8>();
            whole.iter().for_each(|word| put(u64::from_le_bytes(*word)));
            if !rest.is_empty() {
                let mut word = [0; 8];
                word[..rest.len()].copy_from_slice(rest);
                put(u64::from_le_bytes(word));
            }
        }
        self.head.store(at, Ordering::Release);
        held < WORDS / 2 && held + needed >= WORDS / 2
    }

    /// Takes the oldest record; returns how many words it had, 0 = there is none.
    fn pop(&self, taken: &mut Taken) -> usize {
        let tail = self.tail.load(Ordering::Relaxed);
        let Some(words) = self.words.get() else {
            return 0;
        };
        if tail == self.head.load(Ordering::Acquire) {
            return 0;
        }
        let mut at = tail;
        let mut next = || {
            let word = words[at % WORDS].load(Ordering::Relaxed);
            at = at.wrapping_add(1);
            word
        };
        taken.facts = unpack(std::array::from_fn(|_| next()));
        let mut lens = next();
        taken.bytes.clear();
        for end in &mut taken.ends {
            let len = (lens & 0xffff) as usize;
            lens >>= 16;
            let start = taken.bytes.len();
            for _ in 0..len.div_ceil(8) {
                taken.bytes.extend_from_slice(&next().to_le_bytes());
            }
            taken.bytes.truncate(start + len);
            *end = start + len;
        }
        self.tail.store(at, Ordering::Release);
        at.wrapping_sub(tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::testing::facts;

    fn numbered(number: u64, line: &[u8]) -> Record<'_> {
        let mut facts = facts();
        facts.bytes_out = number;
        Record {
            facts,
            frontend: "www",
            backend: "web",
            server: "s1",
            line,
        }
    }

    #[test]
    fn records_of_any_length_come_out_as_they_went_in() {
        let rings = Rings::new(1);
        let worker = Producer::new(&rings, 0);
        assert_eq!(worker.wants(), None);
        rings.want(64);
        assert_eq!(worker.wants(), Some(64));
        let mut taken = Taken::default();
        let line = [b'x'; 100];
        // More than once around.
        for round in 0..1000 {
            for len in 0..100 {
                worker.push(&numbered(round, &line[..len]));
            }
            let mut len = 0;
            rings.drain(&mut taken, |taken| {
                assert_eq!(taken.facts.bytes_out, round);
                let record = taken.record();
                assert_eq!(
                    (record.frontend, record.backend, record.server),
                    ("www", "web", "s1")
                );
                assert_eq!(record.line, &line[..len]);
                len += 1;
            });
            assert_eq!(len, 100);
        }
        assert_eq!(rings.lost(), 0);
    }

    #[test]
    fn a_full_ring_loses_the_newest_and_counts_it() {
        let rings = Rings::new(1);
        let worker = Producer::new(&rings, 0);
        for number in 0..100_000 {
            worker.push(&numbered(number, b"GET / HTTP/1.1"));
        }
        let mut kept = 0;
        rings.drain(&mut Taken::default(), |taken| {
            assert_eq!(taken.facts.bytes_out, kept);
            kept += 1;
        });
        assert_eq!(kept + rings.lost(), 100_000);
        assert!((4_000..10_000).contains(&kept), "{kept}");
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_records_in_order() {
        let rings = Rings::new(1);
        let worker = Producer::new(&rings, 0);
        let pushing = std::thread::spawn(move || {
            for number in 0..200_000_u64 {
                worker.push(&numbered(number, &number.to_be_bytes()));
            }
        });
        let (mut taken, mut last, mut seen) = (Taken::default(), None, 0);
        let mut done = false;
        while !done {
            done = pushing.is_finished();
            rings.drain(&mut taken, |taken| {
                let number = taken.facts.bytes_out;
                assert_eq!(taken.record().line, number.to_be_bytes());
                assert!(last.is_none_or(|last| last < number));
                last = Some(number);
                seen += 1;
            });
        }
        pushing.join().unwrap();
        assert_eq!(seen + rings.lost(), 200_000);
    }
}
