//! A new binary takes the place of a running one, and no connection is lost.
//!
//! The successor connects to the admin socket of its predecessor. Lines, but for
//! the descriptors behind the second:
//!
//! ```text
//! successor:   takeover 1                        the newest hand-over it reads
//! predecessor: {"handover":1,"binds":[...],...}  knowledge; then the descriptors
//! successor:   ready 2 5                         accepts; has no use for binds 2 and 5
//! predecessor: go                                the admin sockets are yours
//! successor:   done
//! predecessor  closes its listeners and drains
//! ```
//!
//! Until `done` the predecessor serves as if nothing had happened: whatever goes
//! wrong, end of the stream or silence, it goes on. Both accept from the same
//! sockets meanwhile, so that nobody waits in a queue that is about to go.
//! A successor that fails says `failed` and a sentence where it would say `ready`
//! or `done`. Start at `message.rs`; `take.rs` is the successor, `give.rs` the
//! predecessor, `upgrade.rs` a predecessor that starts its successor itself.

mod counters;
mod give;
mod message;
mod program;
mod take;
mod upgrade;

pub(super) use give::{Shared, requested};
pub use program::Program;
pub(crate) use take::{Predecessor, Taken, TakeoverError};
pub(super) use upgrade::Outcomes;

use std::time::Duration;

/// Silence of the other side that ends it.
const SILENCE_MAX: Duration = Duration::from_secs(10);
