//! HTTP/1.1 between one client and the servers, request by request.
//!
//! `read.rs` waits for a request and turns its head into an [`Exchange`];
//! `exchange.rs` runs it: connect, relay both directions, answer; `relay.rs`
//! is the inner state machine; `finish.rs` counts, pools and decides what
//! becomes of the client's connection. What goes to an HTTP/2 server is lifted out
//! of here into `http2/`, and its client comes back.

mod exchange;
mod finish;
mod read;
mod relay;

use super::Client;
use super::http2;
pub(crate) use exchange::Exchange;
pub(super) use finish::Next;
use read::Wanted;
pub(super) use relay::INTERIMS_MAX;

/// Serves one client until it leaves or is sent away, or turns out to speak HTTP/2.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn holds its argument twice: as it came, and as a variable"
)]
pub(crate) fn serve(mut client: Client) -> impl Future<Output = ()> {
    async move {
        client.slot.register_task().await;
        loop {
            let next = match read::next_request(&mut client).await {
                Wanted::Exchange(mut exchange) => {
                    exchange.run(&mut client).await;
                    exchange.finish(&mut client)
                }
                // Boxed: as below.
                Wanted::Lifted(lifted) => match Box::pin(http2::lift(client, lifted)).await {
                    Some((back, next)) => {
                        client = back;
                        next
                    }
                    None => return,
                },
                Wanted::Nothing => return client.stream.farewell(),
                // Boxed: it would widen every session.
                Wanted::Http2 => return Box::pin(http2::serve(client)).await,
            };
            match next {
                Next::Request => {}
                Next::Close => return client.stream.farewell(),
                Next::Reset => return client.stream.reset_on_close(),
                Next::Linger => return client.linger().await,
            }
        }
    }
}
