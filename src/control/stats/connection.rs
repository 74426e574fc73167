//! One client of the page. It may be slow, or silent: it costs its own connection
//! and nothing else, and not for long.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::answer::{self, Client};

/// From one request to the end of the next one's head; browsers keep connections open.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// A client that takes nothing for so long is cut: its answer is in memory.
const STALL_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_secs(1);
/// A head, and what is read of a body at once.
const BUFFER: usize = 64 << 10;

/// Serves a connection to its end, which is near once `closing` is true: after the
/// answer to the first request, or at once where one had its answer. At its end the
/// connection is cut.
pub(super) async fn serve<S>(stream: S, client: Client, closing: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = Rc::new(client);
    let answer = move |request| {
        let client = Rc::clone(&client);
        async move { answer::answer(&client, request).await }
    };
    serve_by(stream, answer, closing).await;
}

async fn serve_by<S, A, F, B>(stream: S, answer: A, mut closing: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Error: std::error::Error + Send + Sync> + 'static,
{
    let stalled = Rc::new(Cell::new(None));
    let watched = Watched {
        stream,
        stalled: Rc::clone(&stalled),
    };
    let asked = Notify::new();
    let told = closing.clone();
    let service = service_fn(|request| {
        asked.notify_one();
        let (answered, told) = (answer(request), told.clone());
        async move {
            let mut response = answered.await;
            if *told.borrow() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(connection);
    let mut stalled = pin!(until_stalled(&stalled));
    loop {
        let is_closing = *closing.borrow();
        tokio::select! {
            // Whatever went wrong with it, it has gone.
            _ = connection.as_mut() => return,
            () = stalled.as_mut() => return,
            told = closing.changed() => if told.is_err() {
                return;
            },
            // Before a request hyper would close at once, with one on its way.
            () = asked.notified(), if is_closing => connection.as_mut().graceful_shutdown(),
        }
    }
}

async fn until_stalled(since: &Cell<Option<Instant>>) {
    while since.get().is_none_or(|since| since.elapsed() < STALL_MAX) {
        sleep(LOOK).await;
    }
}

/// A stream, and since when it takes nothing.
struct Watched<S> {
    stream: S,
    stalled: Rc<Cell<Option<Instant>>>,
}

impl<S> Watched<S> {
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
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

    #[tokio::test]
    async fn who_has_connected_before_it_closes_is_answered_once() {
        let (near, mut far) = tokio::io::duplex(1024);
        let (close, closing) = watch::channel(false);
        let answer = |_| async { Response::new(String::from("here")) };
        let client = async {
            // It has connected and said nothing yet.
            tokio::task::yield_now().await;
            close.send_replace(true);
            tokio::task::yield_now().await;
            far.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            far.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let ((), answer) = tokio::join!(serve_by(near, answer, closing), client);
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.ends_with("here"), "{answer}");
    }

    #[tokio::test]
    async fn who_had_an_answer_is_let_go_when_it_closes_and_all_are_cut_at_its_end() {
        for had_an_answer in [true, false] {
            let (near, mut far) = tokio::io::duplex(1024);
            let (close, closing) = watch::channel(false);
            let answer = |_| async { Response::new(String::from("here")) };
            let client = async {
                if had_an_answer {
                    far.write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
                        .await
                        .unwrap();
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        far.read_buf(&mut head).await.unwrap();
                    }
                    close.send_replace(true);
                } else {
                    drop(close);
                }
                let mut rest = Vec::new();
                far.read_to_end(&mut rest).await.unwrap();
                assert_eq!(rest, b"");
            };
            tokio::join!(serve_by(near, answer, closing), client);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_noticed_and_who_takes_slowly_is_not() {
        let (near, mut far) = tokio::io::duplex(10);
        let stalled = Rc::new(Cell::new(None));
        let mut watched = Watched {
            stream: near,
            stalled: Rc::clone(&stalled),
        };
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
