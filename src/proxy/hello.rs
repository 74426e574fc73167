//! What a client asks for in its ClientHello, before TCP mode picks a backend.
//!
//! The bytes are read, not peeked at: the tunnel takes what was read ahead of it
//! anyway, while MSG_PEEK would leave the socket readable and so wake us again and
//! again as long as half a hello lies there. Whatever read before us (a PROXY header)
//! leaves what it read too much in `client.ahead`.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::Client;
use super::connect::killed;
use super::end::{Cause, During, SessionEnd};
use crate::tls::Scan;

/// Waits for the whole ClientHello, within the frontend's `timeouts.client_hello`.
/// `None` = it will not come: something else is spoken, the time or the room for it is
/// over, the client sends no more. As with HAProxy's inspect-delay, that is no error:
/// what did come lies in `client.ahead`, as it does otherwise.
///
/// # Errors
/// The client or the operator ended the session (`CR`, `K-`).
pub(super) async fn hear(client: &mut Client) -> Result<Option<Scan>, SessionEnd> {
    client
        .slot
        .arm(client.frontend.config.timeouts.client_hello);
    let shard = Rc::clone(client.shard());
    let mut scan = Scan::default();
    poll_fn(|cx| {
        loop {
            if let Some(kill) = client.slot.killed() {
                return Poll::Ready(Err(killed(kill, During::Nothing)));
            }
            if let Some(ahead) = &client.ahead {
                match scan.is_whole(ahead.bytes()) {
                    Ok(true) => return Poll::Ready(Ok(Some(scan))),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::debug!(peer = %client.peer.address, %error, "no ClientHello");
                        return Poll::Ready(Ok(None));
                    }
                }
            }
            let buffers = &shard.buffers;
            match buffers.poll_fill(&mut client.ahead, &mut client.stream, cx) {
                Poll::Ready(Ok(0)) => {
                    client.fin = true;
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => {
                    let end = SessionEnd::new(Cause::Client, During::Request);
                    return Poll::Ready(Err(end));
                }
                Poll::Pending if client.slot.expired() => return Poll::Ready(Ok(None)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
