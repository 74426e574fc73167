//! Fields of a head and their places in the rules.

use std::mem::ManuallyDrop;

use arrayvec::ArrayVec;

use super::framing::BodyFields;

/// One field of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'b> {
    /// A token, as received.
    pub(crate) name: &'b [u8],
    /// Without the white space around it.
    pub(crate) value: &'b [u8],
    pub(crate) kind: FieldKind,
}

impl<'b> Field<'b> {
    /// To be given its kind by a [`Section`].
    #[inline]
    pub(super) fn new(name: &'b [u8], value: &'b [u8]) -> Self {
        Self {
            name,
            value,
            kind: FieldKind::Other,
        }
    }
}

/// The fields of a head.
pub(super) type Fields<'b> = ArrayVec<Field<'b>, FIELDS_MAX>;

/// Stack scratch for one head: cheap to make, never lives across an await.
pub(crate) struct Slots<'b> {
    /// Never dropped, there being nothing to drop: so the buffer of a head may be given
    /// away while these still stand.
    pub(super) fields: ManuallyDrop<Fields<'b>>,
}

impl Slots<'_> {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            fields: ManuallyDrop::new(Fields::new_const()),
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
    Cookie,
    MaxForwards,
    /// Named by Connection: not passed on (9110 7.6.1).
    Nominated,
    /// X-SSL-Client-*: what a client's certificate said, by our word alone.
    ClientCertificate,
    /// One of the above written with `_` for `-`: CGI-like servers would take it for that one.
    Shadow,
}

impl FieldKind {
    /// By length and first byte, then one comparison. `name` is a token.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        let first = name.first().map_or(0, |byte| byte | 0x20);
        let (known, kind): (&[u8], Self) = match (name.len(), first) {
            (2, b't') => (b"te", Self::Te),
            (3, b'v') => (b"via", Self::Via),
            (4, b'h') => (b"host", Self::Host),
            (4, b'd') => (b"date", Self::Date),
            (6, b'c') => (b"cookie", Self::Cookie),
            (6, b'e') => (b"expect", Self::Expect),
            (7, b't') => (b"trailer", Self::Trailer),
            (7, b'u') => (b"upgrade", Self::Upgrade),
            (9, b'f') => (b"forwarded", Self::Forwarded),
            (10, b'c') => (b"connection", Self::Connection),
            (10, b'k') => (b"keep-alive", Self::KeepAlive),
            (12, b'm') => (b"max-forwards", Self::MaxForwards),
            (14, b'c') => (b"content-length", Self::ContentLength),
            (14, b'h') => (b"http2-settings", Self::Http2Settings),
            (15, b'x') => (b"x-forwarded-for", Self::XForwardedFor),
            (16, b'p') => (b"proxy-connection", Self::ProxyConnection),
            (16, b'x') if name[12] | 0x20 == b'p' => (b"x-forwarded-port", Self::XForwardedPort),
            (16, b'x') => (b"x-forwarded-host", Self::XForwardedHost),
            (17, b't') => (b"transfer-encoding", Self::TransferEncoding),
            (17, b'x') => (b"x-forwarded-proto", Self::XForwardedProto),
            _ => return Self::of_others(name, first),
        };
        if is_caseless(name, known) {
            kind
        } else if shadows(name, known) {
            Self::Shadow
        } else {
            Self::of_others(name, first)
        }
    }

    #[inline]
    fn of_others(name: &[u8], first: u8) -> Self {
        let known = CLIENT_CERTIFICATE;
        match first == b'x' && name.len() > known.len() && shadows(&name[..known.len()], known) {
            true => Self::ClientCertificate,
            false => Self::Other,
        }
    }
}

/// Fields that begin so tell of a client's certificate.
const CLIENT_CERTIFICATE: &[u8] = b"x-ssl-client-";

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kinds(u32);

impl Kinds {
    pub(super) const fn of(kinds: &[FieldKind]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < kinds.len() {
            set |= 1 << kinds[at] as u32;
            at += 1;
        }
        Self(set)
    }

    #[inline]
    pub(super) fn has(self, kind: FieldKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }

    #[inline]
    pub(super) fn add(&mut self, kind: FieldKind) {
        self.0 |= 1 << kind as u32;
    }

    #[inline]
    pub(super) fn add_if(&mut self, kind: FieldKind, wanted: bool) {
        self.0 |= u32::from(wanted) << kind as u32;
    }
}

