//! The PROXY header: who the client is, said by whoever passed its connection on.
//! Before everything else, TLS too, and before anybody looks at the first bytes:
//! exactly the header is taken from the socket, what follows finds the rest.

use std::future::poll_fn;
use std::task::Poll;

use super::Client;
use super::account::Asker;
use super::end::{Cause, During, SessionEnd};
use super::record::{self, Way};
use crate::config::Mode;
use crate::log::Kind;
use crate::net::proxy_header::{BadHeader, HEADER_MAX, Said, read};

/// Reads the header, until the session's deadline; `None` = there is nobody to serve.
pub(crate) async fn announced(mut client: Client) -> Option<Client> {
    client.slot.register_task().await;
    let outcome = receive(&client).await;
    client.shard().clock.read();
    let failed = match outcome {
        Ok(Said::Ends(ends)) => {
            client.announce(ends);
            return Some(client);
        }
        Ok(Said::Nothing) => return Some(client),
        // Who connects and leaves (a probe) failed at nothing.
        Err(Failed::Ended | Failed::Left) => return None,
        Err(failed) => failed,
    };
    client.counters.request_errors.add(1);
    client.counters.proxy_headers_refused.add(1);
    tracing::debug!(
        frontend = &*client.frontend.config.name,
        peer = %client.peer.address,
        %failed,
        "no PROXY header",
    );
    log(&client, failed.end());
    None
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the session was ended")]
    Ended,
    #[error("the peer left without a word")]
    Left,
    #[error("the peer left amid the header")]
    Cut,
    #[error("not within timeouts.tls_handshake")]
    Late,
    #[error("{0}")]
    Bad(#[from] BadHeader),
}

impl Failed {
    fn end(&self) -> SessionEnd {
        let cause = match self {
            Self::Ended => Cause::Killed,
            Self::Left | Self::Cut => Cause::Client,
            Self::Late => Cause::ClientTimeout,
            Self::Bad(_) => Cause::Proxy,
        };
        SessionEnd::new(cause, During::Request)
    }
}

async fn receive(client: &Client) -> Result<Said, Failed> {
    let mut header = vec![0; HEADER_MAX];
    let mut len = 0;
    poll_fn(|cx| {
        loop {
            let left = if len == 0 { Failed::Left } else { Failed::Cut };
            let peeked = match client.stream.poll_peek(cx, &mut header[len..]) {
                Poll::Ready(Ok(n @ 1..)) => n,
                Poll::Ready(_) => return Poll::Ready(Err(left)),
                Poll::Pending if client.slot.killed().is_some() => {
                    return Poll::Ready(Err(Failed::Ended));
                }
                Poll::Pending if client.slot.expired() => return Poll::Ready(Err(Failed::Late)),
                Poll::Pending => return Poll::Pending,
            };
            let known = len + peeked;
            let said = read(&header[..known])?;
            // Half a header is taken, too: else a FIN behind it would never show.
            let end = said.map_or(known, |(_, end)| end);
            if client.stream.take(&mut header[len..end]).is_err() {
                return Poll::Ready(Err(Failed::Cut));
            }
            if let Some((said, _)) = said {
                return Poll::Ready(Ok(said));
            }
            len = end;
        }
    })
    .await
}

/// One that came to no request and no session, as far as the log can say it.
fn log(client: &Client, end: SessionEnd) {
    if client.shard().log.wants().is_none() {
        return;
    }
    let kind = match client.frontend.config.mode {
        Mode::Http => Kind::Http,
        Mode::Tcp => Kind::Tcp,
    };
    let facts = record::of_session(client, kind, end);
    record::write(&Asker::of(client), Way::Nowhere, facts, b"");
}
