//! The floor: one epoll loop, each client tied to one origin connection, nothing parsed.
//!
//! `__relay COPY SPLICE POOL ORIGIN...` listens on three ports. Behind the first bytes are
//! copied (recv, send); behind the second the origin's bytes are spliced. Sockets are
//! registered once and edge-triggered, so a request costs four data calls and its waits.
//! Behind the third is `pooling.rs`, a loop and a thread of its own.

use std::ffi::OsString;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::Result;
use crate::peer::local;
use crate::pooling;

/// The word that makes the bench a relay.
pub(crate) const RELAY: &str = "__relay";

struct Relay {
    poll: OwnedFd,
    origins: Vec<SocketAddr>,
    next_origin: usize,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

/// A client and its origin connection.
struct Pair {
    client: TcpStream,
    origin: TcpStream,
    up: Flow,
    down: Flow,
}

/// One direction.
struct Flow {
    carrier: Carrier,
    /// The source may have bytes: an edge was seen and not yet used up.
    readable: bool,
    /// The source's FIN was announced: a short read does not mean drained.
    fin_announced: bool,
    ended: bool,
    shut: bool,
}

/// How a direction's bytes travel, with those that the target did not take yet.
enum Carrier {
    Copy {
        pending: Vec<u8>,
    },
    Splice {
        read: OwnedFd,
        write: OwnedFd,
        held: usize,
    },
}

pub(crate) fn run(argv: impl Iterator<Item = OsString>) -> Result<()> {
    let ports = argv
        .map(|word| word.to_string_lossy().parse())
        .collect::<std::result::Result<Vec<u16>, _>>()?;
    let [copy, splicing, pool, origins @ ..] = ports.as_slice() else {
        return Err("__relay COPY SPLICE POOL ORIGIN...".into());
    };
    let (pool, pooled) = (*pool, origins.to_vec());
    std::thread::spawn(move || {
        if let Err(error) = pooling::run(pool, &pooled) {
            eprintln!("relay with a pool: {error}");
        }
    });
    let listeners = [
        TcpListener::bind(local(*copy))?,
        TcpListener::bind(local(*splicing))?,
    ];
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (listener, token) in listeners.iter().zip([COPY_LISTENER, SPLICE_LISTENER]) {
        listener.set_nonblocking(true)?;
        epoll::add(&poll, listener, EventData::new_u64(token), EventFlags::IN)?;
    }
    let mut relay = Relay {
        poll,
        origins: origins.iter().map(|port| local(*port)).collect(),
        next_origin: 0,
        pairs: Vec::new(),
        free: Vec::new(),
        buffer: vec![0; 64 * 1024],
    };
    let mut events = Vec::with_capacity(256);
    let mut closed = Vec::new();
    loop {
        events.clear();
        epoll::wait(
            &relay.poll,
            rustix::buffer::spare_capacity(&mut events),
            None,
        )?;
        for event in &events {
            match event.data.u64() {
                COPY_LISTENER => relay.accept(&listeners[0], false)?,
                SPLICE_LISTENER => relay.accept(&listeners[1], true)?,
                token => closed.extend(relay.advance(token, event.flags)),
            }
        }
        // Only now: a later event of the same batch may still name a closed pair.
        relay.free.append(&mut closed);
    }
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, splicing: bool) -> Result<()> {
        while let Ok((client, _)) = listener.accept() {
            client.set_nonblocking(true)?;
            client.set_nodelay(true)?;
            let origin = connect(self.origins[self.next_origin % self.origins.len()])?;
            self.next_origin += 1;
            let index = self.free.pop().unwrap_or_else(|| {
                self.pairs.push(None);
                self.pairs.len() - 1
            });
            let token = 2 * index as u64;
            let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&self.poll, &client, EventData::new_u64(token), interest)?;
            epoll::add(&self.poll, &origin, EventData::new_u64(token + 1), interest)?;
            let down = if splicing {
                Flow::splicing()?
            } else {
                Flow::copying()
            };
            self.pairs[index] = Some(Pair {
                client,
                origin,
                up: Flow::copying(),
                down,
            });
        }
        Ok(())
    }

    /// Moves what an event allows to move; the pair's index if that was its end.
    fn advance(&mut self, token: u64, flags: EventFlags) -> Option<usize> {
        let index = (token / 2) as usize;
        let pair = self.pairs.get_mut(index)?.as_mut()?;
        let from_client = token.is_multiple_of(2);
        let (source, sink) = if from_client {
            (&mut pair.up, &mut pair.down)
        } else {
            (&mut pair.down, &mut pair.up)
        };
        let fin = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        source.readable |= fin || flags.contains(EventFlags::IN);
        source.fin_announced |= fin;
        let writable = flags.contains(EventFlags::OUT) && sink.is_blocked();
        let (client, origin) = (&pair.client, &pair.origin);
        let mut moved = Ok(());
        if from_client || writable {
            moved = moved.and_then(|()| pair.up.pump(client, origin, &mut self.buffer));
        }
        if !from_client || writable {
            moved = moved.and_then(|()| pair.down.pump(origin, client, &mut self.buffer));
        }
        if moved.is_err() || (pair.up.shut && pair.down.shut) {
            self.pairs[index] = None;
            return Some(index);
        }
        None
    }
}

