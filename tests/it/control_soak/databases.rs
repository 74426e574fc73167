//! Servers of the TCP backend that come and go; each has a session while it is there.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::file::{File, ask, obeys};
use crate::support::{Origin, PATIENCE, Rlb, connect, free_addr, temp_dir, wait_until};

/// Beside the one that stays.
#[derive(Debug)]
pub(super) struct Databases {
    spare: [Database; 2],
    added: usize,
}

#[derive(Debug)]
struct Database {
    origin: Origin,
    there: Option<There>,
}

#[derive(Debug)]
struct There {
    name: String,
    session: TcpStream,
}

/// Sessions in which one would go to a server that still takes part.
const SEVERAL: usize = 6;

impl Default for Databases {
    fn default() -> Self {
        let spare = std::array::from_fn(|_| Database {
            origin: echo(),
            there: None,
        });
        Self { spare, added: 0 }
    }
}

impl Databases {
    pub(super) fn are_all_there(&self) -> bool {
        self.spare.iter().all(|spare| spare.there.is_some())
    }

    pub(super) fn are_none_there(&self) -> bool {
        self.spare.iter().all(|spare| spare.there.is_none())
    }

    /// New sessions reach it.
    pub(super) fn add(&mut self, file: &File) {
        let free = self.spare.iter_mut().find(|spare| spare.there.is_none());
        let free = free.expect("it is possible");
        self.added += 1;
        let name = format!("e{}", self.added);
        let before = free.origin.connections();
        let command = format!("add server db/{name} {} up", free.origin.addr());
        file.obeys(&command, "New server registered.");
        let mut reached = None;
        wait_until(PATIENCE, "a new session reaches it", || {
            let session = echoed(connect(file.db_addr));
            let is_there = free.origin.connections() > before;
            reached = is_there.then_some(session);
            is_there
        });
        let session = reached.expect("waited for it");
        free.there = Some(There { name, session });
    }

    /// New sessions do not reach it, and the one it has goes on.
    pub(super) fn delete(&mut self, file: &File) {
        let there = self.spare.iter_mut().find(|spare| spare.there.is_some());
        let database = there.expect("it is possible");
        let there = database.there.take().expect("just looked");
        let command = format!("del server db/{} drain 10s", there.name);
        file.obeys(&command, "Server deleted.");
        let before = database.origin.connections();
        for _ in 0..SEVERAL {
            echoed(connect(file.db_addr));
        }
        assert_eq!(database.origin.connections(), before, "{command}");
        echoed(there.session);
    }
}

/// A server that sends back what it gets.
pub(super) fn echo() -> Origin {
    Origin::raw(|stream, _| {
        let (mut from, mut to) = (&stream, &stream);
        let _ = std::io::copy(&mut from, &mut to);
    })
}

/// The same session, when it has brought something there and back.
#[track_caller]
fn echoed(mut session: TcpStream) -> TcpStream {
    let mut byte = [0];
    session.write_all(b"x").expect("the session lives");
    session.read_exact(&mut byte).expect("the session lives");
    session
}

/// Servers are known by their names: one that leaves takes none of the sessions of
/// another at the same address with it, and does not stand in the way of new ones.
#[test]
fn of_two_servers_at_one_address_one_leaves_alone() {
    let (dir, addr, origin) = (temp_dir(), free_addr(), echo());
    let socket = dir.path().join("admin.sock");
    let text = format!(
        "[global]\nworkers = 2\nadmin = \"{}\"\n[[listen]]\nname = \"db\"\nmode = \"tcp\"\n\
         bind = \"{addr}\"\nserver = {{ name = \"t1\", address = \"{}\" }}\n",
        socket.display(),
        origin.addr()
    );
    let _rlb = Rlb::with(text).ready_on(addr).start();
    for round in 0..20 {
        let before: Vec<_> = (0..4).map(|_| echoed(connect(addr))).collect();
        let add = format!("add server db/twin{round} {} up", origin.addr());
        obeys(&socket, &add, "New server registered.");
        // Every other one is the twin's.
        let (mut twins, mut others) = (Vec::new(), Vec::new());
        while twins.len() < 4 {
            let reached = |name: &str| {
                let conn = ask(&socket, "show stat");
                let row = conn.lines().find(|l| l.starts_with(&format!("db,{name},")));
                row.map_or(0, |row| {
                    row.split(',').nth(4).unwrap().parse::<u32>().unwrap()
                })
            };
            let name = format!("twin{round}");
            let had = reached(&name);
            let session = echoed(connect(addr));
            match reached(&name) > had {
                true => twins.push(session),
                false => others.push(session),
            }
        }
        let del = format!("del server db/twin{round} drain 0s");
        obeys(&socket, &del, "Server deleted.");
        for mut session in twins {
            let mut byte = [0];
            assert!(!matches!(session.read(&mut byte), Ok(1..)), "it is cut");
        }
        for session in before.into_iter().chain(others) {
            echoed(session);
        }
        echoed(connect(addr));
    }
}
