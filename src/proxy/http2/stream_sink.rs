//! The client's side of a stream: the answer goes in, as its window allows.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Response};

use super::ends::ClientLeft;

/// Where an answer goes.
#[derive(Debug)]
pub(super) struct StreamSink {
    respond: SendResponse<Bytes>,
    /// Behind the answer's head.
    body: Option<SendStream<Bytes>>,
    /// Not yet taken by the client's window.
    pending: Bytes,
    /// Nothing comes behind `pending`.
    last: bool,
    ended: bool,
}

impl StreamSink {
    pub(super) fn new(respond: SendResponse<Bytes>) -> Self {
        Self {
            respond,
            body: None,
            pending: Bytes::new(),
            last: false,
            ended: false,
        }
    }

    /// The answer's head was sent.
    pub(super) fn has_begun(&self) -> bool {
        self.body.is_some()
    }

    /// Nothing more is to be sent.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The client has to take something first.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn interim(&mut self, head: Response<()>) -> Result<(), ClientLeft> {
        Ok(self.respond.send_informational(head)?)
    }

    pub(super) fn head(&mut self, head: Response<()>, last: bool) -> Result<(), ClientLeft> {
        self.body = Some(self.respond.send_response(head, last)?);
        self.ended = last;
        Ok(())
    }

    /// Sent by [`Self::poll_flush`]; nothing may be pending.
    pub(super) fn data(&mut self, data: Bytes, last: bool) {
        self.pending = data;
        self.last = last;
    }

    /// The end, when nothing is pending.
    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), ClientLeft> {
        let body = self.body.as_mut().ok_or(ClientLeft)?;
        match trailers {
            Some(trailers) if !trailers.is_empty() => body.send_trailers(trailers)?,
            _ => body.send_data(Bytes::new(), true)?,
        }
        self.ended = true;
        Ok(())
    }

    /// A whole small answer, which the library may hold.
    pub(super) fn answer(&mut self, head: Response<()>, body: Bytes) -> Result<(), ClientLeft> {
        self.head(head, body.is_empty())?;
        if let Some(stream) = self.body.as_mut().filter(|_| !body.is_empty()) {
            stream.send_data(body, true)?;
            self.ended = true;
        }
        Ok(())
    }

    /// Sends what is pending; ready with the bytes that went, 0 = nothing is pending.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ClientLeft>> {
        let (Some(body), false) = (&mut self.body, self.pending.is_empty()) else {
            return Poll::Ready(Ok(0));
        };
        body.reserve_capacity(self.pending.len());
        while body.capacity() == 0 {
            // Also resolves, with nothing, when a setting changed the window.
            match ready!(body.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(ClientLeft)),
            }
        }
        let piece = self
            .pending
            .split_to(body.capacity().min(self.pending.len()));
        let sent = piece.len();
        self.ended = self.last && self.pending.is_empty();
        body.send_data(piece, self.ended)?;
        Poll::Ready(Ok(sent))
    }

    /// Ready when the client took its request back.
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.body {
            Some(body) => body.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(drop)
    }

    /// Nothing more can be told.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.pending.clear();
        self.ended = true;
        match &mut self.body {
            Some(body) => body.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }
}
