//! What an authority answered about a certificate of ours (OCSP, RFC 6960), to be
//! shown beside it (RFC 6066 section 8). It is read and never asked for here.

use std::fs;
use std::path::{Path, PathBuf};

use x509_parser::asn1_rs::Any;
use x509_parser::prelude::{ASN1Time, FromDer};

use super::{TlsError, pem};

/// An answer that says that a certificate is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Staple {
    /// DER.
    pub(super) answer: Vec<u8>,
    /// From then on clients refuse it, Unix seconds; `i64::MAX` = it does not say.
    pub(super) until: i64,
}

/// Where the answer about the certificate in `path` is looked for, as in HAProxy.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ocsp");
    PathBuf::from(name)
}

impl Staple {
    /// Reads what lies beside the certificate with this serial number; `None` = nothing
    /// does. Blocks.
    ///
    /// # Errors
    /// It is of no use: not an answer, about another certificate, not good, too old.
    pub(super) fn read(path: &Path, serial: &[u8], now: i64) -> Result<Option<Self>, TlsError> {
        let file = beside(path);
        if !fs::exists(&file).unwrap_or(true) {
            return Ok(None);
        }
        let answer = pem::read(&file)?;
        let wrong = |what| TlsError::content(&file, what);
        let until = good_until(&answer, serial).map_err(wrong)?;
        match until > now {
            true => Ok(Some(Self { answer, until })),
            false => Err(wrong("this OCSP answer is past its next update")),
        }
    }
}

/// RFC 6960 section 4.2.1. Who signed it is the client's to verify.
fn good_until(answer: &[u8], serial: &[u8]) -> Result<i64, &'static str> {
    const NO_ANSWER: &str = "not an OCSP answer in DER";
    let singles = singles(answer).ok_or(NO_ANSWER)?;
    if singles.is_empty() {
        return Err("the authority could not answer (OCSPResponseStatus)");
    }
    let mut rest = singles;
    while !rest.is_empty() {
        let (single, next) = take(rest, SEQUENCE).ok_or(NO_ANSWER)?;
        rest = next;
        let (id, single) = take(single, SEQUENCE).ok_or(NO_ANSWER)?;
        if serial_of(id).ok_or(NO_ANSWER)? != serial {
            continue;
        }
        let (status, _, times) = element(single).ok_or(NO_ANSWER)?;
        if status != GOOD {
            return Err("the authority does not say that the certificate is good");
        }
        return until(times).ok_or(NO_ANSWER);
    }
    Err("this OCSP answer is about another certificate")
}

/// The single responses; empty = there is no response.
fn singles(answer: &[u8]) -> Option<&[u8]> {
    let (whole, rest) = take(answer, SEQUENCE)?;
    let (status, whole) = take(whole, ENUMERATED)?;
    if status != SUCCESSFUL {
        return Some(&[]);
    }
    let (bytes, _) = take(whole, context(0))?;
    let (bytes, _) = take(bytes, SEQUENCE)?;
    let (_, bytes) = take(bytes, OBJECT_IDENTIFIER)?;
    let (basic, _) = take(bytes, OCTET_STRING)?;
    let (basic, _) = take(basic, SEQUENCE)?;
    let (mut data, _) = take(basic, SEQUENCE)?;
    if let Some((_, behind)) = take(data, context(0)) {
        data = behind;
    }
    // Who answers, by name or by key; when.
    let (_, _, data) = element(data)?;
    let (_, data) = take(data, GENERALIZED_TIME)?;
    let (singles, _) = take(data, SEQUENCE)?;
    (rest.is_empty() && !singles.is_empty()).then_some(singles)
}

fn serial_of(id: &[u8]) -> Option<&[u8]> {
    let (_, id) = take(id, SEQUENCE)?;
    let (_, id) = take(id, OCTET_STRING)?;
    let (_, id) = take(id, OCTET_STRING)?;
    Some(take(id, INTEGER)?.0)
}

