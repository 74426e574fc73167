//! What a client may do to a connection beside asking: counted frame by frame.
//!
//! The library bounds what it buffers (heads, small DATA, resets before accept)
//! but not how often it is made to work. So the 9-byte heads of the frames are
//! read here on their way to it, and kinds that move nothing have a budget for a
//! time (RFC 9113 10.5).

use crate::config::Floods;

/// Why a client is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flood {
    Resets,
    Pings,
    Settings,
    IdleFrames,
    Continuations,
}

/// Counts the frames of one client.
#[derive(Debug)]
pub(super) struct Guard {
    limits: Floods,
    /// Bytes before the next frame's head: the preface, then payloads.
    skip: usize,
    head: [u8; HEAD],
    have: usize,
    began_ms: u32,
    counts: Counts,
    /// CONTINUATION frames of the running header block.
    continuations: u32,
    block: Block,
    acknowledged: bool,
    flood: Option<Flood>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    resets: u32,
    pings: u32,
    settings: u32,
    idle: u32,
    /// DATA frames sent to the client.
    sent: u32,
}

/// A head on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    /// Frames of it are to come, the first one came at this time.
    Open(u32),
    /// The payload of its last frame is on its way.
    Last(u32),
}

impl Guard {
    /// For a connection of which nothing was read yet.
    pub(super) fn new(limits: Floods, now_ms: u32) -> Self {
        Self {
            limits,
            skip: PREFACE,
            head: [0; HEAD],
            have: 0,
            began_ms: now_ms,
            counts: Counts::default(),
            continuations: 0,
            block: Block::None,
            acknowledged: false,
            flood: None,
        }
    }

