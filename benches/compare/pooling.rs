//! The floor of a new connection for each request: accepted, read, relayed over an origin
//! connection that is kept, answered, closed.
//!
//! Nothing is parsed: what one read gives is taken for a whole request or answer. Since
//! `Connection` differs on the two sides, texts of the right length go on instead.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};

use crate::Result;
use crate::peer::local;

struct Pool {
    poll: OwnedFd,
    origins: Vec<SocketAddr>,
    /// The number of each is its token.
    connections: Vec<Connection>,
    idle: Vec<usize>,
    /// Accepted before their bytes were there; the descriptor is the token.
    silent: Vec<Option<OwnedFd>>,
    buffer: Vec<u8>,
}

/// To an origin.
struct Connection {
    stream: TcpStream,
    /// Whose request is under way on it.
    client: Option<OwnedFd>,
}

/// Serves this port until something breaks.
pub(crate) fn run(port: u16, origins: &[u16]) -> Result<()> {
    let listener = TcpListener::bind(local(port))?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut pool = Pool {
        poll,
        origins: origins.iter().map(|port| local(*port)).collect(),
        connections: Vec::new(),
        idle: Vec::new(),
        silent: Vec::new(),
        buffer: vec![0; 64 * 1024],
    };
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(
            &pool.poll,
            rustix::buffer::spare_capacity(&mut events),
            None,
        )?;
        for event in &events {
            match event.data.u64() {
                LISTENER => pool.accept(&listener)?,
                token if token >= SILENT => pool.spoken((token - SILENT) as usize)?,
                token => pool.answered(token as usize)?,
            }
        }
    }
}

impl Pool {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok(client) = accept_with(listener, flags) {
            self.request(client)?;
        }
        Ok(())
    }

    fn request(&mut self, client: OwnedFd) -> Result<()> {
        match recv(&client, &mut self.buffer[..], RecvFlags::empty()) {
            Ok((1.., _)) => {}
            Err(Errno::AGAIN) => return self.wait_for(client),
            _ => return Ok(()),
        }
        let index = match self.idle.pop() {
            Some(index) => index,
            None => self.connect()?,
        };
        let connection = &mut self.connections[index];
        send(&connection.stream, REQUEST, SendFlags::NOSIGNAL)?;
        connection.client = Some(client);
        Ok(())
    }

    fn wait_for(&mut self, client: OwnedFd) -> Result<()> {
        let index = self.silent.iter().position(Option::is_none);
        let index = index.unwrap_or_else(|| {
            self.silent.push(None);
            self.silent.len() - 1
        });
        let token = EventData::new_u64(SILENT + index as u64);
        epoll::add(
            &self.poll,
            &client,
            token,
            EventFlags::IN | EventFlags::ONESHOT,
        )?;
        self.silent[index] = Some(client);
        Ok(())
    }

    fn spoken(&mut self, index: usize) -> Result<()> {
        match self.silent[index].take() {
            Some(client) => self.request(client),
            None => Ok(()),
        }
    }

    fn answered(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        match recv(&connection.stream, &mut self.buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => return Err("an origin closed a connection".into()),
            Ok(_) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if let Some(client) = connection.client.take() {
            // With its FIN in the same segment. Who left meanwhile needs no answer.
            let last = SendFlags::NOSIGNAL | SendFlags::MORE;
            let _ = send(&client, ANSWER, last);
            self.idle.push(index);
        }
        Ok(())
    }

    /// Once for each request that is under way at the same time: it may block.
    fn connect(&mut self) -> Result<usize> {
        let index = self.connections.len();
        let stream = TcpStream::connect(self.origins[index % self.origins.len()])?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let interest = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(
            &self.poll,
            &stream,
            EventData::new_u64(index as u64),
            interest,
        )?;
        self.connections.push(Connection {
            stream,
            client: None,
        });
        Ok(index)
    }
}

/// As wrk's, but for the line that asks for the close.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:21000\r\n\r\n";
/// As the origin's.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n\
    Content-Length: 22\r\nConnection: close\r\n\r\nhello from the origin\n";

const LISTENER: u64 = u64::MAX;
/// Tokens from here on are of clients that have not spoken yet.
const SILENT: u64 = 1 << 32;