impl Flow {
    fn copying() -> Self {
        Self::over(Carrier::Copy {
            pending: Vec::new(),
        })
    }

    fn splicing() -> Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // Not allowed beyond the user's share of pipe memory: the default then serves.
        let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self::over(Carrier::Splice {
            read,
            write,
            held: 0,
        }))
    }

    fn over(carrier: Carrier) -> Self {
        Self {
            carrier,
            readable: false,
            fin_announced: false,
            ended: false,
            shut: false,
        }
    }

    fn is_blocked(&self) -> bool {
        match &self.carrier {
            Carrier::Copy { pending } => !pending.is_empty(),
            Carrier::Splice { held, .. } => *held > 0,
        }
    }

    /// Moves bytes until the source is drained or the target is full.
    fn pump(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        buffer: &mut [u8],
    ) -> rustix::io::Result<()> {
        loop {
            if !self.carrier.flush(to)? {
                return Ok(());
            }
            if self.ended {
                if !self.shut {
                    let _ = to.shutdown(Shutdown::Write);
                    self.shut = true;
                }
                return Ok(());
            }
            if !self.readable {
                return Ok(());
            }
            match self.carrier.fill(from, to, buffer) {
                Ok(0) => self.ended = true,
                // A short copy has drained the source: no second call that only says EAGAIN.
                Ok(n) => self.readable = self.fin_announced || n >= self.carrier.full_read(buffer),
                Err(Errno::AGAIN) => self.readable = false,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Carrier {
    /// Sends what is held; false if the target is full.
    fn flush(&mut self, to: &TcpStream) -> rustix::io::Result<bool> {
        match self {
            Self::Copy { pending } => {
                while !pending.is_empty() {
                    match send(to, pending, SendFlags::NOSIGNAL) {
                        Ok(n) => drop(pending.drain(..n)),
                        Err(Errno::AGAIN) => return Ok(false),
                        Err(error) => return Err(error),
                    }
                }
            }
            Self::Splice { read, held, .. } => {
                while *held > 0 {
                    match splice(&*read, None, to, None, *held, SPLICE) {
                        Ok(n) => *held -= n,
                        Err(Errno::AGAIN) => return Ok(false),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(true)
    }

    /// Takes bytes from the source, nothing being held; a copy is sent on at once.
    fn fill(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        buffer: &mut [u8],
    ) -> rustix::io::Result<usize> {
        match self {
            Self::Copy { pending } => {
                let (n, _) = recv(from, &mut *buffer, RecvFlags::empty())?;
                let sent = if n == 0 {
                    Ok(0)
                } else {
                    send(to, &buffer[..n], SendFlags::NOSIGNAL)
                };
                let sent = match sent {
                    Err(Errno::AGAIN) => 0,
                    other => other?,
                };
                pending.extend_from_slice(&buffer[sent..n]);
                Ok(n)
            }
            // The pipe is empty, so EAGAIN can only mean that the source is.
            Self::Splice { write, held, .. } => {
                *held = splice(from, None, &*write, None, PIPE_BYTES, SPLICE)?;
                Ok(*held)
            }
        }
    }

    /// A read of this length may have left something behind.
    fn full_read(&self, buffer: &[u8]) -> usize {
        match self {
            Self::Copy { .. } => buffer.len(),
            // A pipe counts slots, not bytes: any length may have filled it.
            Self::Splice { .. } => 1,
        }
    }
}

fn connect(origin: SocketAddr) -> Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &origin) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

const COPY_LISTENER: u64 = u64::MAX;
const SPLICE_LISTENER: u64 = u64::MAX - 1;
const PIPE_BYTES: usize = 256 * 1024;
const SPLICE: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);
