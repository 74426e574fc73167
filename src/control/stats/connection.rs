//! One client of the page. It may be slow, or silent: it costs its own connection
//! and nothing else, and not for long.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::answer::{self, Client};

/// From one request to the end of the next one's head; browsers keep connections open.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// As timeouts.tls_handshake by default: nobody's handshake takes longer.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A client that takes nothing for so long is cut: its answer is in memory.
const STALL_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_secs(1);
/// When the listener closes: for the request of one who has only just come.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// When the listener closes: for the answer under way.
const FAREWELL: Duration = Duration::from_secs(5);
/// A head, and what is read of a body at once.
const BUFFER: usize = 64 << 10;

/// Serves a connection to its end; once its place closes, only what was asked already.
pub(super) async fn serve<S>(stream: S, client: Client)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (stalled, heard) = (Rc::default(), Rc::default());
    let watched = Watched::new(stream, &stalled, Some(&heard));
    talk(watched, client, &stalled, &heard).await;
}

/// The same over TLS, once its handshake is done. Whether the client takes what it is
/// sent is seen below TLS, which has a buffer; whether it has asked, above.
pub(super) async fn serve_tls<S>(stream: S, config: Arc<ServerConfig>, client: Client)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (stalled, heard) = (Rc::default(), Rc::default());
    let watched = Watched::new(stream, &stalled, None);
    let shaking = TlsAcceptor::from(config).accept(watched);
    match timeout(HANDSHAKE_MAX, shaking).await {
        Ok(Ok(stream)) => {
            let watched = Watched::new(stream, &Rc::default(), Some(&heard));
            talk(watched, client, &stalled, &heard).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake with the stats page failed"),
        Err(_) => tracing::debug!("TLS handshake with the stats page took too long"),
    }
}

async fn talk<S>(stream: S, client: Client, stalled: &Cell<Option<Instant>>, heard: &Notify)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut closed = client.closed.clone();
    let client = Rc::new(client);
    let service = service_fn(move |request| {
        let client = Rc::clone(&client);
        async move { Ok::<_, Infallible>(answer::answer(&client, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // Whatever went wrong with it, it has gone.
        _ = connection.as_mut() => return,
        () = until_stalled(stalled) => return,
        _ = closed.changed() => {}
    }
    let farewell = async {
        // Told to end before it has read anything, hyper would read nothing.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = heard.notified() => {}
            () = sleep(FIRST_WORD) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    };
    // Who is late then is cut, as one who takes nothing is.
    let _ = timeout(FAREWELL, farewell).await;
}

async fn until_stalled(since: &Cell<Option<Instant>>) {
    while since.get().is_none_or(|since| since.elapsed() < STALL_MAX) {
        sleep(LOOK).await;
    }
}

/// A stream, since when it takes nothing, and who waits for its first byte.
struct Watched<S> {
    stream: S,
    stalled: Rc<Cell<Option<Instant>>>,
    heard: Option<Rc<Notify>>,
}

impl<S> Watched<S> {
    fn new(stream: S, stalled: &Rc<Cell<Option<Instant>>>, heard: Option<&Rc<Notify>>) -> Self {
        Self {
            stream,
            stalled: Rc::clone(stalled),
            heard: heard.map(Rc::clone),
        }
    }

    fn note<T>(&self, polled: &Poll<T>) {
        match polled {
            Poll::Ready(_) => self.stalled.set(None),
            Poll::Pending if self.stalled.get().is_none() => {
                self.stalled.set(Some(Instant::now()));
            }
            Poll::Pending => {}
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready()
            && let Some(heard) = self.heard.take()
        {
            heard.notify_one();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(&polled);
        let written = ready!(polled)?;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_noticed_and_who_takes_slowly_is_not() {
        let (near, mut far) = tokio::io::duplex(10);
        let stalled = Rc::new(Cell::new(None));
        let mut watched = Watched::new(near, &stalled, None);
        let slow = async {
            let mut buffer = [0; 10];
            for _ in 0..3 {
                sleep(STALL_MAX / 2).await;
                far.read_exact(&mut buffer).await.unwrap();
            }
        };
        let writing = async {
            let _ = watched.write_all(&[0; 100]).await;
        };
        tokio::select! {
            () = until_stalled(&stalled) => panic!("it took some"),
            () = writing => panic!("nobody took all"),
            () = slow => {}
        }
        let before = Instant::now();
        let writing = async {
            let _ = watched.write_all(&[0; 100]).await;
        };
        tokio::select! {
            () = until_stalled(&stalled) => {}
            () = writing => panic!("nobody took it"),
        }
        assert!(before.elapsed() <= STALL_MAX + 2 * LOOK);
    }
}