    /// Looks at bytes from the client.
    pub(super) fn read(&mut self, mut bytes: &[u8], now_ms: u32) {
        if now_ms.wrapping_sub(self.began_ms) >= self.limits.per.as_millis() as u32 {
            self.began_ms = now_ms;
            self.counts = Counts::default();
        }
        while !bytes.is_empty() && self.flood.is_none() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                self.end_of_payload();
                continue;
            }
            let taken = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEAD {
                self.have = 0;
                self.frame(now_ms);
                self.end_of_payload();
            }
        }
    }

    /// DATA of this length was sent: its receiver has a right to answer.
    pub(super) fn sent(&mut self, len: usize) {
        let frames = len.div_ceil(FRAME).max(1) as u32;
        self.counts.sent = self.counts.sent.saturating_add(frames);
    }

    /// The budget that is spent, if one is.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood
    }

    /// Since when the client owes the rest of a head.
    pub(super) fn open_since_ms(&self) -> Option<u32> {
        match self.block {
            Block::None => None,
            Block::Open(since) | Block::Last(since) => Some(since),
        }
    }

    /// Whether our SETTINGS were acknowledged.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    fn frame(&mut self, now_ms: u32) {
        let [a, b, c, kind, flags, ..] = self.head;
        let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.skip = len;
        let limits = self.limits;
        let counts = &mut self.counts;
        let (count, limit, flood) = match kind {
            DATA if len > 0 && (flags & PADDED == 0 || len > PADDING_MAX) => return,
            // An empty one that ends its stream is how streams end.
            DATA if len == 0 && flags & END_STREAM != 0 => return,
            HEADERS => return self.block_frame(flags, now_ms, true),
            CONTINUATION => return self.block_frame(flags, now_ms, false),
            RST_STREAM => (&mut counts.resets, limits.resets, Flood::Resets),
            SETTINGS => {
                self.acknowledged |= flags & ACK != 0;
                (&mut counts.settings, limits.settings, Flood::Settings)
            }
            PING if flags & ACK == 0 => {
                let limit = limits.pings.saturating_add(counts.sent);
                (&mut counts.pings, limit, Flood::Pings)
            }
            _ => {
                let earned = counts.sent.saturating_mul(2);
                let limit = limits.idle_frames.saturating_add(earned);
                (&mut counts.idle, limit, Flood::IdleFrames)
            }
        };
        *count += 1;
        if *count > limit {
            self.flood = Some(flood);
        }
    }

    fn block_frame(&mut self, flags: u8, now_ms: u32, first: bool) {
        let since = self.open_since_ms().unwrap_or(now_ms);
        self.continuations = if first { 0 } else { self.continuations + 1 };
        self.block = if flags & END_HEADERS == 0 {
            Block::Open(since)
        } else {
            Block::Last(since)
        };
        if self.continuations > self.limits.continuations {
            self.flood = Some(Flood::Continuations);
        }
    }

    fn end_of_payload(&mut self) {
        if self.skip == 0 && matches!(self.block, Block::Last(_)) {
            self.block = Block::None;
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// Bytes of a frame's head (9113 4.1).
const HEAD: usize = 9;
/// Bytes of the client's preface (9113 3.4).
const PREFACE: usize = 24;
/// As long as padding can make a frame that holds nothing else.
const PADDING_MAX: usize = 256;
/// The longest DATA that a client must take (9113 4.2).
const FRAME: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn guard() -> Guard {
        let mut guard = Guard::new(Floods::default(), 0);
        guard.read(&[0; PREFACE], 0);
        guard
    }

    fn frame(kind: u8, flags: u8, len: usize) -> Vec<u8> {
        let [.., a, b, c] = len.to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD + len, 0xff);
        frame
    }

    fn flood_after(limit: u32, frame: &[u8]) -> Option<Flood> {
        let mut guard = guard();
        for _ in 0..limit {
            guard.read(frame, 0);
        }
        assert_eq!(guard.flood(), None, "within its budget");
        guard.read(frame, 0);
        guard.flood()
    }

    #[test]
    fn each_kind_has_its_budget() {
        let limits = Floods::default();
        for (frame, limit, flood) in [
            (frame(RST_STREAM, 0, 4), limits.resets, Flood::Resets),
            (frame(PING, 0, 8), limits.pings, Flood::Pings),
            (frame(PING, ACK, 8), limits.idle_frames, Flood::IdleFrames),
            (frame(SETTINGS, 0, 6), limits.settings, Flood::Settings),
            (frame(SETTINGS, ACK, 0), limits.settings, Flood::Settings),
            (frame(DATA, 0, 0), limits.idle_frames, Flood::IdleFrames),
            (
                frame(DATA, PADDED, 256),
                limits.idle_frames,
                Flood::IdleFrames,
            ),
            (frame(2, 0, 5), limits.idle_frames, Flood::IdleFrames),
            (frame(8, 0, 4), limits.idle_frames, Flood::IdleFrames),
            (frame(0x55, 0, 3), limits.idle_frames, Flood::IdleFrames),
            (
                frame(CONTINUATION, 0, 0),
                limits.continuations,
                Flood::Continuations,
            ),
        ] {
            assert_eq!(flood_after(limit, &frame), Some(flood), "{frame:?}");
        }
    }

    #[test]
    fn requests_and_bodies_cost_nothing() {
        let mut guard = guard();
        for _ in 0..10_000 {
            guard.read(&frame(HEADERS, END_HEADERS, 40), 0);
            guard.read(&frame(DATA, 0, 1), 0);
            guard.read(&frame(DATA, END_STREAM, 0), 0);
        }
        assert_eq!(guard.flood(), None);
    }

    #[test]
    fn pieces_of_any_size_count_the_same() {
        let mut bytes = Vec::new();
        for _ in 0..=Floods::default().pings {
            bytes.extend(frame(DATA, 0, 5));
            bytes.extend(frame(PING, 0, 8));
        }
        for size in [1, 2, 7, 9, 10, 1000] {
            let mut guard = guard();
            for piece in bytes[..bytes.len() - HEAD].chunks(size) {
                guard.read(piece, 0);
            }
            assert_eq!(guard.flood(), None, "{size}");
            guard.read(&bytes[bytes.len() - HEAD..], 0);
            assert_eq!(guard.flood(), Some(Flood::Pings), "{size}");
        }
    }

    #[test]
    fn budgets_come_back_with_time_and_grow_with_what_is_sent() {
        let per = Duration::from_secs(10).as_millis() as u32;
        let mut guard = guard();
        let ping = frame(PING, 0, 8);
        for round in 0..10 {
            for _ in 0..100 {
                guard.read(&ping, round * per);
            }
        }
        guard.sent(5 * FRAME);
        for _ in 0..5 {
            guard.read(&ping, 9 * per);
        }
        assert_eq!(guard.flood(), None);
        guard.read(&ping, 9 * per);
        assert_eq!(guard.flood(), Some(Flood::Pings));
    }

    #[test]
    fn a_head_is_open_from_its_first_frame_to_its_last_byte() {
        let mut guard = guard();
        guard.read(&frame(HEADERS, 0, 10), 3);
        assert_eq!(guard.open_since_ms(), Some(3));
        let last = frame(CONTINUATION, END_HEADERS, 10);
        guard.read(&last[..12], 5);
        assert_eq!(guard.open_since_ms(), Some(3));
        guard.read(&last[12..], 7);
        assert_eq!(guard.open_since_ms(), None);
        guard.read(&frame(HEADERS, END_HEADERS, 0), 8);
        assert_eq!(guard.open_since_ms(), None);
    }
}
