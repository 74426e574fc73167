//! A message of HTTP/1.1 on its way out, piece by piece.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;

use crate::http::{self as rules, CHUNK_HEAD_MAX};
use crate::net::Stream;

/// A request to a server, or an answer to a client. What is there of its pieces
/// leaves in one write.
#[derive(Debug)]
pub(super) struct Message {
    head: Vec<u8>,
    chunk: [u8; CHUNK_HEAD_MAX],
    chunk_at: usize,
    data: Bytes,
    tail: Vec<u8>,
    /// Bytes of the four that were written.
    written: usize,
    chunked: bool,
    finished: bool,
    /// All of it stands in `head`.
    whole: bool,
}

impl Message {
    /// A serialised head; a body follows in chunks, as it is, or not at all.
    pub(super) fn new(head: Vec<u8>, body: Option<bool>) -> Self {
        Self {
            head,
            chunk: [0; CHUNK_HEAD_MAX],
            chunk_at: CHUNK_HEAD_MAX,
            data: Bytes::new(),
            tail: Vec::new(),
            written: 0,
            chunked: body == Some(true),
            finished: body.is_none(),
            whole: body.is_none(),
        }
    }

    /// Where another head is to be written, of a message with such a body: 1xx, then
    /// the final one. It may leave together with what has not left yet.
    pub(super) fn open(&mut self, body: Option<bool>) -> &mut Vec<u8> {
        if self.is_flushed() {
            self.head.clear();
            self.written = 0;
            self.chunk_at = CHUNK_HEAD_MAX;
            self.data = Bytes::new();
            self.tail.clear();
        }
        self.chunked = body == Some(true);
        self.finished = body.is_none();
        &mut self.head
    }

    /// Forgets what has not left.
    pub(super) fn discard(&mut self) {
        *self = Self::new(Vec::new(), None);
    }

    /// The head, if that is all there is.
    pub(super) fn into_head(self) -> Option<Vec<u8>> {
        self.whole.then_some(self.head)
    }

    /// The head's buffer, for another.
    pub(super) fn take_head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// Nothing comes behind what is there.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// All that is there was written.
    pub(super) fn is_flushed(&self) -> bool {
        self.written == self.len()
    }

    /// Whether [`Self::give`] may be called.
    pub(super) fn has_room(&self) -> bool {
        !self.finished && self.data.is_empty() || self.is_flushed()
    }

    /// Writes some of what is there.
    pub(super) fn poll_write(
        &mut self,
        to: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // Mostly there is a head alone, and a plain write is the cheaper one.
        let written = match self.slices() {
            [head, [], [], []] => to.poll_write(cx, head),
            slices => to.poll_writev(cx, &slices.map(IoSlice::new)),
        };
        if let Poll::Ready(Ok(written)) = written {
            self.written += written;
        }
        written
    }

    /// A piece of the body.
    pub(super) fn give(&mut self, data: Bytes) {
        self.whole = false;
        if self.is_flushed() {
            self.head.clear();
            self.written = 0;
        }
        self.chunk_at = CHUNK_HEAD_MAX;
        self.tail.clear();
        if self.chunked && !data.is_empty() {
            self.chunk_at = rules::chunk_head(data.len(), &mut self.chunk);
            self.tail.extend_from_slice(b"\r\n");
        }
        self.data = data;
    }

    /// Called in the same breath as [`Self::give`], or when all has left.
    pub(super) fn finish(&mut self, trailers: Option<&HeaderMap>) {
        self.finished = true;
        if !self.chunked {
            return;
        }
        if self.is_flushed() {
            self.give(Bytes::new());
        }
        self.whole = false;
        match trailers {
            None => self.tail.extend_from_slice(rules::LAST_CHUNK),
            Some(trailers) => {
                self.tail.extend_from_slice(b"0\r\n");
                rules::write_trailers(trailers, &mut self.tail);
                self.tail.extend_from_slice(b"\r\n");
            }
        }
    }

    fn len(&self) -> usize {
        let chunk = CHUNK_HEAD_MAX - self.chunk_at;
        self.head.len() + chunk + self.data.len() + self.tail.len()
    }

    /// What is left of the four pieces.
    fn slices(&self) -> [&[u8]; 4] {
        let mut skip = self.written;
        let pieces = [
            &self.head[..],
            &self.chunk[self.chunk_at..],
            &self.data,
            &self.tail,
        ];
        pieces.map(|piece| {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            &piece[skipped..]
        })
    }
}