/// From thisUpdate on; nextUpdate may be missing.
fn until(times: &[u8]) -> Option<i64> {
    let (_, times) = take(times, GENERALIZED_TIME)?;
    match take(times, context(0)) {
        None => Some(i64::MAX),
        Some((next, _)) => Some(ASN1Time::from_der(next).ok()?.1.timestamp()),
    }
}

/// The content of the first element and what is behind it, if it has this tag.
fn take(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Identifier octet and content of the first element, and what is behind it. All that are
/// looked for have tags below 31: one octet says it all (X.690 section 8.1.2).
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (rest, any) = Any::from_der(bytes).ok()?;
    Some((*bytes.first()?, any.data, rest))
}

const fn context(number: u8) -> u8 {
    0xa0 | number
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `good [0] IMPLICIT NULL`.
const GOOD: u8 = 0x80;
const SUCCESSFUL: &[u8] = &[0];

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let len = u8::try_from(content.len()).unwrap();
        let len = if len < 128 {
            vec![len]
        } else {
            vec![0x81, len]
        };
        [&[tag][..], &len, &content].concat()
    }

    fn answer(serial: u8, status: &[u8], next: &[&[u8]]) -> Vec<u8> {
        let time = tlv(GENERALIZED_TIME, &[b"20200101000000Z"]);
        let algorithm = tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[&[1, 2, 3]])]);
        let hash = tlv(OCTET_STRING, &[&[7; 20]]);
        let id = tlv(
            SEQUENCE,
            &[&algorithm, &hash, &hash, &tlv(INTEGER, &[&[serial]])],
        );
        let next = tlv(context(0), next);
        let single = tlv(SEQUENCE, &[&id, status, &time, &next]);
        let by_key = tlv(context(2), &[&hash]);
        let data = tlv(SEQUENCE, &[&by_key, &time, &tlv(SEQUENCE, &[&single])]);
        let basic = tlv(SEQUENCE, &[&data]);
        let bytes = [
            tlv(OBJECT_IDENTIFIER, &[&[1]]),
            tlv(OCTET_STRING, &[&basic]),
        ]
        .concat();
        let bytes = tlv(context(0), &[&tlv(SEQUENCE, &[&bytes])]);
        tlv(SEQUENCE, &[&tlv(ENUMERATED, &[&[0]]), &bytes])
    }

    #[test]
    fn good_answer_holds_until_its_next_update() {
        let next = tlv(GENERALIZED_TIME, &[b"20300101000000Z"]);
        let good = answer(9, &[GOOD, 0], &[&next]);
        assert_eq!(good_until(&good, &[9]), Ok(1_893_456_000));
        assert!(good_until(&good, &[8]).unwrap_err().contains("another"));
        let revoked = answer(9, &tlv(context(1), &[]), &[&next]);
        assert!(good_until(&revoked, &[9]).unwrap_err().contains("good"));
        // tryLater, without more.
        let later = tlv(SEQUENCE, &[&tlv(ENUMERATED, &[&[3]])]);
        assert!(good_until(&later, &[9]).unwrap_err().contains("could not"));
    }

    #[test]
    fn old_answer_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        assert_eq!(Staple::read(&path, &[9], 0).unwrap(), None);
        let next = tlv(GENERALIZED_TIME, &[b"20300101000000Z"]);
        let answer = answer(9, &[GOOD, 0], &[&next]);
        fs::write(dir.path().join("a.pem.ocsp"), &answer).unwrap();
        let until = 1_893_456_000;
        let read = Staple::read(&path, &[9], until - 1).unwrap();
        assert_eq!(read, Some(Staple { answer, until }));
        let error = Staple::read(&path, &[9], until).unwrap_err().to_string();
        assert!(
            error.contains("a.pem.ocsp: this OCSP answer is past"),
            "{error}"
        );
    }

    #[test]
    fn cut_answers_are_none() {
        let next = tlv(GENERALIZED_TIME, &[b"20300101000000Z"]);
        let good = answer(9, &[GOOD, 0], &[&next]);
        for len in 0..good.len() {
            assert!(good_until(&good[..len], &[9]).is_err(), "{len}");
        }
        assert!(good_until(&[&good[..], &[0]].concat(), &[9]).is_err());
    }
}
