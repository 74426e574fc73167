//! Our own answers.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;

use super::Version;
use super::forward::{decimal_text, put, put_number};
use super::reply::put_connection;

/// An answer of our own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canned<'a> {
    pub(crate) status: u16,
    /// Sent as X-Rlb-Reason.
    pub(crate) reason: Option<&'a str>,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
    /// Where the client is sent.
    pub(crate) location: Option<&'a [u8]>,
    pub(crate) keep_alive: bool,
    /// Of the client.
    pub(crate) version: Version,
    /// The request was HEAD: no body.
    pub(crate) head: bool,
    pub(crate) date: &'a [u8; 29],
}

/// Appends the whole answer; its body is the status line's text.
pub(crate) fn write_canned(answer: &Canned<'_>, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let status = decimal_text(answer.status.into(), &mut digits);
    let text = status_text(answer.status).as_bytes();
    put(
        out,
        &[b"HTTP/1.1 ", status, b" ", text, b"\r\nDate: ", answer.date],
    );
    out.extend_from_slice(b"\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n");
    if let Some(reason) = answer.reason {
        out.extend_from_slice(b"X-Rlb-Reason: ");
        out.extend(reason.bytes().filter(|byte| matches!(byte, b' '..=b'~')));
        out.extend_from_slice(b"\r\n");
    }
    if let Some(seconds) = answer.retry_after {
        put_number(out, b"Retry-After: ", seconds);
    }
    if let Some(location) = answer.location {
        put(out, &[b"Location: ", location, b"\r\n"]);
    }
    let length = status.len() + text.len() + 2;
    put_number(out, b"Content-Length: ", length as u64);
    put_connection(out, answer.keep_alive, answer.version);
    out.extend_from_slice(b"\r\n");
    if !answer.head {
        put(out, &[status, b" ", text, b"\n"]);
    }
}

/// IMF-fixdate (9110 5.6.7), up to the year 9999.
pub(crate) fn write_date(unix_seconds: u64, out: &mut [u8; 29]) {
    const LAST: u64 = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(LAST));
    let written = write!(&mut out[..], "{}", HttpDate::from(time));
    debug_assert!(written.is_ok(), "an IMF-fixdate has 29 bytes");
}

/// Of the status codes that we answer with by ourselves (9110 15).
fn status_text(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn answer(status: u16) -> Canned<'static> {
        Canned {
            status,
            reason: None,
            retry_after: None,
            location: None,
            keep_alive: false,
            version: Version::Http11,
            head: false,
            date: DATE,
        }
    }

    fn text(answer: &Canned<'_>) -> String {
        let mut out = Vec::new();
        write_canned(answer, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn answers_carry_their_reason_and_when_to_retry() {
        let answer = Canned {
            reason: Some("no server\r\nX: y"),
            retry_after: Some(5),
            ..answer(503)
        };
        assert_eq!(
            text(&answer),
            "HTTP/1.1 503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/plain\r\nCache-Control: no-store\r\nX-Rlb-Reason: no serverX: y\r\n\
             Retry-After: 5\r\nContent-Length: 24\r\nConnection: close\r\n\r\n\
             503 Service Unavailable\n"
        );
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let answer = Canned {
            head: true,
            keep_alive: true,
            ..answer(404)
        };
        let text = text(&answer);
        assert!(text.contains("\r\nContent-Length: 14\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        assert!(!text.contains("Connection"), "{text}");
    }

    #[test]
    fn keep_alive_is_said_to_1_0_alone() {
        // 9112 9.3.
        let answer = Canned {
            version: Version::Http10,
            keep_alive: true,
            ..answer(404)
        };
        assert!(text(&answer).contains("\r\nConnection: keep-alive\r\n"));
    }

    #[test]
    fn dates_are_imf_fixdate() {
        // 9110 5.6.7.
        for (seconds, text) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let mut out = [0; 29];
            write_date(seconds, &mut out);
            assert_eq!(std::str::from_utf8(&out), Ok(text));
        }
    }
}
