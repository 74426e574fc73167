//! A worker's spare buffers. Idle connections hold none: they wait for
//! readiness, borrow one, and give it back.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll};

use crate::net::Stream;

/// Bytes before the payload that a chunk head may need.
pub(crate) const HEADROOM: usize = crate::http::CHUNK_HEAD_MAX;

/// Sizes of buffers. 8 KiB holds a usual request head, 32 KiB a 16 KiB answer
/// with its head (one read, one write), 72 KiB the largest head that may be
/// configured, 256 KiB carries bodies as fast as splice does.
const SIZES: [usize; 4] = [8 << 10, 32 << 10, 72 << 10, 256 << 10];
/// Spare buffers kept of each size: about 9 MiB a worker at most.
const SPARE_MAX: [usize; 4] = [128, 64, 16, 16];
/// Sizes of head vectors and how many are kept.
const HEADS: [(usize, usize); 3] = [(1 << 10, 256), (4 << 10, 128), (16 << 10, 32)];

/// Size for request heads.
pub(crate) const REQUEST: usize = SIZES[0];
/// Size for answers and bodies.
pub(crate) const BODY: usize = SIZES[1];
/// Size for bodies that keep a full buffer coming.
pub(crate) const BULK: usize = SIZES[3];

/// A borrowed buffer; `start..end` are bytes that nobody has looked at yet.
#[derive(Debug)]
pub(crate) struct Buf {
    data: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buf {
    /// Unread bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Unread bytes, to be decoded in place.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.start..self.end]
    }

    /// Position of the first unread byte.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Number of unread bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// No unread bytes.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Marks the first `n` unread bytes as read.
    #[inline]
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
    }

    /// Room behind the unread bytes.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.data[self.end..]
    }

    /// `n` bytes were written into the room.
    #[inline]
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.data.len());
    }

    /// Any part of the buffer, read or not.
    #[inline]
    pub(crate) fn part(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.data[range]
    }

    /// As [`Self::part`], to be written.
    #[inline]
    pub(crate) fn part_mut(&mut self, range: std::ops::Range<usize>) -> &mut [u8] {
        &mut self.data[range]
    }

    /// Forgets everything and leaves the headroom free.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.start = HEADROOM;
        self.end = HEADROOM;
    }

    /// Bytes it can hold.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.data.len() - HEADROOM
    }
}

/// Spare buffers of one worker.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    spare: [RefCell<Vec<Box<[u8]>>>; SIZES.len()],
    heads: [RefCell<Vec<Vec<u8>>>; HEADS.len()],
}

impl Buffers {
    /// An empty buffer that can hold `wanted` bytes (as far as the largest size goes).
    #[inline]
    pub(crate) fn take(&self, wanted: usize) -> Buf {
        let fits = |size: &usize| *size >= wanted;
        let class = SIZES.iter().position(fits).unwrap_or(SIZES.len() - 1);
        let spare = self.spare[class].borrow_mut().pop();
        let data = spare.unwrap_or_else(|| vec![0; SIZES[class]].into_boxed_slice());
        Buf {
            data,
            start: HEADROOM,
            end: HEADROOM,
        }
    }

    /// Reads an answer behind what is `held` of it. Who waits holds no more than
    /// what came.
    pub(crate) fn poll_fill(
        &self,
        held: &mut Option<Buf>,
        from: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut buf = held.take().unwrap_or_else(|| self.take(BODY));
        if buf.room().is_empty() {
            let wanted = buf.len() + 1;
            buf = self.grow(buf, wanted);
        }
        let read = from.poll_read(cx, buf.room());
        if let Poll::Ready(Ok(n)) = read {
            buf.filled(n);
        }
        if buf.is_empty() {
            self.give(buf);
        } else if read.is_pending() {
            *held = Some(self.shrink(buf));
        } else {
            *held = Some(buf);
        }
        read
    }

    /// A buffer of exactly the bytes of `from`, for those who wait with half a head.
    pub(crate) fn shrink(&self, from: Buf) -> Buf {
        let mut data = vec![0; HEADROOM + from.len()].into_boxed_slice();
        data[HEADROOM..].copy_from_slice(from.bytes());
        let end = data.len();
        self.give(from);
        Buf {
            data,
            start: HEADROOM,
            end,
        }
    }

    /// A buffer that can hold `wanted` bytes and starts with those of `from`.
    pub(crate) fn grow(&self, from: Buf, wanted: usize) -> Buf {
        let mut to = self.take(wanted + HEADROOM);
        let len = from.len();
        to.room()[..len].copy_from_slice(from.bytes());
        to.filled(len);
        self.give(from);
        to
    }

    /// Takes a buffer back.
    #[inline]
    pub(crate) fn give(&self, buf: Buf) {
        let Some(class) = SIZES.iter().position(|size| *size == buf.data.len()) else {
            return;
        };
        let mut spare = self.spare[class].borrow_mut();
        if spare.len() < SPARE_MAX[class] {
            spare.push(buf.data);
        }
    }

    /// An empty vector for a head of at most `bound` bytes.
    #[inline]
    pub(crate) fn take_head(&self, bound: usize) -> Vec<u8> {
        match HEADS.iter().position(|(size, _)| *size >= bound) {
            Some(class) => {
                let spare = self.heads[class].borrow_mut().pop();
                spare.unwrap_or_else(|| Vec::with_capacity(HEADS[class].0))
            }
            None => Vec::with_capacity(bound),
        }
    }

    /// Takes a head vector back.
    #[inline]
    pub(crate) fn give_head(&self, mut head: Vec<u8>) {
        let Some(class) = HEADS.iter().position(|(size, _)| *size == head.capacity()) else {
            return;
        };
        let mut spare = self.heads[class].borrow_mut();
        if spare.len() < HEADS[class].1 {
            head.clear();
            spare.push(head);
        }
    }
}
