//! What is wrong with a peer's bytes, and what is answered to it.

use thiserror::Error;

/// Why a request was refused. The client's fault, all of them; the connection is
/// closed after the answer (9112 2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{}", self.reason())]
pub(crate) enum Refused {
    /// TLS on a port that speaks plain HTTP.
    Tls,
    /// HTTP/2 with prior knowledge on a port that speaks HTTP/1 (9113 3.4).
    Http2,
    /// More empty lines before a request than are skipped.
    EmptyLines,
    /// The request line is none (9112 3).
    RequestLine,
    /// `HTTP/` digit `.` digit was expected (9112 2.3).
    VersionSyntax,
    /// A major version other than 1.
    Version,
    /// A line ends in LF alone, or CR stands alone (9112 2.2).
    LineEnd,
    /// None of the four forms of a target, or a byte that may not stand in one (9112 3.2).
    Target,
    /// CONNECT and TRACE are not for a reverse proxy.
    Method,
    /// Extended CONNECT (RFC 8441) for another protocol than WebSocket.
    Protocol,
    /// The field name is no token, or the line has no colon (9112 5.1); also obs-fold (9112 5.2).
    FieldName,
    /// A control character in a value (9110 5.5).
    FieldValue,
    /// HTTP/1.1 without Host (9112 3.2).
    HostMissing,
    /// More than one Host line (9112 3.2).
    HostTwice,
    /// Host, or the authority of the target, is none (9112 3.2, 9110 4.2).
    Host,
    /// Content-Length is not a number, or two of them differ (9112 6.3).
    ContentLength,
    /// Transfer-Encoding is not `chunked`, once (9112 6.1, 7).
    TransferEncoding,
    /// A transfer coding we do not know before `chunked` (9112 6.1).
    TransferCoding,
    /// Transfer-Encoding beside Content-Length (9112 6.1).
    TransferEncodingAndContentLength,
    /// Transfer-Encoding in HTTP/1.0 (9112 6.1).
    TransferEncodingIn10,
    /// An expectation other than 100-continue (9110 10.1.1).
    Expectation,
    /// Max-Forwards of OPTIONS is no number (9110 7.6.2).
    MaxForwards,
    /// More connection options than any client has a use for.
    ConnectionOptions,
    /// The request line is over its limit.
    UriTooLong,
    /// The head is over its limit.
    HeadTooLong,
    /// The head has too many fields.
    TooManyFields,
}

impl Refused {
    /// Status code of the answer.
    pub(crate) fn status(self) -> u16 {
        self.facts().0
    }

    /// Short text for the log.
    pub(crate) fn reason(self) -> &'static str {
        self.facts().1
    }

    fn facts(self) -> (u16, &'static str) {
        match self {
            Self::Tls => (400, "TLS on a plain port"),
            Self::Http2 => (400, "HTTP/2 preface on an HTTP/1 port"),
            Self::EmptyLines => (400, "too many empty lines before the request"),
            Self::RequestLine => (400, "bad request line"),
            Self::VersionSyntax => (400, "bad HTTP version"),
            Self::Version => (505, "HTTP version not supported"),
            Self::LineEnd => (400, "bad line end"),
            Self::Target => (400, "bad request target"),
            Self::Method => (501, "method not implemented"),
            Self::Protocol => (501, "protocol not implemented"),
            Self::FieldName => (400, "bad field name"),
            Self::FieldValue => (400, "bad field value"),
            Self::HostMissing => (400, "Host is missing"),
            Self::HostTwice => (400, "more than one Host"),
            Self::Host => (400, "bad Host"),
            Self::ContentLength => (400, "bad Content-Length"),
            Self::TransferEncoding => (400, "bad Transfer-Encoding"),
            Self::TransferCoding => (501, "transfer coding not implemented"),
            Self::TransferEncodingAndContentLength => {
                (400, "Transfer-Encoding beside Content-Length")
            }
            Self::TransferEncodingIn10 => (400, "Transfer-Encoding in HTTP/1.0"),
            Self::Expectation => (417, "unknown expectation"),
            Self::MaxForwards => (400, "bad Max-Forwards"),
            Self::ConnectionOptions => (400, "too many connection options"),
            Self::UriTooLong => (414, "request line too long"),
            Self::HeadTooLong => (431, "request head too long"),
            Self::TooManyFields => (431, "too many request fields"),
        }
    }
}

/// Why a response cannot be passed on: 502, and the server's connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum BadResponse {
    #[error("no HTTP/1 status line")]
    StatusLine,
    #[error("status code out of range")]
    Status,
    #[error("bad line end")]
    LineEnd,
    #[error("bad field name")]
    FieldName,
    #[error("bad field value")]
    FieldValue,
    #[error("bad Content-Length")]
    ContentLength,
    #[error("bad Transfer-Encoding")]
    TransferEncoding,
    #[error("101 that was not asked for")]
    Switching,
    #[error("too many connection options")]
    ConnectionOptions,
    #[error("response head too long")]
    HeadTooLong,
    #[error("too many response fields")]
    TooManyFields,
}

/// Why a body cannot be read on. Nothing behind it on that connection is a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum BodyError {
    #[error("bad chunk size")]
    ChunkSize,
    #[error("chunk line too long")]
    ChunkLine,
    #[error("bad chunk extension")]
    Extension,
    #[error("too many chunk extensions")]
    Extensions,
    #[error("chunk data not followed by CRLF")]
    ChunkEnd,
    #[error("bad trailer section")]
    Trailer,
    #[error("trailer section too long")]
    TrailerTooLong,
    #[error("body cut short")]
    Truncated,
    #[error("body over the limit")]
    TooLarge,
}
