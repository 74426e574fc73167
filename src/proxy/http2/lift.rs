//! A request of an HTTP/1 client for an HTTP/2 server.

use std::rc::Rc;

use super::connection::Shared;
use super::ends::{Sink, Source};
use super::exchange::Exchange;
use super::from_http1::{Http1Sink, Http1Source, Talk};
use super::request::Begun;
use crate::http::{Framing, RequestHead, Version};
use crate::proxy::Client;
use crate::proxy::choose::Target;
use crate::proxy::http1::Next;
use crate::proxy::upstream::Use;

/// The request, with a server chosen, or to be waited for. Its body stands ahead in its client.
#[derive(Debug)]
pub(crate) struct Lifted {
    begun: Begun,
    framing: Framing,
    version: Version,
    is_head: bool,
    keep_alive: bool,
}

impl Lifted {
    pub(crate) fn new(
        client: &Client,
        mut head: RequestHead<'_, '_>,
        target: Target,
        server: Option<Use>,
    ) -> Box<Self> {
        // HTTP/2 knows no Upgrade (9113 8.6); a server may ignore it (9110 7.8).
        head.upgrade = None;
        Box::new(Self {
            framing: head.framing,
            version: head.version,
            is_head: head.asked().head,
            keep_alive: head.keep_alive,
            begun: Begun::new(client, &head, target, server),
        })
    }
}

/// Runs it; the client comes back with what becomes of its connection. `None` = it
/// is gone.
pub(crate) async fn lift(client: Client, lifted: Box<Lifted>) -> Option<(Client, Next)> {
    // A client that leaves is to be noticed while its server thinks.
    client.stream.watch();
    let limit = client.frontend.config.limits.body;
    let shared = Rc::new(Shared::of(client));
    let talk = Talk::new(&shared, lifted.version, lifted.is_head, lifted.keep_alive);
    let source = Source::Http1(Http1Source::new(&talk, lifted.framing, limit));
    let sink = Sink::Http1(Box::new(Http1Sink::new(&talk)));
    let mut exchange = {
        let client = shared.client.borrow();
        let mut exchange = Box::new(Exchange::new(&shared, &client, source, sink));
        exchange.began(client.began_us);
        exchange
    };
    exchange.resume(lifted.begun);
    exchange.run().await;
    let next = talk.finish().await;
    drop(talk);
    let client = Rc::into_inner(shared)?.client.into_inner();
    client.slot.set_server(None);
    let next = match next {
        // Requests sent ahead: closing on them would reset, and eat, the answer.
        Next::Close if client.has_unread(!lifted.keep_alive) => Next::Linger,
        next => next,
    };
    Some((client, next))
}
