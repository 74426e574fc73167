//! The server's side of an exchange, whatever it speaks.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Response};

use super::to_http1::ToHttp1;
use super::to_http2::ToHttp2;
use crate::proxy::Shard;

/// A request on its way, and its answer.
#[derive(Debug)]
pub(super) enum Origin {
    Http1(Box<ToHttp1>),
    Http2(Box<ToHttp2>),
}

/// A piece of an answer.
#[derive(Debug)]
pub(super) enum Part {
    /// 1xx.
    Interim(Response<()>),
    Head(Response<()>),
    /// The server has switched: bytes follow, both ways.
    Switched(Response<()>),
    Data(Bytes),
    End(Option<HeaderMap>),
}

/// Why there is no (more) answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// The server did not look at the request (9113 8.7): it may be sent again, whatever it is.
    Unprocessed,
    /// The server reset the stream.
    Reset(Reason),
    /// The connection ended.
    Gone,
    /// The answer is none.
    Bad,
}

/// What reading an answer needs of its surroundings.
pub(super) struct Around<'a> {
    pub(super) shard: &'a Rc<Shard>,
    pub(super) via: Option<&'a str>,
}

impl Origin {
    /// Whether it takes another piece of the request's body.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Http1(origin) => origin.has_room(),
            Self::Http2(origin) => origin.has_room(),
        }
    }

    /// Whether nothing of the client's is taken before the server has switched.
    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Self::Http1(origin) => origin.is_waiting(),
            Self::Http2(_) => false,
        }
    }

    /// Whether all that the client will ever send has left, and the server was told so.
    pub(super) fn is_shut(&self) -> bool {
        match self {
            Self::Http1(origin) => origin.is_shut(),
            Self::Http2(_) => false,
        }
    }

    /// The server is to tell what follows from an orderly end.
    pub(super) fn reset_on_close(&self) {
        if let Self::Http1(origin) = self {
            origin.reset_on_close();
        }
    }

    /// Takes a piece of the body; there must be room.
    pub(super) fn give(&mut self, data: Bytes) {
        match self {
            Self::Http1(origin) => origin.give(data),
            Self::Http2(origin) => origin.give(data),
        }
    }

    /// The request ends behind what was given.
    pub(super) fn finish(&mut self, trailers: Option<HeaderMap>) {
        match self {
            Self::Http1(origin) => origin.finish_request(trailers.as_ref()),
            Self::Http2(origin) => origin.finish_request(trailers),
        }
    }

    /// Sends what it was given.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        match self {
            Self::Http1(origin) => origin.poll_flush(cx),
            Self::Http2(origin) => origin.poll_flush(cx),
        }
    }

    /// The next piece of the answer; what came before has been taken by the client.
    pub(super) fn poll_part(
        &mut self,
        around: &Around<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Part, Lost>> {
        match self {
            Self::Http1(origin) => origin.poll_part(around, cx),
            Self::Http2(origin) => origin.poll_part(around, cx),
        }
    }

    /// Nothing follows what was handed out, no trailers either.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Http1(origin) => origin.is_over(),
            Self::Http2(origin) => origin.is_over(),
        }
    }

    /// Bytes moved since the last call.
    pub(super) fn take_progress(&mut self) -> bool {
        match self {
            Self::Http1(origin) => origin.take_progress(),
            Self::Http2(origin) => origin.take_progress(),
        }
    }
}
