//! The client's side of a stream: the body of its request.

use std::task::{Context, Poll};

use h2::RecvStream;

use super::ends::ClientLeft;
use super::origin::Origin;
use crate::http::filter_trailers;

/// Where a request's body comes from.
#[derive(Debug)]
pub(super) struct StreamSource {
    body: RecvStream,
    ended: bool,
    /// Bytes handed on and not yet given back to the client's window.
    taken: usize,
    received: u64,
    limit: Option<u64>,
}

impl StreamSource {
    pub(super) fn new(body: RecvStream, limit: Option<u64>) -> Self {
        Self {
            ended: body.is_end_stream(),
            body,
            taken: 0,
            received: 0,
            limit,
        }
    }

    /// All of it was handed on.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Something of it was handed on.
    pub(super) fn has_begun(&self) -> bool {
        self.received > 0
    }

    /// Bytes so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// More came than is taken.
    pub(super) fn is_over_limit(&self) -> bool {
        self.limit.is_some_and(|limit| self.received > limit)
    }

    /// Hands the next piece on.
    pub(super) fn poll_into(
        &mut self,
        origin: &mut Origin,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, ClientLeft> {
        let Poll::Ready(data) = self.body.poll_data(cx) else {
            return Ok(Poll::Pending);
        };
        if let Some(data) = data {
            let data = data?;
            self.taken += data.len();
            self.received += data.len() as u64;
            origin.give(data);
            if self.body.is_end_stream() {
                self.ended = true;
                origin.finish(None);
            }
            return Ok(Poll::Ready(()));
        }
        let Poll::Ready(trailers) = self.body.poll_trailers(cx) else {
            return Ok(Poll::Pending);
        };
        self.ended = true;
        origin.finish(trailers?.map(filter_trailers));
        Ok(Poll::Ready(()))
    }

    /// What was handed on has left: the client may send as much again.
    pub(super) fn release(&mut self) -> Result<(), ClientLeft> {
        let taken = std::mem::take(&mut self.taken);
        if taken > 0 {
            self.body.flow_control().release_capacity(taken)?;
        }
        Ok(())
    }
}
