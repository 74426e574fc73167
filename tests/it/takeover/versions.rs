//! Hand-overs between versions: a newer process reads an older message, and what
//! nobody can read is refused in words.

use std::io::{BufRead as _, BufReader, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::{GET_CLOSE, Place, assert_refused, impostor, once};
use crate::support::{PATIENCE, RawClient};

/// Descriptors of one message.
const FDS_MAX: usize = 64;

/// Between a successor and a running process: makes the one a successor that reads
/// up to `version`, and passes on everything else, descriptors included.
pub(super) struct Relay {
    path: PathBuf,
    ends: Option<JoinHandle<()>>,
}

impl Relay {
    pub(super) fn start(place: &Place, version: u32) -> Self {
        let path = place.dir.path().join("relay.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let running = place.socket();
        let ends = thread::spawn(move || {
            let (mut successor, _) = listener.accept().unwrap();
            let mut asked = [0; 64];
            let length = successor.read(&mut asked).unwrap();
            assert_eq!(&asked[..length], b"takeover 1\n");
            let mut predecessor = UnixStream::connect(running).unwrap();
            writeln!(predecessor, "takeover {version}").unwrap();
            let (from, to) = (
                successor.try_clone().unwrap(),
                predecessor.try_clone().unwrap(),
            );
            let back = thread::spawn(move || pass(&from, &to));
            pass(&predecessor, &successor);
            back.join().unwrap();
        });
        Self {
            path,
            ends: Some(ends),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take()
            && !thread::panicking()
        {
            ends.join().expect("everything was passed on");
        }
    }
}

/// Until the end of one direction, which is the end of both.
fn pass(from: &UnixStream, to: &UnixStream) {
    loop {
        let mut bytes = [0; 4096];
        let (length, fds) = receive(from, &mut bytes);
        if length == 0 {
            for stream in [from, to] {
                let _ = stream.shutdown(Shutdown::Both);
            }
            return;
        }
        send(to, &bytes[..length], &fds);
    }
}

fn receive(from: &UnixStream, bytes: &mut [u8]) -> (usize, Vec<OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut target = [IoSliceMut::new(bytes)];
    let Ok(received) = recvmsg(from, &mut target, &mut ancillary, RecvFlags::CMSG_CLOEXEC) else {
        return (0, Vec::new());
    };
    let fds = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds.collect::<Vec<_>>()),
        _ => None,
    });
    (received.bytes, fds.flatten().collect())
}

fn send(to: &UnixStream, bytes: &[u8], fds: &[OwnedFd]) {
    let borrowed: Vec<_> = fds.iter().map(OwnedFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&borrowed));
    }
    // The other end may be gone: the other direction sees it.
    let _ = sendmsg(
        to,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    );
}

#[test]
fn the_oldest_message_is_enough_to_take_over() {
    let place = Place::new();
    let running = UnixListener::bind(place.socket()).unwrap();
    let listener = TcpListener::bind(place.addr).unwrap();
    let mut successor = place.successor();
    let (stream, _) = running.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut told = BufReader::new(stream.try_clone().unwrap());
    let mut line = || {
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(line(), "takeover 1\n");
    let message = format!(
        r#"{{"handover":1,"binds":[{{"frontend":"web","address":"{}","sockets":1}}]}}"#,
        place.addr
    );
    send(&stream, format!("{message}\n").as_bytes(), &[]);
    let waiting = RawClient::connect(place.addr);
    send(&stream, b"\0", &[OwnedFd::from(listener)]);
    assert_eq!(line(), "ready\n");
    (&stream).write_all(b"go\n").unwrap();
    assert_eq!(line(), "done\n");
    drop((stream, running));
    place.wait_succeeded(&mut successor);
    // Who waited in the queue of the socket that was handed over is served, too.
    let mut waiting = waiting;
    assert_eq!(waiting.send(GET_CLOSE).read_response().1, b"hello");
    once(place.addr).unwrap();
}

/// A running process that answers a successor with this line.
fn answered_with(place: &Place, line: &'static str) -> JoinHandle<String> {
    let listener = UnixListener::bind(place.socket()).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 64];
        let length = stream.read(&mut asked).unwrap();
        writeln!(stream, "{line}").unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    })
}

#[test]
fn unknown_versions_and_strangers_are_refused_in_words() {
    for (line, words) in [
        (
            r#"{"handover":2,"binds":{}}"#,
            "hand-over version 2, and this binary reads 1 to 1",
        ),
        (r#"{"handover":1,"refused":"not today"}"#, "not today"),
        ("Unknown command", "which is no hand-over"),
    ] {
        let place = Place::new();
        let predecessor = answered_with(&place, line);
        assert_refused(place.successor(), words);
        assert_eq!(predecessor.join().unwrap(), "takeover 1\n");
    }
    let place = Place::new();
    assert_refused(
        place.successor(),
        "is it the admin socket of a running rlb?",
    );
}

#[test]
fn a_newer_process_takes_over_from_an_older_one() {
    let place = Place::new();
    let _running = place.first();
    // One that reads versions up to 2 is answered in ours.
    let (_stream, line) = impostor(&place, 2);
    assert!(line.starts_with(r#"{"handover":1,"#), "{line}");
}
