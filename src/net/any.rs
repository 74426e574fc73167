//! A stream of whatever kind, for those who open few.

use tokio::io::{AsyncRead, AsyncWrite};

/// A TCP, Unix or TLS stream behind one type: what speaks HTTP over it is compiled
/// once and not for each kind (0.2 MiB of it). A call more for each read costs a
/// check nothing; traffic has [`super::Stream`].
pub(crate) type AnyStream = Box<dyn Duplex>;

/// What an [`AnyStream`] is made of.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for S {}
