//! Clients that would notice.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::GET_CLOSE;
use crate::support::{PATIENCE, wait_until};

/// Clients that connect anew for each request, as fast as they can.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
    since: Instant,
}

impl Load {
    pub(super) fn start(addr: SocketAddr, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicU64::new(0));
        let client = |_| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            thread::spawn(move || {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match once(addr) {
                        Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => failed.push(error),
                    }
                }
                failed
            })
        };
        Self {
            clients: (0..clients).map(client).collect(),
            stop,
            served,
            since: Instant::now(),
        }
    }

    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Waits until so many more were served: time passes by work done.
    pub(super) fn wait_more(&self, more: u64) {
        let goal = self.served() + more;
        wait_until(PATIENCE * 3, "clients are served", || self.served() >= goal);
    }

    /// Ends it; what failed, and how many were served in a second.
    pub(super) fn end(self) -> (Vec<String>, u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.clients.into_iter().flat_map(|c| c.join().unwrap());
        let failed = failed.collect();
        let served = self.served.load(Ordering::Relaxed);
        let rate = served * 1000 / (self.since.elapsed().as_millis() as u64).max(1);
        (failed, served, rate)
    }
}

pub(super) fn once(addr: SocketAddr) -> Result<(), String> {
    let mut stream =
        TcpStream::connect_timeout(&addr, PATIENCE).map_err(|e| format!("connect: {e}"))?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(|e| e.to_string())?;
    stream
        .write_all(GET_CLOSE.as_bytes())
        .map_err(|e| format!("write: {e}"))?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .map_err(|e| format!("read: {e}"))?;
    match answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"hello") {
        true => Ok(()),
        false => Err(format!("answer: {:?}", String::from_utf8_lossy(&answer))),
    }
}
