//! A request to an HTTP/2 server, and its answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};

use super::origin::{Around, Lost, Part};
use super::pool::Lease;
use crate::http::{filter_trailers, relay_h2_response};

/// One stream.
#[derive(Debug)]
pub(super) struct ToHttp2 {
    up: SendStream<Bytes>,
    pending: Bytes,
    finish: Finish,
    answer: Answer,
    progress: bool,
    _lease: Lease,
}

/// How the request ends.
#[derive(Debug)]
enum Finish {
    /// More is to come.
    Open,
    /// It ends behind what is pending.
    Due(Option<HeaderMap>),
    Sent,
}

#[derive(Debug)]
enum Answer {
    Awaited(ResponseFuture),
    /// Bytes that were handed out, and not yet given back to its window.
    Body(RecvStream, usize),
    Over,
}

impl ToHttp2 {
    /// Sends the head; `ended` = nothing follows.
    pub(super) fn new(lease: Lease, request: Request<()>, ended: bool) -> Result<Self, Lost> {
        let sent = lease.requests().send_request(request, ended);
        let (answer, up) = sent.map_err(|error| {
            tracing::debug!(%error, "HTTP/2 server takes no request");
            lease.give_up();
            Lost::Unprocessed
        })?;
        Ok(Self {
            up,
            pending: Bytes::new(),
            finish: if ended { Finish::Sent } else { Finish::Open },
            answer: Answer::Awaited(answer),
            progress: true,
            _lease: lease,
        })
    }

    pub(super) fn has_room(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn give(&mut self, data: Bytes) {
        self.pending = data;
    }

    pub(super) fn finish_request(&mut self, trailers: Option<HeaderMap>) {
        self.finish = Finish::Due(trailers);
    }

    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    pub(super) fn is_over(&self) -> bool {
        match &self.answer {
            Answer::Awaited(_) => false,
            Answer::Body(body, _) => body.is_end_stream(),
            Answer::Over => true,
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        while !self.pending.is_empty() {
            self.up.reserve_capacity(self.pending.len());
            while self.up.capacity() == 0 {
                match ready!(self.up.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(Err(Lost::Gone)),
                }
            }
            let piece = self
                .pending
                .split_to(self.up.capacity().min(self.pending.len()));
            let ends = self.pending.is_empty() && matches!(self.finish, Finish::Due(None));
            self.up.send_data(piece, ends).map_err(|_| Lost::Gone)?;
            self.progress = true;
            if ends {
                self.finish = Finish::Sent;
            }
        }
        if let Finish::Due(trailers) = &mut self.finish {
            let sent = match trailers.take() {
                Some(trailers) => self.up.send_trailers(trailers),
                None => self.up.send_data(Bytes::new(), true),
            };
            self.finish = Finish::Sent;
            sent.map_err(|_| Lost::Gone)?;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_part(
        &mut self,
        around: &Around<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Part, Lost>> {
        let part = match &mut self.answer {
            Answer::Awaited(answer) => {
                if let Poll::Ready(Some(Ok(interim))) = answer.poll_informational(cx) {
                    Part::Interim(interim)
                } else {
                    let answer = ready!(Pin::new(answer).poll(cx)).map_err(|error| lost(&error))?;
                    let (parts, body) = answer.into_parts();
                    self.answer = Answer::Body(body, 0);
                    let mut head = http::Response::from_parts(parts, ());
                    *head.version_mut() = http::Version::HTTP_2;
                    relay_h2_response(&mut head, &around.shard.clock.date(), around.via);
                    Part::Head(head)
                }
            }
            Answer::Body(body, taken) => {
                // The client has taken it: only now may the server send as much again.
                let taken = std::mem::take(taken);
                body.flow_control()
                    .release_capacity(taken)
                    .map_err(|error| lost(&error))?;
                match ready!(body.poll_data(cx)) {
                    Some(data) => {
                        let data = data.map_err(|error| lost(&error))?;
                        self.answer.handed_out(data.len());
                        Part::Data(data)
                    }
                    None => {
                        let trailers =
                            ready!(body.poll_trailers(cx)).map_err(|error| lost(&error))?;
                        self.answer = Answer::Over;
                        Part::End(trailers.map(filter_trailers))
                    }
                }
            }
            Answer::Over => Part::End(None),
        };
        self.progress = true;
        Poll::Ready(Ok(part))
    }
}

impl Answer {
    fn handed_out(&mut self, len: usize) {
        if let Self::Body(_, taken) = self {
            *taken = len;
        }
    }
}

/// What a server said instead of an answer.
fn lost(error: &h2::Error) -> Lost {
    tracing::debug!(%error, "HTTP/2 server gave no answer");
    match error.reason() {
        Some(Reason::REFUSED_STREAM) => Lost::Unprocessed,
        // It went away, and this stream is above the last one it will answer.
        _ if error.is_go_away() && error.is_remote() => Lost::Unprocessed,
        Some(reason) if error.is_reset() && error.is_remote() => Lost::Reset(reason),
        _ if error.is_library() => Lost::Bad,
        _ => Lost::Gone,
    }
}
