//! Cookies as a balancer needs them: one of a request looked for by its name, and taken
//! out; one of an answer recognised (RFC 6265 4.1.1, 5.4).
//!
//! A Cookie line is split at `;` and nowhere else, as servers do it. HAProxy lets quotes
//! hide a `;`, so that one unbalanced quote hides every cookie behind it.

use super::field::Field;
use super::forward::{put, put_field};
use super::{FieldKind, RequestHead, ResponseHead};

/// What keeps a client at its server, in the head it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SetCookie<'a> {
    pub(crate) name: &'a str,
    /// What the server set under this name is left out.
    pub(crate) replaces: bool,
    /// What is set; `None` = nothing.
    pub(crate) crumb: Option<Crumb<'a>>,
}

/// A cookie as it is set, behind its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Crumb<'a> {
    pub(crate) value: &'a str,
    /// Of the value: a part that is not the same for all.
    pub(crate) suffix: &'a str,
    /// `; path=/` and what follows.
    pub(crate) attributes: &'a str,
    /// No shared cache may keep the answer (9111 5.2.2.7).
    pub(crate) private: bool,
}

impl<'b> RequestHead<'_, 'b> {
    /// Each cookie of this name: the name as it stands there, and the value.
    pub(crate) fn cookies(&self, name: &[u8]) -> impl Iterator<Item = (&'b [u8], &'b [u8])> {
        let lines = match self.seen.has(FieldKind::Cookie) {
            true => self.fields,
            false => &[],
        };
        let lines = lines.iter().filter(|field| field.kind == FieldKind::Cookie);
        lines
            .flat_map(|field| pieces(field.value))
            .filter_map(split)
            .filter(move |(known, _)| *known == name)
    }
}

impl ResponseHead<'_, '_> {
    /// Whether it sets the cookie of this name.
    pub(crate) fn sets_cookie(&self, name: &str) -> bool {
        self.fields.iter().any(|field| is_set(field, name))
    }
}

impl SetCookie<'_> {
    /// Whether a field is left out on account of it.
    pub(super) fn hides(&self, field: &Field<'_>) -> bool {
        self.replaces && is_set(field, self.name)
    }

    /// Bytes that [`Self::write`] appends at most.
    pub(super) fn bound(&self) -> usize {
        let crumb = |crumb: Crumb<'_>| {
            self.name.len() + crumb.value.len() + crumb.suffix.len() + crumb.attributes.len()
        };
        self.crumb.map_or(0, crumb) + LINES_EXTRA
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Some(crumb) = self.crumb else { return };
        let (name, value) = (self.name.as_bytes(), crumb.value.as_bytes());
        let (suffix, attributes) = (crumb.suffix.as_bytes(), crumb.attributes.as_bytes());
        put(
            out,
            &[SET_COOKIE, name, b"=", value, suffix, attributes, b"\r\n"],
        );
        if crumb.private {
            out.extend_from_slice(PRIVATE);
        }
    }
}

/// Whether this field sets the cookie of this name.
fn is_set(field: &Field<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(b"set-cookie") && set_name(field.value) == name.as_bytes()
}

/// The name of what a Set-Cookie line sets (RFC 6265 5.2).
pub(super) fn set_name(value: &[u8]) -> &[u8] {
    let pair = pieces(value).next().unwrap_or_default();
    split(pair).map_or(b"", |(name, _)| name)
}

/// Appends a Cookie line without the cookies of this name; the others keep every byte,
/// but for the blanks in front of the first. Nothing at all if there is no other.
pub(super) fn put_without(out: &mut Vec<u8>, field: &Field<'_>, name: &[u8]) {
    let is_ours = |piece: &[u8]| split(piece).is_some_and(|(known, _)| known == name);
    if !pieces(field.value).any(is_ours) {
        return put_field(out, field);
    }
    let is_left = |piece: &&[u8]| !is_ours(piece);
    if pieces(field.value)
        .filter(is_left)
        .all(|piece| piece.trim_ascii().is_empty())
    {
        return;
    }
    put(out, &[field.name, b": "]);
    let mut left = pieces(field.value).filter(is_left);
    // A value never begins with a blank.
    out.extend_from_slice(left.next().unwrap_or_default().trim_ascii_start());
    for piece in left {
        put(out, &[b";", piece]);
    }
    out.extend_from_slice(b"\r\n");
}

fn pieces(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';')
}

/// Name and value without the blanks around them; `None` = there is no `=`.
fn split(piece: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', piece)?;
    Some((piece[..at].trim_ascii(), piece[at + 1..].trim_ascii()))
}

const SET_COOKIE: &[u8] = b"Set-Cookie: ";
const PRIVATE: &[u8] = b"Cache-Control: private\r\n";
/// Of both lines, beside their varying parts.
const LINES_EXTRA: usize = SET_COOKIE.len() + PRIVATE.len() + 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn without(value: &str) -> String {
        let mut out = Vec::new();
        let field = Field::new(b"Cookie", value.as_bytes());
        put_without(&mut out, &field, b"SRV");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_cookie_is_taken_out_and_the_others_stay() {
        for (line, expected) in [
            ("SRV=s1", ""),
            ("SRV=s1;", ""),
            (" ; SRV=s1 ; ", ""),
            ("SRV=s1; a=1", "a=1"),
            ("a=1; SRV=s1", "a=1"),
            ("a=1; SRV=s1; b=2", "a=1; b=2"),
            ("a=1;SRV=s1;b=2", "a=1;b=2"),
            ("SRV=s1; SRV=s2; a=1; SRV=", "a=1"),
            ("a=1 ;  SRV = s1 ;b= 2  ;c", "a=1 ;b= 2  ;c"),
            // An unbalanced quote is a cookie's own business.
            ("a=\"x; SRV=s1; b=y\"", "a=\"x; b=y\""),
            ("srv=1; XSRV=2; SRVX=3; SRV", "srv=1; XSRV=2; SRVX=3; SRV"),
            ("a=SRV=s1, SRV=s2", "a=SRV=s1, SRV=s2"),
            ("", ""),
        ] {
            let expected = match (line, expected) {
                ("", _) => "Cookie: \r\n".to_owned(),
                (_, "") => String::new(),
                (_, rest) => format!("Cookie: {rest}\r\n"),
            };
            assert_eq!(without(line), expected, "{line:?}");
        }
    }

    #[test]
    fn what_an_answer_sets_has_a_name() {
        for (line, name) in [
            ("SRV=s1; Path=/", "SRV"),
            (" SRV = s1", "SRV"),
            ("SRV", ""),
            ("SRV; a=b", ""),
            ("=x", ""),
            ("", ""),
        ] {
            assert_eq!(set_name(line.as_bytes()), name.as_bytes(), "{line:?}");
        }
    }

    proptest! {
        /// Whatever stands beside it: those of other names come through in their order.
        #[test]
        fn taking_one_out_leaves_the_rest(
            cookies in prop::collection::vec(("(SRV|[a-zA-Z]{1,4})", "[ -:<-~]{0,6}"), 0..8),
        ) {
            let text = |cookies: &[(String, String)]| {
                let cookies = cookies.iter().map(|(name, value)| format!("{name}={value}"));
                cookies.collect::<Vec<_>>().join("; ")
            };
            let others: Vec<_> = cookies.iter().filter(|(name, _)| name != "SRV").cloned().collect();
            let expected = match (cookies.len(), others.len()) {
                (0, _) => "Cookie: \r\n".to_owned(),
                (_, 0) => String::new(),
                _ => format!("Cookie: {}\r\n", text(&others)),
            };
            prop_assert_eq!(without(&text(&cookies)), expected);
        }
    }
}
