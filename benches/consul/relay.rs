//! Stands between rlb and its agent, and knows when the last answer was whole.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Result;

/// It runs until the process ends.
pub(crate) struct Relay {
    addr: SocketAddr,
    origin: Instant,
    /// When the last byte of an answer was handed on, in microseconds since `origin`.
    last: Arc<AtomicU64>,
}

impl Relay {
    pub(crate) fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (addr, origin) = (listener.local_addr()?, Instant::now());
        let last = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&last);
        thread::spawn(move || {
            for ours in listener.incoming().flatten() {
                let told = Arc::clone(&told);
                // Ends with its connection, however that ends.
                thread::spawn(move || relay(ours, to, origin, &told));
            }
        });
        Ok(Self { addr, origin, last })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn last_answer(&self) -> Instant {
        self.origin + Duration::from_micros(self.last.load(Ordering::Relaxed))
    }
}

fn relay(ours: TcpStream, to: SocketAddr, origin: Instant, last: &AtomicU64) -> io::Result<()> {
    let theirs = TcpStream::connect(to)?;
    let (mut from_us, mut to_them) = (ours.try_clone()?, theirs.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_us, &mut to_them);
        let _ = to_them.shutdown(Shutdown::Both);
    });
    let (mut from_them, mut to_us) = (theirs, ours);
    let mut bytes = vec![0; 1 << 16];
    loop {
        let length = from_them.read(&mut bytes)?;
        if length == 0 {
            return to_us.shutdown(Shutdown::Both);
        }
        to_us.write_all(&bytes[..length])?;
        last.store(origin.elapsed().as_micros() as u64, Ordering::Relaxed);
    }
}
