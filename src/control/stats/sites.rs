//! Where the page is: the listeners of `[stats]`, and a private socket for each
//! frontend that shows it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};

use super::door::{Door, Listener};
use super::gate::{Gate, HASHES_AT_ONCE};
use super::guests::Guests;
use super::live::Live;
use super::random_text;
use crate::config::{Bind, BindAddress, ForwardedFor, FrontendTls, Stats};
use crate::control::Control;
use crate::control::supervise::supervise;
use crate::generation::Desired;
use crate::net::{ListenError, listen};
use crate::tls::{Acceptor, Registry};

/// All of them.
#[derive(Debug)]
pub(crate) struct Sites {
    control: Weak<Control>,
    open: RefCell<Vec<Open>>,
    /// What closes, but still lets in who was on the way.
    leaving: RefCell<Vec<(Key, Weak<Door>)>>,
    /// What forms of our pages carry.
    pub(super) token: String,
    /// The names of the private sockets begin so.
    prefix: String,
    hashes: Arc<Semaphore>,
    guests: Rc<Guests>,
    /// Those who look and wait for what changes.
    pub(super) live: Live,
    /// The process we succeed listens there still.
    sharing: Cell<bool>,
}

/// What identifies a site.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Own(BindAddress),
    Frontend(Arc<str>),
}

/// A page in one place: who may see it, and how.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) page: Stats,
    pub(super) gate: Gate,
    /// Others than this machine reach it.
    pub(super) exposed: bool,
    /// The last address in X-Forwarded-For is the client's: a worker wrote it.
    pub(super) forwarded: bool,
    /// Everything here is the page's, and not a frontend's.
    pub(super) own: bool,
    /// Clients speak TLS, so.
    pub(super) tls: Option<Arc<Acceptor>>,
    /// Somebody came in with a password that everybody tries first.
    pub(super) weak: Cell<bool>,
}

#[derive(Debug)]
struct Open {
    key: Key,
    local: Option<SocketAddr>,
    site: Rc<RefCell<Rc<Site>>>,
    door: Rc<Door>,
    /// Dropped, it tells the door and its clients that it closes.
    _closing: watch::Sender<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.door.refuse_new();
    }
}

/// Sockets opened for a change that is not in force yet; dropped, they close.
#[derive(Debug, Default)]
pub(in crate::control) struct Fresh(Vec<(Key, OwnedFd)>);

/// At the end of the process, for answers under way: on a busy machine each takes its time.
const FAREWELL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

impl Sites {
    pub(crate) fn new(control: Weak<Control>) -> Self {
        Self {
            control,
            open: RefCell::default(),
            leaving: RefCell::default(),
            token: random_text(),
            // Nobody else knows the name before we have it; who connects is looked at too.
            prefix: format!("rlb-stats-{}-", random_text()),
            hashes: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            guests: Rc::default(),
            live: Live::default(),
            sharing: Cell::new(false),
        }
    }

    /// Until the predecessor has gone, its addresses are not ours alone.
    pub(crate) fn share(&self, sharing: bool) {
        self.sharing.set(sharing);
    }

    /// The name of a frontend's private socket, in the abstract namespace.
    pub(super) fn socket_of(&self, frontend: &str) -> String {
        format!("{}{frontend}", self.prefix)
    }

    /// Opens what `desired` asks for and is not open.
    ///
    /// # Errors
    /// The first that cannot be opened; those opened before are closed again.
    pub(crate) fn open(&self, desired: &Desired) -> Result<Fresh, ListenError> {
        let mut fresh = Fresh::default();
        for (key, _) in self.wanted(desired) {
            if self.open.borrow().iter().any(|open| open.key == key) {
                continue;
            }
            let (address, probe) = match &key {
                Key::Own(address) => {
                    let is_ours = self.sharing.get() || self.is_leaving(&key);
                    (address.clone(), !is_ours)
                }
                Key::Frontend(name) => (BindAddress::Abstract(self.socket_of(name)), false),
            };
            let bind = Bind {
                address,
                ..Bind::default()
            };
            if let Some(socket) = listen::open(&bind, 1, probe)?.pop() {
                fresh.0.push((key, socket));
            }
        }
        Ok(fresh)
    }

    /// Makes the sites those of `desired`: fresh sockets are served, what is left
    /// closes, what stays takes its new settings.
    /// Their certificates have been loaded.
    pub(crate) fn reconcile(&self, desired: &Desired, fresh: Fresh, registry: &Registry) {
        let wanted = self.wanted(desired);
        let mut fresh = fresh.0;
        let mut all = self.open.borrow_mut();
        self.close(&mut all, |open| {
            wanted.iter().any(|(key, _)| *key == open.key)
        });
        for (key, settings) in wanted {
            let served = if let Some(open) = all.iter().find(|open| open.key == key) {
                settings.put(&open.site, &self.hashes, registry)
            } else if let Some(index) = fresh.iter().position(|(fresh, _)| *fresh == key) {
                let (_, socket) = fresh.swap_remove(index);
                let opened = self.serve(key, &settings, socket, registry);
                opened.map(|open| all.push(open))
            } else {
                Ok(())
            };
            if let Err(error) = served {
                tracing::error!(%error, "cannot serve the stats page");
            }
        }
    }

