//! The client's side of an exchange, whatever it speaks: where the request's body
//! comes from, and where the answer goes.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Response};

use super::from_http1::{Http1Sink, Http1Source};
use super::grpc;
use super::origin::Origin;
use super::request::Request;
use super::stream_sink::StreamSink;
use super::stream_source::StreamSource;
use crate::http::{Version, to_h2_answer};
use crate::proxy::answer::Answer;

/// The client took its request back, or left.
#[derive(Debug)]
pub(super) struct ClientLeft;

impl From<h2::Error> for ClientLeft {
    fn from(_: h2::Error) -> Self {
        Self
    }
}

/// Where a request's body comes from.
#[derive(Debug)]
pub(super) enum Source {
    Http1(Http1Source),
    Stream(StreamSource),
}

impl Source {
    /// All of it was handed on.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Http1(source) => source.has_ended(),
            Self::Stream(source) => source.has_ended(),
        }
    }

    /// Something of it was handed on.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Self::Http1(source) => source.has_begun(),
            Self::Stream(source) => source.has_begun(),
        }
    }

    /// Bytes so far.
    pub(super) fn received(&self) -> u64 {
        match self {
            Self::Http1(source) => source.received(),
            Self::Stream(source) => source.received(),
        }
    }

    /// More came than is taken.
    pub(super) fn is_over_limit(&self) -> bool {
        match self {
            Self::Http1(source) => source.is_over_limit(),
            Self::Stream(source) => source.is_over_limit(),
        }
    }

    /// What came is not what its framing said.
    pub(super) fn is_broken(&self) -> bool {
        match self {
            Self::Http1(source) => source.is_broken(),
            // Its stream was reset.
            Self::Stream(_) => false,
        }
    }

    /// Hands the next piece on; there must be room.
    pub(super) fn poll_into(
        &mut self,
        origin: &mut Origin,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, ClientLeft> {
        match self {
            Self::Http1(source) => source.poll_into(origin, cx),
            Self::Stream(source) => source.poll_into(origin, cx),
        }
    }

    /// What was handed on has left: the client may send as much again.
    pub(super) fn release(&mut self) -> Result<(), ClientLeft> {
        match self {
            // Nothing is read before there is room.
            Self::Http1(_) => Ok(()),
            Self::Stream(source) => source.release(),
        }
    }
}

/// Where an answer goes.
#[derive(Debug)]
pub(super) enum Sink {
    Http1(Box<Http1Sink>),
    Stream(StreamSink),
}

impl Sink {
    /// The answer's head was handed on.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Self::Http1(sink) => sink.has_begun(),
            Self::Stream(sink) => sink.has_begun(),
        }
    }

    /// Nothing more is to be sent.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Http1(sink) => sink.has_ended(),
            Self::Stream(sink) => sink.has_ended(),
        }
    }

    /// The client has to take something before it is given more.
    pub(super) fn is_pending(&self) -> bool {
        match self {
            Self::Http1(sink) => sink.is_pending(),
            Self::Stream(sink) => sink.is_pending(),
        }
    }

    /// Something has not left: it may wait for what comes at once, and no longer.
    pub(super) fn holds(&self) -> bool {
        match self {
            Self::Http1(sink) => sink.holds(),
            Self::Stream(sink) => sink.is_pending(),
        }
    }

    pub(super) fn interim(&mut self, head: Response<()>) -> Result<(), ClientLeft> {
        match self {
            Self::Http1(sink) => {
                sink.interim(&head);
                Ok(())
            }
            Self::Stream(sink) => sink.interim(head),
        }
    }

    pub(super) fn head(&mut self, head: Response<()>, last: bool) -> Result<(), ClientLeft> {
        match self {
            Self::Http1(sink) => {
                sink.head(&head, last);
                Ok(())
            }
            Self::Stream(sink) => sink.head(head, last),
        }
    }

    /// Sent by [`Self::poll_flush`]; nothing may be pending.
    pub(super) fn data(&mut self, data: Bytes, last: bool) {
        match self {
            Self::Http1(sink) => sink.data(data, last),
            Self::Stream(sink) => sink.data(data, last),
        }
    }

    /// The end, when nothing is pending.
    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), ClientLeft> {
        match self {
            Self::Http1(sink) => {
                sink.end(trailers.as_ref());
                Ok(())
            }
            Self::Stream(sink) => sink.end(trailers),
        }
    }

    /// An answer of our own, whole; the bytes of it that count.
    pub(super) fn answer(
        &mut self,
        answer: &Answer,
        request: &Request,
        date: &[u8; 29],
    ) -> Result<usize, ClientLeft> {
        let head = request.asked.head;
        let sink = match self {
            Self::Http1(sink) => return Ok(sink.answer(answer, head, date)),
            Self::Stream(sink) => sink,
        };
        let canned = answer.canned(Version::Http2, true, head, date);
        let (head, body) = if request.grpc {
            (grpc::answer(&canned), Bytes::new())
        } else {
            to_h2_answer(&canned)
        };
        let len = body.len();
        sink.answer(head, body).map(|()| len)
    }

    /// Sends what is pending; ready with the bytes that went, 0 = nothing is pending.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ClientLeft>> {
        match self {
            Self::Http1(sink) => sink.poll_flush(cx),
            Self::Stream(sink) => sink.poll_flush(cx),
        }
    }

    /// Ready when the client took its request back.
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http1(sink) => sink.poll_left(cx),
            Self::Stream(sink) => sink.poll_left(cx),
        }
    }

    /// Nothing more can be told.
    pub(super) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Http1(sink) => sink.cut(),
            Self::Stream(sink) => sink.reset(reason),
        }
    }
}