/// What one pass over the fields of a head found, before any rule is applied.
pub(super) struct Section<'b> {
    pub(super) seen: Kinds,
    pub(super) connection: Connection,
    pub(super) body: BodyFields,
    /// The first Host, and how many there are.
    pub(super) host: Option<&'b [u8]>,
    pub(super) hosts: u32,
    /// The first Upgrade, and how many there are.
    pub(super) upgrade: Option<&'b [u8]>,
    pub(super) upgrades: u32,
    /// Each Expect is `100-continue`.
    pub(super) expectations_known: bool,
    /// TE lists `trailers`.
    pub(super) te_trailers: bool,
}

/// What is wrong with a field section whichever way it travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    LineEnd,
    ContentLength,
    ConnectionOptions,
}

/// Options of all Connection lines that mean something to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Connection {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Options that name other fields.
    others: usize,
}

impl Connection {
    fn add(&mut self, value: &[u8]) {
        for option in members(value) {
            if is_caseless(option, b"close") {
                self.close = true;
            } else if is_caseless(option, b"keep-alive") {
                self.keep_alive = true;
            } else if is_caseless(option, b"upgrade") {
                self.upgrade = true;
            } else {
                self.others += 1;
            }
        }
    }
}

impl<'b> Section<'b> {
    fn new() -> Self {
        Self {
            seen: Kinds::of(&[]),
            connection: Connection::default(),
            body: BodyFields::default(),
            host: None,
            hosts: 0,
            upgrade: None,
            upgrades: 0,
            expectations_known: true,
            te_trailers: false,
        }
    }

