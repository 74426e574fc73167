//! One listener of the page: who is let in, and how it closes.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::answer::Client;
use super::connection;
use super::guests::Guests;
use super::sites::Site;
use crate::control::Control;
use crate::net::listen;

/// A listener, and what its clients are let in with.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) listener: Listener,
    pub(super) site: Rc<RefCell<Rc<Site>>>,
    pub(super) control: Weak<Control>,
    pub(super) guests: Rc<Guests>,
    /// Its sender goes when the door is to close.
    pub(super) closed: watch::Receiver<()>,
}

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Private(UnixListener),
}

/// Connections to one listener; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// After an accept that failed: no descriptors left, most likely.
const RETRY: Duration = Duration::from_millis(100);
/// Handshakes under way end within this.
const SETTLE: Duration = Duration::from_millis(10);

impl Door {
    /// Serves who comes until the door closes; who was let in is served on, and told
    /// to go with the answer.
    pub(super) async fn accept_until_closed(self: Rc<Self>) {
        let mut clients = JoinSet::new();
        let mut closed = self.closed.clone();
        loop {
            tokio::select! {
                Some(_) = clients.join_next() => {}
                // There is nothing to be told but the end.
                _ = closed.changed() => break,
                accepted = self.accept(), if clients.len() < CONNECTIONS_MAX => match accepted {
                    Ok(stream) => self.serve(stream, &mut clients),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept on the stats page");
                        sleep(RETRY).await;
                    }
                }
            }
        }
        self.accept_waiting(&mut clients).await;
        sleep(SETTLE).await;
        self.accept_waiting(&mut clients).await;
        clients.detach_all();
    }

    /// Nobody comes any more, but who waits is still let in.
    pub(super) fn refuse_new(&self) {
        if let Listener::Tcp(listener) = &self.listener
            && let Err(error) = listen::stop_new_connections(listener)
        {
            tracing::debug!(%error, "no filter on a closing listener");
        }
    }

    /// Closing would reset those that the kernel accepted for us.
    async fn accept_waiting(&self, clients: &mut JoinSet<()>) {
        while clients.len() < 2 * CONNECTIONS_MAX {
            let accepted = tokio::select! {
                biased;
                accepted = self.accept() => accepted,
                () = std::future::ready(()) => Err(ErrorKind::WouldBlock.into()),
            };
            match accepted {
                Ok(stream) => self.serve(stream, clients),
                Err(_) => return,
            }
        }
    }

    async fn accept(&self) -> io::Result<Stream> {
        Ok(match &self.listener {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Stream::Tcp(stream, peer.ip().to_canonical())
            }
            Listener::Private(listener) => Stream::Private(listener.accept().await?.0),
        })
    }

    fn serve(&self, stream: Stream, clients: &mut JoinSet<()>) {
        let tls = self.site.borrow().tls.clone();
        let client = |peer| Client {
            control: Weak::clone(&self.control),
            site: Rc::clone(&self.site),
            peer,
            secure: tls.is_some(),
            closed: self.closed.clone(),
        };
        match stream {
            Stream::Tcp(stream, peer) => {
                let Some(guest) = self.guests.admit(peer) else {
                    // Who speaks TLS would not understand it.
                    if tls.is_none() {
                        too_many(&stream);
                    }
                    return;
                };
                // A client that has gone already shows soon enough.
                let _ = stream.set_nodelay(true);
                let client = client(Some(peer));
                clients.spawn_local(async move {
                    match tls {
                        None => connection::serve(stream, client).await,
                        Some(tls) => connection::serve_tls(stream, tls.config(), client).await,
                    }
                    drop(guest);
                });
            }
            // Any process of this machine may connect; what a worker says of its
            // client is believed, and nobody else is heard.
            Stream::Private(stream) if is_own(&stream) => {
                clients.spawn_local(connection::serve(stream, client(None)));
            }
            Stream::Private(_) => {}
        }
    }
}

enum Stream {
    Tcp(TcpStream, IpAddr),
    Private(UnixStream),
}

/// One address has as many connections as it may have: it costs no more than this.
fn too_many(stream: &TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\n\
        Retry-After: 10\r\nConnection: close\r\nContent-Length: 51\r\n\r\n\
        your address has too many connections to this page\n";
    // Its socket is fresh and takes this at once, or the client learns less.
    let _ = stream.try_write(ANSWER);
}

fn is_own(stream: &UnixStream) -> bool {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let pid = stream.peer_cred().map(|peer| peer.pid());
    pid.is_ok_and(|pid| pid == Some(own))
}
