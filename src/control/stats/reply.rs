//! Answers as hyper wants them.

use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, REFERRER_POLICY, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    /// All of it; `None` = sent.
    Whole(Option<Bytes>),
    /// What comes, until its sender is gone.
    Live(mpsc::Receiver<Bytes>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Live(events) => {
                let event = events.poll_recv(context);
                event.map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Live(_) => SizeHint::default(),
        }
    }
}

/// Text that was rendered on a blocking thread.
#[derive(Debug)]
pub(super) struct Rendered {
    kind: &'static str,
    bytes: Bytes,
    zipped: bool,
    /// Of the document.
    policy: Option<String>,
}

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const PLAIN: &str = "text/plain";
pub(super) const JSON: &str = "application/json";
/// The version of the text format (HAProxy's exporter sends the same).
pub(super) const METRICS: &str = "text/plain; version=0.0.4";
pub(super) const EVENTS: &str = "text/event-stream";
/// Below this a compressed body is hardly smaller.
const ZIP_MIN: usize = 1024;

impl Rendered {
    /// Takes some milliseconds for a large text: not on the control thread.
    pub(super) fn new(kind: &'static str, text: String, zip: bool) -> Self {
        let zipped = (zip && text.len() >= ZIP_MIN)
            .then(|| gzip(text.as_bytes()))
            .flatten();
        let (bytes, zipped) = match zipped {
            Some(bytes) => (bytes, true),
            None => (text.into_bytes(), false),
        };
        Self {
            kind,
            bytes: bytes.into(),
            zipped,
            policy: None,
        }
    }

    pub(super) fn with_policy(mut self, policy: String) -> Self {
        self.policy = Some(policy);
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = response(StatusCode::OK, self.kind, self.bytes);
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if self.zipped {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let policy = self.policy.and_then(|policy| policy.try_into().ok());
        if let Some(policy) = policy {
            headers.insert("content-security-policy", policy);
        }
        response
    }
}

/// Whether a client takes gzip (RFC 9110 12.5.3); a weight of 0 is a no.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(hyper::header::ACCEPT_ENCODING).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = matches!(parts.next(), Some("gzip" | "*"));
        let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        is_gzip && !refused
    })
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    // Level 4 is twice as fast as the usual 6, and a tenth larger.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(4));
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// An answer with what all of them have.
pub(super) fn response(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Some(body.into())));
    *response.status_mut() = status;
    common(&mut response, kind);
    response
}

/// Events as they come.
pub(super) fn live(events: mpsc::Receiver<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Live(events));
    common(&mut response, EVENTS);
    response
}

fn common(response: &mut Response<Body>, kind: &'static str) {
    let fixed: [(HeaderName, &'static str); 6] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not no-referrer: a browser would hide the origin of a form, too.
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (HeaderName::from_static("x-frame-options"), "DENY"),
    ];
    for (name, value) in fixed {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
}

/// 401 (RFC 9110 15.5.2).
pub(super) fn who_are_you() -> Response<Body> {
    let text = "Who are you? This page has accounts: send a name and its password.\n";
    let mut response = response(StatusCode::UNAUTHORIZED, PLAIN, text);
    let realm = HeaderValue::from_static("Basic realm=\"rlb statistics\", charset=\"UTF-8\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    response
}

/// 303 to here (RFC 9110 15.4.4).
pub(super) fn see_other(location: &str) -> Response<Body> {
    let mut response = response(StatusCode::SEE_OTHER, PLAIN, Bytes::new());
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// 405 (RFC 9110 15.5.6).
pub(super) fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, Bytes::new());
    let methods = HeaderValue::from_static(methods);
    response.headers_mut().insert(ALLOW, methods);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (field, takes) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("br", false),
            ("xgzip", false),
        ] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_static(field);
            headers.insert(hyper::header::ACCEPT_ENCODING, value);
            assert_eq!(takes_gzip(&headers), takes, "{field}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn small_texts_stay_as_they_are() {
        assert!(!Rendered::new(PLAIN, "x".repeat(100), true).zipped);
        assert!(!Rendered::new(PLAIN, "x".repeat(10_000), false).zipped);
        let zipped = Rendered::new(PLAIN, "x".repeat(10_000), true);
        assert!(zipped.zipped && zipped.bytes.len() < 200);
    }
}
