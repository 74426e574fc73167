//! Where a body ends: one decision per message (9112 6.3).

/// Body of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// Neither Content-Length nor Transfer-Encoding: no body.
    None,
    Length(u64),
    Chunked,
}

/// Body of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ResponseFraming {
    /// No body, whatever the fields say: HEAD, 1xx, 204, 304.
    None,
    Length(u64),
    Chunked,
    UntilClose,
}