    /// Reads the fields and gives each its kind.
    #[inline]
    pub(super) fn read(fields: &mut [Field<'b>]) -> Result<Self, Fault> {
        let mut section = Self::new();
        for field in &mut *fields {
            field.kind = FieldKind::of(field.name);
            if field.kind != FieldKind::Other {
                section.note(field.kind, field.value)?;
            }
        }
        if section.connection.others > 0 {
            section.nominate(fields)?;
        }
        Ok(section)
    }

    fn note(&mut self, kind: FieldKind, value: &'b [u8]) -> Result<(), Fault> {
        self.seen.add(kind);
        match kind {
            FieldKind::Host => {
                self.host = self.host.or(Some(value));
                self.hosts += 1;
            }
            FieldKind::Connection => self.connection.add(value),
            FieldKind::ContentLength => self.body.add_content_length(value)?,
            FieldKind::TransferEncoding => self.body.add_transfer_encoding(value),
            FieldKind::Te => {
                self.te_trailers |= members(value).any(|m| m.eq_ignore_ascii_case(b"trailers"));
            }
            FieldKind::Upgrade => {
                self.upgrade = self.upgrade.or(Some(value));
                self.upgrades += 1;
            }
            FieldKind::Expect => {
                self.expectations_known &= value.eq_ignore_ascii_case(b"100-continue");
            }
            _ => {}
        }
        Ok(())
    }

    /// Marks the fields that Connection names. Those that have a kind keep it: an
    /// option cannot take away what we need or set ourselves (CVE-2026-26365).
    #[cold]
    fn nominate(&self, fields: &mut [Field<'b>]) -> Result<(), Fault> {
        if self.connection.others > OPTIONS_MAX {
            return Err(Fault::ConnectionOptions);
        }
        for at in 0..fields.len() {
            if fields[at].kind != FieldKind::Connection {
                continue;
            }
            for option in members(fields[at].value) {
                for field in &mut *fields {
                    let name = field.name;
                    if field.kind == FieldKind::Other
                        && name.eq_ignore_ascii_case(option)
                        && !KEPT.iter().any(|kept| name.eq_ignore_ascii_case(kept))
                    {
                        field.kind = FieldKind::Nominated;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Takes over what httparse read of `raw`, a head from its first line to its last byte.
/// httparse takes LF alone for a line end: not so here (9112 2.2).
pub(super) fn take_over<'b>(
    raw: &'b [u8],
    parsed: &[httparse::Header<'b>],
    fields: &mut Fields<'b>,
) -> Result<(), Fault> {
    let base = raw.as_ptr().addr();
    for field in parsed {
        let start = field.name.as_ptr().addr().wrapping_sub(base);
        if raw.get(start.wrapping_sub(2)) != Some(&b'\r') {
            return Err(Fault::LineEnd);
        }
    }
    if !raw.ends_with(b"\r\n\r\n") {
        return Err(Fault::LineEnd);
    }
    // As many as there is room for: httparse was given no more.
    let parsed = parsed.iter().take(FIELDS_MAX);
    *fields = parsed
        .map(|field| Field::new(field.name.as_bytes(), field.value))
        .collect();
    Ok(())
}

/// Members of a comma separated list without quoted strings (9110 5.6.1); empty
/// ones are skipped. OWS is SP and HTAB, nothing else.
#[inline]
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(trim_ows)
        .filter(|member| !member.is_empty())
}

/// Whether `text`, in which there are no controls, is `known`, which is of lower case
/// letters, digits and dashes: no other byte becomes one of those by this bit.
/// `eq_ignore_ascii_case` takes 13 instructions a byte.
#[inline]
fn is_caseless(text: &[u8], known: &[u8]) -> bool {
    let same = |(byte, known): (&u8, &u8)| byte | 0x20 == *known;
    text.len() == known.len() && text.iter().zip(known).all(same)
}

/// Whether `value` is a token (9110 5.6.2).
pub(super) fn is_token(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| is_tchar(*byte))
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// `name` is `known` with `_` for some `-`.
#[cold]
fn shadows(name: &[u8], known: &[u8]) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    name.len() == known.len()
        && name
            .iter()
            .zip(known)
            .all(|(ours, theirs)| dashed(*ours).eq_ignore_ascii_case(theirs))
}

/// Most fields of a head; the limits of the configuration lie below.
pub(super) const FIELDS_MAX: usize = 256;

/// Most connection options that name fields: each is compared with every field.
const OPTIONS_MAX: usize = 64;

/// What Connection may not take away though it has no kind.
const KEPT: [&[u8]; 2] = [b"authorization", b"set-cookie"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case() {
        for (name, kind) in [
            ("TE", FieldKind::Te),
            ("Via", FieldKind::Via),
            ("hOST", FieldKind::Host),
            ("DATE", FieldKind::Date),
            ("COOKIE", FieldKind::Cookie),
            ("Expect", FieldKind::Expect),
            ("Trailer", FieldKind::Trailer),
            ("UPGRADE", FieldKind::Upgrade),
            ("Forwarded", FieldKind::Forwarded),
            ("Connection", FieldKind::Connection),
            ("Keep-Alive", FieldKind::KeepAlive),
            ("Max-Forwards", FieldKind::MaxForwards),
            ("content-LENGTH", FieldKind::ContentLength),
            ("HTTP2-Settings", FieldKind::Http2Settings),
            ("X-Forwarded-For", FieldKind::XForwardedFor),
            ("Proxy-Connection", FieldKind::ProxyConnection),
            ("X-Forwarded-Port", FieldKind::XForwardedPort),
            ("x-forwarded-host", FieldKind::XForwardedHost),
            ("Transfer-Encoding", FieldKind::TransferEncoding),
            ("X-Forwarded-Proto", FieldKind::XForwardedProto),
            ("X-Forwarded-Post", FieldKind::Other),
            ("Accept", FieldKind::Other),
            ("Hosts", FieldKind::Other),
            ("Cost", FieldKind::Other),
            ("", FieldKind::Other),
        ] {
            assert_eq!(FieldKind::of(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn caseless_is_as_the_standard_library_has_it() {
        for known in 0..=255_u8 {
            if !known.is_ascii_lowercase() && !known.is_ascii_digit() && known != b'-' {
                continue;
            }
            for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_control()) {
                assert_eq!(
                    is_caseless(&[byte], &[known]),
                    byte.eq_ignore_ascii_case(&known),
                    "{byte} {known}"
                );
            }
        }
        assert!(!is_caseless(b"clos", b"close") && !is_caseless(b"closed", b"close"));
    }

    #[test]
    fn underscored_names_shadow_dashed_ones() {
        for name in [
            "X_Forwarded_For",
            "x-forwarded_proto",
            "Content_Length",
            "TRANSFER_ENCODING",
            "keep_alive",
        ] {
            assert_eq!(FieldKind::of(name.as_bytes()), FieldKind::Shadow, "{name}");
        }
        assert_eq!(FieldKind::of(b"Content_Type"), FieldKind::Other);
    }

    #[test]
    fn list_members_are_trimmed_of_sp_and_htab_alone() {
        let all: Vec<_> = members(b" a ,\tb,,c d, \x0be\x0c").collect();
        assert_eq!(all, [&b"a"[..], b"b", b"c d", b"\x0be\x0c"]);
    }
}
