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
/// A pipe that turns out too small costs six system calls; a user past his share
/// stays there for a while.
const REFUSALS: u32 = 1000;
/// Empty pipes a worker keeps for the next user.
const SPARE_MAX: usize = 16;

/// A pipe and how many bytes it holds. Never pooled unless empty.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    size: usize,
    held: Cell<usize>,
    _counted: Counted,
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
    /// So many wishes are refused before the system is asked again.
    refuse: Cell<u32>,
}

impl Pipes {
    /// At most `max` pipes in the process, counted in `total`.
    pub(crate) fn new(total: Arc<AtomicUsize>, max: usize) -> Self {
        Self {
            spare: RefCell::default(),
            total,
            max,
            refuse: Cell::new(0),
        }
    }

    /// An empty pipe; `None` = none to be had, copy instead.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if let Some(pipe) = self.spare.borrow_mut().pop() {
            return Some(pipe);
        }
        let refuse = self.refuse.get();
        if refuse > 0 {
            self.refuse.set(refuse - 1);
            return None;
        }
        let pipe = make(Counted::below(self.max, &self.total)?);
        if pipe.is_none() {
            self.refuse.set(REFUSALS);
        }
        pipe
    }

    /// Gives a pipe back. One that still holds bytes is closed: they belong to somebody.
    pub(crate) fn give(&self, pipe: Pipe) {
        let mut spare = self.spare.borrow_mut();
        if pipe.held() == 0 && spare.len() < SPARE_MAX {
            spare.push(pipe);
        }
    }
}

/// One of the pipes of the process. Gives its place back when dropped, so that a
/// session that ends in whatever way takes none with it.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn below(max: usize, total: &Arc<AtomicUsize>) -> Option<Self> {
        // Dropped at once if it is one too many.
        let counted = Self(Arc::clone(total));
        (total.fetch_add(1, Ordering::Relaxed) < max).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn make(counted: Counted) -> Option<Pipe> {
    let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
    // Refused past the user's share; the default size may still do.
    let _ = fcntl_setpipe_size(&write, PIPE_SIZE);
    let size = fcntl_getpipe_size(&write).ok()?;
    (size >= PIPE_SIZE_MIN).then_some(Pipe {
        read,
        write,
        size,
        held: Cell::new(0),
        _counted: counted,
    })
}
