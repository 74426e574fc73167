//! Identities. Each is handed out once per process and never reused, so that a
//! stale one can be recognised and never means something else.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(u64);

        impl $name {
            /// The next unused identity of this process.
            pub(crate) fn next() -> Self {
                static NEXT: AtomicU64 = AtomicU64::new(1);
                Self(NEXT.fetch_add(1, Ordering::Relaxed))
            }
        }
    };
}

macro_rules! number {
    ($($name:ident),*) => {$(
        impl $name {
            /// As a number, for logs and the admin socket.
            pub(crate) const fn get(self) -> u64 {
                self.0
            }
        }
    )*};
}

identity!(
    /// A server as an operator means it: counters, admin state and overrides hang on it.
    ServerId
);
identity!(
    /// An address of a server: health and pooled connections hang on it.
    EndpointId
);
identity!(
    /// A backend.
    BackendId
);
identity!(
    /// A frontend. Sessions carry it, so it is never reused.
    FrontendId
);
identity!(
    /// A listening address of a frontend.
    BindId
);
identity!(
    /// One published generation.
    GenerationId
);
number!(ServerId, BindId, GenerationId);

/// Index of a worker, `0..workers`. The control thread counts as `workers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WorkerId(pub(crate) usize);
