//! Fields of a head and their places in the rules.

use std::mem::MaybeUninit;

use httparse::Header;

/// Stack scratch for one head: cheap to make, never lives across an await.
pub(crate) struct Slots<'b> {
    pub(super) fields: [MaybeUninit<Header<'b>>; FIELDS_MAX],
    pub(super) kinds: [FieldKind; FIELDS_MAX],
    /// Fields of `HTTP/1.2` and higher, which httparse does not read.
    pub(super) rare: Vec<Header<'b>>,
}

impl Slots<'_> {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            fields: [const { MaybeUninit::uninit() }; FIELDS_MAX],
            kinds: [FieldKind::Other; FIELDS_MAX],
            rare: Vec::new(),
        }
    }
}

/// A field's place in the rules, decided once per field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum FieldKind {
    /// End-to-end, nothing to do with us.
    Other,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Te,
    Trailer,
    Expect,
    Upgrade,
    KeepAlive,
    ProxyConnection,
    Http2Settings,
    XForwardedFor,
    XForwardedProto,
    XForwardedPort,
    XForwardedHost,
    Forwarded,
    Via,
    Date,
    MaxForwards,
    /// Named by Connection: not passed on (9110 7.6.1).
    Nominated,
    /// One of the above written with `_` for `-`: CGI-like servers would take it for that one.
    Shadow,
}

/// Most fields of a head; the limits of the configuration lie below.
pub(super) const FIELDS_MAX: usize = 256;
