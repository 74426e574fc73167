//! What a client may do to a connection beside asking: counted frame by frame.
//!
//! The library bounds what it buffers (heads, small DATA, resets before accept)
//! but not how often it is made to work. So the 9-byte heads of the frames are
//! read here on their way to it, and kinds that move nothing have a budget for a
//! time (RFC 9113 10.5). Two rules that the library takes lightly are held here,
//! too: the sizes of frames (4.2) and what comes first (3.4).

use h2::Reason;

use crate::config::Floods;

/// Why a client is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offence {
    /// More of a kind than is set.
    Resets,
    Pings,
    Settings,
    IdleFrames,
    Continuations,
    /// A frame of a size that its kind never has.
    FrameSize,
    /// Something else than SETTINGS came first.
    Hello,
}

impl Offence {
    /// What the client is told.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::FrameSize => Reason::FRAME_SIZE_ERROR,
            Self::Hello => Reason::PROTOCOL_ERROR,
            _ => Reason::ENHANCE_YOUR_CALM,
        }
    }
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
    greeted: bool,
    acknowledged: bool,
    offence: Option<Offence>,
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
            greeted: false,
            acknowledged: false,
            offence: None,
        }
    }

    /// Looks at bytes from the client; returns how many of them may be believed.
    pub(super) fn read(&mut self, all: &[u8], now_ms: u32) -> usize {
        let mut bytes = all;
        if now_ms.wrapping_sub(self.began_ms) >= self.limits.per.as_millis() as u32 {
            self.began_ms = now_ms;
            self.counts = Counts::default();
        }
        while !bytes.is_empty() && self.offence.is_none() {
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
        if self.offence.is_some() {
            (all.len() - bytes.len()).saturating_sub(HEAD)
        } else {
            all.len()
        }
    }

    /// DATA of this length was sent: its receiver has a right to answer.
    pub(super) fn sent(&mut self, len: usize) {
        let frames = len.div_ceil(FRAME).max(1) as u32;
        self.counts.sent = self.counts.sent.saturating_add(frames);
    }

    /// The budget that is spent, if one is.
    pub(super) fn offence(&self) -> Option<Offence> {
        self.offence
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
        if !std::mem::replace(&mut self.greeted, true) && (kind, flags & ACK) != (SETTINGS, 0) {
            self.offence = Some(Offence::Hello);
            return;
        }
        let fits = match kind {
            PING => len == 8,
            RST_STREAM | WINDOW_UPDATE => len == 4,
            PRIORITY => len == 5,
            SETTINGS if flags & ACK != 0 => len == 0,
            SETTINGS => len.is_multiple_of(6),
            GOAWAY => (8..=FRAME).contains(&len),
            _ => len <= FRAME,
        };
        if !fits {
            self.offence = Some(Offence::FrameSize);
            return;
        }
        let limits = self.limits;
        let counts = &mut self.counts;
        let (count, limit, offence) = match kind {
            DATA if len > 0 && (flags & PADDED == 0 || len > PADDING_MAX) => return,
            // An empty one that ends its stream is how streams end.
            DATA if len == 0 && flags & END_STREAM != 0 => return,
            HEADERS => return self.block_frame(flags, now_ms, true),
            CONTINUATION => return self.block_frame(flags, now_ms, false),
            RST_STREAM => (&mut counts.resets, limits.resets, Offence::Resets),
            SETTINGS => {
                self.acknowledged |= flags & ACK != 0;
                (&mut counts.settings, limits.settings, Offence::Settings)
            }
            PING if flags & ACK == 0 => {
                let limit = limits.pings.saturating_add(counts.sent);
                (&mut counts.pings, limit, Offence::Pings)
            }
            _ => {
                let earned = counts.sent.saturating_mul(2);
                let limit = limits.idle_frames.saturating_add(earned);
                (&mut counts.idle, limit, Offence::IdleFrames)
            }
        };
        *count += 1;
        if *count > limit {
            self.offence = Some(offence);
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
            self.offence = Some(Offence::Continuations);
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
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
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
/// The longest frame as long as nobody announced another (9113 4.2).
const FRAME: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn guard() -> Guard {
        let mut guard = Guard::new(Floods::default(), 0);
        guard.read(&[0; PREFACE], 0);
        guard.read(&frame(SETTINGS, 0, 0), 0);
        guard.read(&[], 10_000);
        guard.began_ms = 0;
        guard
    }

    fn frame(kind: u8, flags: u8, len: usize) -> Vec<u8> {
        let [.., a, b, c] = len.to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD + len, 0xff);
        frame
    }

    fn offence_after(limit: u32, frame: &[u8]) -> Option<Offence> {
        let mut guard = guard();
        for _ in 0..limit {
            guard.read(frame, 0);
        }
        assert_eq!(guard.offence(), None, "within its budget");
        guard.read(frame, 0);
        guard.offence()
    }

    #[test]
    fn each_kind_has_its_budget() {
        let limits = Floods::default();
        for (frame, limit, offence) in [
            (frame(RST_STREAM, 0, 4), limits.resets, Offence::Resets),
            (frame(PING, 0, 8), limits.pings, Offence::Pings),
            (frame(PING, ACK, 8), limits.idle_frames, Offence::IdleFrames),
            (frame(SETTINGS, 0, 6), limits.settings, Offence::Settings),
            (frame(SETTINGS, ACK, 0), limits.settings, Offence::Settings),
            (frame(DATA, 0, 0), limits.idle_frames, Offence::IdleFrames),
            (
                frame(DATA, PADDED, 256),
                limits.idle_frames,
                Offence::IdleFrames,
            ),
            (
                frame(PRIORITY, 0, 5),
                limits.idle_frames,
                Offence::IdleFrames,
            ),
            (
                frame(WINDOW_UPDATE, 0, 4),
                limits.idle_frames,
                Offence::IdleFrames,
            ),
            (frame(0x55, 0, 3), limits.idle_frames, Offence::IdleFrames),
            (
                frame(CONTINUATION, 0, 0),
                limits.continuations,
                Offence::Continuations,
            ),
        ] {
            assert_eq!(offence_after(limit, &frame), Some(offence), "{frame:?}");
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
        assert_eq!(guard.offence(), None);
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
            assert_eq!(guard.offence(), None, "{size}");
            guard.read(&bytes[bytes.len() - HEAD..], 0);
            assert_eq!(guard.offence(), Some(Offence::Pings), "{size}");
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
        assert_eq!(guard.offence(), None);
        guard.read(&ping, 9 * per);
        assert_eq!(guard.offence(), Some(Offence::Pings));
    }

    #[test]
    fn sizes_and_the_hello_are_held_to_the_letter() {
        for (kind, flags, len) in [
            (PING, 0, 7),
            (PING, ACK, 9),
            (RST_STREAM, 0, 3),
            (WINDOW_UPDATE, 0, 5),
            (PRIORITY, 0, 4),
            (SETTINGS, 0, 5),
            (SETTINGS, ACK, 6),
            (GOAWAY, 0, 7),
            (DATA, 0, FRAME + 1),
            (HEADERS, END_HEADERS, FRAME + 1),
            (0x42, 0, FRAME + 1),
        ] {
            let mut guard = guard();
            let mut bytes = frame(DATA, 0, 3);
            let before = bytes.len();
            bytes.extend(frame(kind, flags, len));
            assert_eq!(guard.read(&bytes, 0), before, "{kind} of {len}");
            assert_eq!(guard.offence(), Some(Offence::FrameSize), "{kind} of {len}");
        }
        let mut guard = Guard::new(Floods::default(), 0);
        let mut bytes = vec![0; PREFACE];
        bytes.extend(frame(PING, 0, 8));
        assert_eq!(guard.read(&bytes, 0), PREFACE);
        assert_eq!(guard.offence(), Some(Offence::Hello));
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
