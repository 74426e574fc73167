//! HTTP/1.1 between one client and the servers, request by request.
//!
//! `read.rs` waits for a request and turns its head into an [`Exchange`];
//! `exchange.rs` runs it: connect, relay both directions, answer; `relay.rs`
//! is the inner state machine; `finish.rs` counts, pools and decides what
//! becomes of the client's connection.

mod exchange;
mod finish;
mod read;
mod relay;

use std::future::poll_fn;
use std::task::Poll;

use super::Client;
use super::buffers::REQUEST;
pub(crate) use exchange::Exchange;
use finish::Next;

use std::time::Duration;

/// Serves one client until it leaves or is sent away.
pub(crate) async fn serve(mut client: Client) {
    poll_fn(|cx| {
        client.slot.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    while let Some(mut exchange) = read::next_request(&mut client).await {
        exchange.run(&mut client).await;
        match exchange.finish(&mut client) {
            Next::Request => {}
            Next::Close => return client.stream.farewell(),
            Next::Reset => return client.stream.reset_on_close(),
            Next::Linger => return linger(&mut client).await,
        }
    }
    client.stream.farewell();
}

/// Closes after an answer to a request that was not read to its end: closing
/// at once would make the kernel send a reset, which eats the answer on its way
/// (RFC 9112 9.6).
async fn linger(client: &mut Client) {
    client.stream.shutdown_write();
    client.slot.arm(LINGER);
    let mut left = LINGER_MAX;
    poll_fn(|cx| {
        let shard = client.slot.shard();
        while left > 0 {
            let mut buf = shard.buffers.take(REQUEST);
            let read = client.stream.poll_read(cx, buf.room());
            shard.buffers.give(buf);
            match read {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(n)) => left = left.saturating_sub(n),
                Poll::Pending if client.slot.expired() || client.slot.killed().is_some() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
}

/// nginx waits 5 s; a client that has not stopped by now will not.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes thrown away at most.
const LINGER_MAX: usize = 256 << 10;
