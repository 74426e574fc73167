//! An HTTP/1 client whose request goes to an HTTP/2 server: its connection as the two
//! ends of an exchange.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};

use super::connection::Shared;
use super::ends::ClientLeft;
use super::message::Message;
use super::origin::Origin;
use crate::http::{
    self as rules, Decoder, Framing, ResponseFraming, Version, lowered_framing, write_lowered,
};
use crate::proxy::answer::Answer;
use crate::proxy::http1::Next;

/// One request and its answer on the client's connection: what both ends know, and
/// what outlives them.
#[derive(Debug)]
pub(super) struct Talk {
    shared: Rc<Shared>,
    version: Version,
    is_head: bool,
    out: RefCell<Message>,
    /// The stream holds bytes that count as sent: records for a full socket.
    held: Cell<bool>,
    /// The request was read to its end.
    read: Cell<bool>,
    /// Another request may follow.
    keep_alive: Cell<bool>,
    /// The answer's end is the close.
    until_close: Cell<bool>,
    /// The answer was cut short.
    cut: Cell<bool>,
}

impl Talk {
    pub(super) fn new(
        shared: &Rc<Shared>,
        version: Version,
        is_head: bool,
        keep_alive: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            shared: Rc::clone(shared),
            version,
            is_head,
            out: RefCell::new(Message::new(Vec::new(), None)),
            held: Cell::new(false),
            read: Cell::new(false),
            keep_alive: Cell::new(keep_alive),
            until_close: Cell::new(false),
            cut: Cell::new(false),
        })
    }

    fn is_flushed(&self) -> bool {
        self.out.borrow().is_flushed() && !self.held.get()
    }

    /// Writes some of what has not left; ready with nothing = all has.
    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let client = self.shared.client.borrow();
        let mut out = self.out.borrow_mut();
        if !out.is_flushed() {
            let written = ready!(out.poll_write(&client.stream, cx))?;
            self.held.set(client.stream.holds_back());
            return match written {
                0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => Poll::Ready(Ok(written)),
            };
        }
        ready!(client.stream.poll_flush(cx))?;
        self.held.set(false);
        Poll::Ready(Ok(0))
    }

    /// Another request may come behind this answer, as things stand now.
    fn settle(&self, closes: bool) -> bool {
        let may_stay = self.shared.client.borrow().may_stay();
        let keeps = self.keep_alive.get() && self.read.get() && may_stay && !closes;
        self.keep_alive.set(keeps);
        keeps
    }

    /// Lets an answer of our own leave, which the exchange does not wait for, under the
    /// client's own deadline. Then says what becomes of the connection.
    pub(super) async fn finish(&self) -> Next {
        let client = &self.shared.client;
        let patience = client.borrow().frontend.config.timeouts.client;
        client.borrow().slot.arm(patience);
        let left = poll_fn(|cx| {
            client.borrow().slot.register(cx.waker());
            while !self.is_flushed() {
                let slot = &client.borrow().slot;
                match self.poll_write(cx) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending if slot.expired() || slot.killed().is_some() => {
                        return Poll::Ready(false);
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(true)
        })
        .await;
        match (left && !self.cut.get(), self.read.get()) {
            (true, true) if self.keep_alive.get() => Next::Request,
            // With a FIN it would look whole.
            (false, _) if self.until_close.get() => Next::Reset,
            (true, false) => Next::Linger,
            _ => Next::Close,
        }
    }
}

/// Where a request's body comes from.
#[derive(Debug)]
pub(super) struct Http1Source {
    talk: Rc<Talk>,
    decoder: Decoder,
    /// Bytes, framing included, and those of them that are the body.
    received: u64,
    payload: u64,
    limit: Option<u64>,
    broken: bool,
}

impl Http1Source {
    pub(super) fn new(talk: &Rc<Talk>, framing: Framing, limit: Option<u64>) -> Self {
        let decoder = Decoder::from(framing);
        talk.read.set(decoder.finished());
        Self {
            talk: Rc::clone(talk),
            decoder,
            received: 0,
            payload: 0,
            limit,
            broken: false,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.talk.read.get()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.received > 0
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn is_over_limit(&self) -> bool {
        self.limit.is_some_and(|limit| self.payload > limit)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn poll_into(
        &mut self,
        origin: &mut Origin,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, ClientLeft> {
        let talk = Rc::clone(&self.talk);
        let client = &mut *talk.shared.client.borrow_mut();
        while !self.broken {
            if let Some(ahead) = client.ahead.as_mut().filter(|ahead| !ahead.is_empty()) {
                let start = ahead.start();
                let Ok(decoded) = self.decoder.decode(ahead.bytes_mut()) else {
                    self.broken = true;
                    break;
                };
                let data = Bytes::copy_from_slice(ahead.part(start..start + decoded.data));
                ahead.consume(decoded.consumed);
                self.received += decoded.consumed as u64;
                self.payload += decoded.data as u64;
                let is_empty = data.is_empty();
                if !is_empty {
                    origin.give(data);
                }
                if decoded.end {
                    self.talk.read.set(true);
                    let trailers = self.decoder.take_trailers();
                    origin.finish(trailers.map(rules::read_trailers));
                }
                if decoded.end || !is_empty {
                    return Ok(Poll::Ready(()));
                }
            }
            if let Some(empty) = client.ahead.take_if(|ahead| ahead.is_empty()) {
                client.slot.shard().buffers.give(empty);
            }
            let buffers = &client.slot.shard().buffers;
            match buffers.poll_fill(&mut client.ahead, &mut client.stream, cx) {
                Poll::Ready(Ok(1..)) => client.slot.shard().clock.read(),
                Poll::Ready(_) => return Err(ClientLeft),
                Poll::Pending => break,
            };
        }
        Ok(Poll::Pending)
    }
}

/// Where an answer goes.
#[derive(Debug)]
pub(super) struct Http1Sink {
    talk: Rc<Talk>,
    begun: bool,
    /// Nothing comes behind what is there.
    last: bool,
    /// What is there leaves without the exchange.
    left_alone: bool,
    /// Its framing knows no body.
    bodyless: bool,
}

impl Http1Sink {
    pub(super) fn new(talk: &Rc<Talk>) -> Self {
        Self {
            talk: Rc::clone(talk),
            begun: false,
            last: false,
            left_alone: false,
            bodyless: false,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    pub(super) fn has_ended(&self) -> bool {
        self.left_alone || (self.last && self.talk.is_flushed())
    }

    /// A head alone waits for the first of its body, to leave with it.
    pub(super) fn is_pending(&self) -> bool {
        let waits = !self.talk.out.borrow().has_room() || self.talk.held.get();
        waits && self.holds()
    }

    pub(super) fn holds(&self) -> bool {
        !self.left_alone && !self.talk.is_flushed()
    }

    /// HTTP/1.0 knows none (9110 15.2), and HTTP/2 no change of protocol.
    pub(super) fn interim(&self, head: &Response<()>) {
        if self.talk.version == Version::Http11 && head.status() != 101 {
            write_lowered(
                head,
                (ResponseFraming::None, true, self.talk.version),
                self.talk.out.borrow_mut().open(Some(false)),
            );
        }
    }

    pub(super) fn head(&mut self, head: &Response<()>, last: bool) {
        let talk = &self.talk;
        let framing = lowered_framing(head, talk.is_head, talk.version, last);
        let until_close = framing == ResponseFraming::UntilClose;
        talk.until_close.set(until_close);
        let keep_alive = talk.settle(until_close);
        self.begun = true;
        self.last = last;
        self.bodyless = framing == ResponseFraming::None;
        let body = (!last).then_some(framing == ResponseFraming::Chunked);
        let mut out = talk.out.borrow_mut();
        let shape = (framing, keep_alive, talk.version);
        write_lowered(head, shape, out.open(body));
    }

    pub(super) fn data(&mut self, data: Bytes, last: bool) {
        let mut out = self.talk.out.borrow_mut();
        if !self.bodyless {
            out.give(data);
        }
        if last {
            self.last = true;
            out.finish(None);
        }
    }

    pub(super) fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.last = true;
        self.talk.out.borrow_mut().finish(trailers);
    }

    pub(super) fn answer(&mut self, answer: &Answer, is_head: bool, date: &[u8; 29]) -> usize {
        let talk = &self.talk;
        let keep_alive = talk.settle(answer.close);
        let canned = answer.canned(talk.version, keep_alive, is_head, date);
        let mut out = talk.out.borrow_mut();
        let head = out.open(None);
        let before = head.len();
        rules::write_canned(&canned, head);
        self.begun = true;
        self.left_alone = true;
        head.len() - before
    }

    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<usize, ClientLeft>> {
        if !self.holds() {
            return Poll::Ready(Ok(0));
        }
        self.talk.poll_write(cx).map_err(|_| ClientLeft)
    }

    /// A reset ends the exchange; a FIN behind a whole request does not.
    pub(super) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.talk.read.get() {
            return Poll::Pending;
        }
        let mut client = self.talk.shared.client.borrow_mut();
        match client.read_ahead(cx) {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }

    /// Nothing more can be told.
    pub(super) fn cut(&mut self) {
        self.left_alone = true;
        self.talk.cut.set(true);
        self.talk.keep_alive.set(false);
        self.talk.out.borrow_mut().discard();
        self.talk.held.set(false);
    }
}
