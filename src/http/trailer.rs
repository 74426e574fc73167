//! Trailer sections (9110 6.5): read as strictly as heads, and filtered.

use httparse::{EMPTY_HEADER, Status};

use super::field::Field;
use super::forward::put_field;
use super::{BodyError, FieldKind};

/// `section` ends with an empty line; returns the lines that may be sent on.
pub(super) fn sanitise(section: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut slots = [EMPTY_HEADER; FIELDS_MAX];
    let fields = match httparse::parse_headers(section, &mut slots) {
        Ok(Status::Complete((len, fields))) if len == section.len() => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(BodyError::TrailerTooLong),
        _ => return Err(BodyError::Trailer),
    };
    let mut out = Vec::with_capacity(section.len() + fields.len());
    for field in fields.iter().filter(|field| may_pass(field.name)) {
        put_field(&mut out, &Field::new(field.name.as_bytes(), field.value));
    }
    Ok(out)
}

/// Not what frames, routes, authenticates, controls or describes the content
/// (9110 6.5.1), nor what has a place in our rules.
pub(super) fn may_pass(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    FieldKind::of(name.as_bytes()) == FieldKind::Other
        && !REFUSED_PREFIXES.iter().any(|p| lower.starts_with(p))
        && !REFUSED.contains(&lower.as_str())
}

const REFUSED_PREFIXES: [&str; 6] = [
    "content-",
    "if-",
    "proxy-",
    "x-forwarded-",
    "access-control-",
    "sec-",
];

const REFUSED: [&str; 18] = [
    "age",
    "authentication-info",
    "authorization",
    "cache-control",
    "cookie",
    "expires",
    "location",
    "pragma",
    "range",
    "refresh",
    "retry-after",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "vary",
    "warning",
    "www-authenticate",
    "x-real-ip",
];

/// Longest trailer section with its empty line.
pub(super) const TRAILERS_MAX: usize = 8 << 10;

/// Most fields of a trailer section.
const FIELDS_MAX: usize = 32;
