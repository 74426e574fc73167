//! TLS before anything else: with the client after the accept, with a server after
//! the connect. A session takes no buffer and no server while the client handshakes.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::Client;
use crate::net::HandshakeError;
use crate::tls::{Acceptor, Session, client_fields};

/// Handshakes with a client, until its session's deadline; `None` = there is nobody to
/// serve. What follows is to look at [`crate::net::Stream::is_h2`].
pub(crate) async fn accept(mut client: Client, acceptor: Arc<Acceptor>) -> Option<Client> {
    let outcome = handshake(&mut client, &acceptor).await;
    if outcome.is_ok() && acceptor.asks_clients() {
        let fields = |session: &Session| client_fields(session.peer_certificate());
        client.certificate = client.stream.with_session(fields);
    }
    drop(acceptor);
    let counters = &client.counters;
    let error = match outcome {
        Ok(()) => {
            counters.tls_handshakes.add(1);
            let resumed = client.stream.with_session(|session| session.is_resumed());
            counters.tls_resumed.add(u64::from(resumed == Some(true)));
            return Some(client);
        }
        Err(Failed::Ended) => return None,
        Err(Failed::Late) => "no whole handshake within timeouts.tls_handshake".to_owned(),
        // Who connects and leaves (a probe, a browser's spare connection) failed at nothing.
        Err(Failed::Left) => return None,
        Err(Failed::Handshake(error)) => error.to_string(),
    };
    counters.tls_failed.add(1);
    tracing::debug!(
        frontend = &*client.frontend.config.name,
        peer = %client.peer.address,
        error,
        "TLS handshake failed",
    );
    None
}

enum Failed {
    /// From outside: kill, stop.
    Ended,
    Late,
    Left,
    Handshake(HandshakeError),
}

async fn handshake(client: &mut Client, acceptor: &Acceptor) -> Result<(), Failed> {
    // Wakes of the slot come to this task until the next registers its own.
    poll_fn(|cx| {
        client.slot.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    let shard = std::rc::Rc::clone(client.shard());
    let mut place = pin!(shard.handshakes.acquire());
    let ended = |client: &Client| {
        let expired = client.slot.expired().then_some(Failed::Late);
        client.slot.killed().map(|_| Failed::Ended).or(expired)
    };
    let _place = poll_fn(|cx| match place.as_mut().poll(cx) {
        // Never closed.
        Poll::Ready(place) => Poll::Ready(place.map_err(|_| Failed::Ended)),
        Poll::Pending => match ended(client) {
            Some(failed) => Poll::Ready(Err(failed)),
            None => Poll::Pending,
        },
    })
    .await?;
    client.stream.secure(acceptor.accept());
    poll_fn(|cx| match client.stream.poll_handshake(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        Poll::Ready(Err(HandshakeError::Silent)) => Poll::Ready(Err(Failed::Left)),
        Poll::Ready(Err(error)) => Poll::Ready(Err(Failed::Handshake(error))),
        Poll::Pending => match ended(client) {
            Some(failed) => Poll::Ready(Err(failed)),
            None => Poll::Pending,
        },
    })
    .await
}
