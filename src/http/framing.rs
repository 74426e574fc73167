//! Where a body ends: one decision per message (9112 6.3).

use super::field::{Fault, is_token, members};
use super::{BadResponse, Refused, Version};

/// Body of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// Neither Content-Length nor Transfer-Encoding: no body.
    None,
    Length(u64),
    Chunked,
}

impl Framing {
    /// A request body is never delimited by the close of the connection (9112 6.3).
    #[inline]
    pub(super) fn of_request(fields: &BodyFields, version: Version) -> Result<Self, Refused> {
        match (fields.coding, fields.content_length) {
            (Coding::None, None) => Ok(Self::None),
            (Coding::None, Some(length)) => Ok(Self::Length(length)),
            (_, Some(_)) => Err(Refused::TransferEncodingAndContentLength),
            (_, None) if version == Version::Http10 => Err(Refused::TransferEncodingIn10),
            (Coding::Chunked, None) => Ok(Self::Chunked),
            (Coding::Unknown, None) => Err(Refused::TransferCoding),
            (Coding::Bad, None) => Err(Refused::TransferEncoding),
        }
    }

    /// There is a body, if perhaps an empty chunked one.
    pub(crate) fn has_body(self) -> bool {
        !matches!(self, Self::None | Self::Length(0))
    }
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

impl ResponseFraming {
    /// Bad fields are an error even where no body follows: the origin is not to be trusted.
    #[inline]
    pub(super) fn of_response(
        fields: &BodyFields,
        version: Version,
        status: u16,
        head: bool,
    ) -> Result<Self, BadResponse> {
        match fields.coding {
            Coding::None => {}
            Coding::Chunked if version == Version::Http11 => {}
            _ => return Err(BadResponse::TransferEncoding),
        }
        if head || matches!(status, 100..=199 | 204 | 304) {
            return Ok(Self::None);
        }
        // Beside chunked a Content-Length counts for nothing (9112 6.3); the
        // connection is not used again then.
        Ok(match (fields.coding, fields.content_length) {
            (Coding::Chunked, _) => Self::Chunked,
            (_, Some(length)) => Self::Length(length),
            (_, None) => Self::UntilClose,
        })
    }
}

/// All Content-Length and Transfer-Encoding lines of a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct BodyFields {
    pub(super) content_length: Option<u64>,
    pub(super) coding: Coding,
}

/// What Transfer-Encoding says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Coding {
    #[default]
    None,
    /// One line, `chunked`.
    Chunked,
    /// Well-formed, chunked last, and something before it.
    Unknown,
    /// Anything else.
    Bad,
}

impl BodyFields {
    /// Equal lines collapse; a list within one line is refused (9110 8.6 allows both).
    pub(super) fn add_content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let length = decimal(value)
            .filter(|length| *length <= LENGTH_MAX)
            .ok_or(Fault::ContentLength)?;
        match self.content_length.replace(length) {
            Some(before) if before != length => Err(Fault::ContentLength),
            _ => Ok(()),
        }
    }

    pub(super) fn add_transfer_encoding(&mut self, value: &[u8]) {
        self.coding = if self.coding != Coding::None {
            Coding::Bad
        } else if value.eq_ignore_ascii_case(b"chunked") {
            Coding::Chunked
        } else {
            unknown_coding(value)
        };
    }
}

/// 1*DIGIT, checked.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// 501 is for codings we could learn; what is faulty by itself is 400 (9112 6.1, 7).
#[cold]
fn unknown_coding(value: &[u8]) -> Coding {
    let mut codings: Vec<_> = members(value).collect();
    let well_formed = value.split(|byte| *byte == b',').count() == codings.len()
        && codings.iter().all(|coding| is_token(coding));
    let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match codings.pop() {
        Some(last) if well_formed && chunked(&last) && !codings.iter().any(chunked) => {
            Coding::Unknown
        }
        _ => Coding::Bad,
    }
}

/// 2^63 - 1: signed arithmetic behind us stays sound.
const LENGTH_MAX: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_length_is_decimal_digits_alone() {
        // 9110 8.6.
        for (text, value) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("9223372036854775807", Some(LENGTH_MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("0x1", None),
            ("1_0", None),
            ("1 0", None),
            ("1,1", None),
            ("1;", None),
            ("\u{661}", None),
        ] {
            assert_eq!(decimal(text.as_bytes()), value, "{text:?}");
        }
        let mut fields = BodyFields::default();
        let over = fields.add_content_length(b"9223372036854775808");
        assert_eq!(over, Err(Fault::ContentLength));
    }

    #[test]
    fn transfer_encoding_is_chunked_once() {
        // 9112 6.1 and 7.
        for (lines, coding) in [
            (&["chunked"][..], Coding::Chunked),
            (&["Chunked"], Coding::Chunked),
            (&["gzip, chunked"], Coding::Unknown),
            (&["gzip,deflate ,\tchunked"], Coding::Unknown),
            (&["chunked", "chunked"], Coding::Bad),
            (&["gzip", "chunked"], Coding::Bad),
            (&["chunked, chunked"], Coding::Bad),
            (&["chunked, gzip"], Coding::Bad),
            (&["identity"], Coding::Bad),
            (&["gzip"], Coding::Bad),
            (&[""], Coding::Bad),
            (&[","], Coding::Bad),
            (&[",chunked"], Coding::Bad),
            (&["chunked,"], Coding::Bad),
            (&["\"chunked\""], Coding::Bad),
            (&["chunked;q=1"], Coding::Bad),
            (&["\x0bchunked"], Coding::Bad),
            (&["x chunked"], Coding::Bad),
            (&["xchunked"], Coding::Bad),
        ] {
            let mut fields = BodyFields::default();
            for line in lines {
                fields.add_transfer_encoding(line.as_bytes());
            }
            assert_eq!(fields.coding, coding, "{lines:?}");
        }
    }
}
