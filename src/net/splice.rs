//! Pipes and splice(2): bytes from socket to socket without passing through us.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};

/// Bytes a pipe should hold. Pipes that cannot hold [`PIPE_SIZE_MIN`] are not used.
const PIPE_SIZE: usize = 256 << 10;
/// A user past his share of pipe pages gets pipes of 8 KiB: copying is cheaper.
const PIPE_SIZE_MIN: usize = 64 << 10;
/// Empty pipes a worker keeps for the next user.
const SPARE_MAX: usize = 16;

/// A pipe and how many bytes it holds. Never pooled unless empty.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    size: usize,
    held: Cell<usize>,
}

impl Pipe {
    /// Bytes inside. May be more than the nominal size: a large segment takes one slot.
    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// Moves at most `max` bytes from a socket into the empty pipe; 0 = the peer is done.
    ///
    /// # Errors
    /// `WouldBlock` means that the socket is empty, since the pipe is not full.
    pub(crate) fn fill(&self, from: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        debug_assert_eq!(self.held.get(), 0, "EAGAIN would be ambiguous");
        let moved = splice(from, None, &self.write, None, self.size.min(max), FLAGS)?;
        self.held.set(moved);
        Ok(moved)
    }

    /// Moves bytes from the pipe to a socket.
    ///
    /// # Errors
    /// `WouldBlock` means that the socket is full.
    pub(crate) fn drain(&self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let moved = splice(&self.read, None, to, None, self.held.get(), FLAGS)?;
        self.held.set(self.held.get() - moved);
        Ok(moved)
    }
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

/// A worker's pipes. `total` counts those of the process.
#[derive(Debug)]
pub(crate) struct Pipes {
    spare: RefCell<Vec<Pipe>>,
    total: Arc<AtomicUsize>,
    max: usize,
}

impl Pipes {
    /// At most `max` pipes in the process, counted in `total`.
    pub(crate) fn new(total: Arc<AtomicUsize>, max: usize) -> Self {
        Self {
            spare: RefCell::default(),
            total,
            max,
        }
    }

    /// An empty pipe; `None` = none to be had, copy instead.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if let Some(pipe) = self.spare.borrow_mut().pop() {
            return Some(pipe);
        }
        if self.total.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let pipe = make();
        if pipe.is_none() {
            self.total.fetch_sub(1, Ordering::Relaxed);
        }
        pipe
    }

    /// Gives a pipe back. One that still holds bytes is closed: they belong to somebody.
    pub(crate) fn give(&self, pipe: Pipe) {
        let mut spare = self.spare.borrow_mut();
        if pipe.held() == 0 && spare.len() < SPARE_MAX {
            spare.push(pipe);
        } else {
            self.total.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        self.total
            .fetch_sub(self.spare.get_mut().len(), Ordering::Relaxed);
    }
}

fn make() -> Option<Pipe> {
    let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
    // Refused past the user's share; the default size may still do.
    let _ = fcntl_setpipe_size(&write, PIPE_SIZE);
    let size = fcntl_getpipe_size(&write).ok()?;
    (size >= PIPE_SIZE_MIN).then_some(Pipe {
        read,
        write,
        size,
        held: Cell::new(0),
    })
}