    /// Where `[stats]` listens.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let open = self.open.borrow();
        open.iter().filter_map(|open| open.local).collect()
    }

    /// Lets go of the addresses of `[stats]`: a successor has them.
    pub(crate) fn close_own(&self) {
        let is_private = |open: &Open| matches!(open.key, Key::Frontend(_));
        self.close(&mut self.open.borrow_mut(), is_private);
    }

    /// Waits until the last who asked is answered, but not for long. Who has connected
    /// may still stand before a door that closes.
    pub(crate) async fn wait_for_guests(&self) {
        let is_shut = |(_, door): &(Key, Weak<Door>)| door.strong_count() == 0;
        let have_gone = || self.leaving.borrow().iter().all(is_shut) && self.guests.is_empty();
        let deadline = Instant::now() + FAREWELL;
        while !have_gone() && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }

    fn close(&self, all: &mut Vec<Open>, stays: impl Fn(&Open) -> bool) {
        let mut leaving = self.leaving.borrow_mut();
        leaving.retain(|(_, door)| door.strong_count() > 0);
        for open in all.extract_if(.., |open| !stays(open)) {
            leaving.push((open.key.clone(), Rc::downgrade(&open.door)));
        }
        // Those who look at it would do so for ever.
        self.live.hang_up();
    }

    /// A socket that is about to close has the address, and shares it.
    fn is_leaving(&self, key: &Key) -> bool {
        let leaving = self.leaving.borrow();
        let is_it = |(other, door): &(Key, Weak<Door>)| other == key && door.strong_count() > 0;
        leaving.iter().any(is_it)
    }

    fn serve(
        &self,
        key: Key,
        settings: &Place<'_>,
        socket: OwnedFd,
        registry: &Registry,
    ) -> io::Result<Open> {
        let local = socket2::SockRef::from(&socket).local_addr()?.as_socket();
        let site = Rc::new(RefCell::new(Rc::new(
            settings.site(&self.hashes, registry)?,
        )));
        let listener = match &key {
            Key::Own(_) => Listener::Tcp(TcpListener::from_std(socket.into())?),
            Key::Frontend(_) => Listener::Private(UnixListener::from_std(socket.into())?),
        };
        let (closing, closed) = watch::channel(());
        let door = Rc::new(Door {
            listener,
            site: Rc::clone(&site),
            control: Weak::clone(&self.control),
            guests: Rc::clone(&self.guests),
            closed,
        });
        let accepting = Rc::clone(&door);
        let accept = move || Rc::clone(&accepting).accept_until_closed();
        // It ends by itself, when `closing` does.
        drop(tokio::task::spawn_local(supervise("stats", accept)));
        Ok(Open {
            key,
            local,
            site,
            door,
            _closing: closing,
        })
    }

    fn wanted<'d>(&self, desired: &'d Desired) -> Vec<(Key, Place<'d>)> {
        let mut wanted = Vec::new();
        if let Some(server) = &desired.config.stats {
            for bind in &server.binds {
                let place = Place {
                    page: &server.page,
                    tls: server.tls.as_ref().filter(|_| bind.tls),
                    exposed: server.is_exposed(),
                    forwarded: false,
                    own: true,
                };
                wanted.push((Key::Own(bind.address.clone()), place));
            }
        }
        for frontend in desired.frontends.iter().map(|entrance| &entrance.config) {
            if let Some(page) = &frontend.stats {
                let place = Place {
                    page,
                    tls: None,
                    exposed: frontend.is_exposed(),
                    forwarded: frontend.forwarded.for_ != ForwardedFor::Off,
                    own: false,
                };
                wanted.push((Key::Frontend(Arc::clone(&frontend.name)), place));
            }
        }
        wanted
    }
}

/// A site as it is to be.
struct Place<'d> {
    page: &'d Stats,
    tls: Option<&'d FrontendTls>,
    exposed: bool,
    forwarded: bool,
    own: bool,
}

impl Place<'_> {
    fn site(&self, hashes: &Arc<Semaphore>, registry: &Registry) -> io::Result<Site> {
        let acceptor = |settings| {
            let missing = || io::Error::other("its certificates are not loaded");
            registry.acceptor(settings).ok_or_else(missing)
        };
        Ok(Site {
            page: self.page.clone(),
            gate: Gate::new(self.page, hashes),
            exposed: self.exposed,
            forwarded: self.forwarded,
            own: self.own,
            tls: self.tls.map(acceptor).transpose()?,
            weak: Cell::default(),
        })
    }

    /// One that stays as it was keeps its logins.
    ///
    /// # Errors
    /// As for [`Self::site`]: it stays as it was.
    fn put(
        &self,
        site: &RefCell<Rc<Site>>,
        hashes: &Arc<Semaphore>,
        registry: &Registry,
    ) -> io::Result<()> {
        let now = Rc::clone(&site.borrow());
        let is_same = now.page == *self.page
            && now.tls.as_ref().map(|acceptor| &acceptor.settings) == self.tls
            && (now.exposed, now.forwarded) == (self.exposed, self.forwarded);
        if !is_same {
            *site.borrow_mut() = Rc::new(self.site(hashes, registry)?);
        }
        Ok(())
    }
}
