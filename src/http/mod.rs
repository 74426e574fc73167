//! HTTP/1.1 as bytes and rules: heads, framing, forwarding, bodies, own answers; and
//! what is different where a head came, or leaves, in HTTP/2.
//!
//! Three rules cover most of it: a head is parsed once, strictly, into fields and
//! every forwarded head is built anew from them; each message has one framing
//! decision, made in `framing.rs`, and what is sent on is written by it; what
//! cannot be represented is refused, not repaired.
//!
//! This room must not know sockets, clocks, tasks or who proxies for whom; it
//! allocates only for what is rare (trailers). Heads as nearly everybody writes them
//! are read by `plain.rs`; every other, and every refusal, is by way of httparse. Start
//! reading at [`parse_request`], then [`write_request`]; bodies begin at [`Decoder`].
//! "9110", "9112" in comments are RFC numbers.

mod body;
mod canned;
mod chunked;
mod cookie;
mod dates;
mod error;
mod field;
mod forward;
mod framing;
mod h2;
mod lower;
mod plain;
mod reply;
mod request;
mod response;
mod target;
mod trailer;
mod websocket;

#[cfg(test)]
mod tests;

pub(crate) use body::{CHUNK_HEAD_MAX, Decoded, Decoder, LAST_CHUNK, chunk_head};
pub(crate) use canned::{Canned, write_canned, write_date};
pub(crate) use cookie::{Crumb, SetCookie};
pub(crate) use dates::{CookieDates, DATES_MAX};
pub(crate) use error::{BadResponse, BodyError, Refused};
pub(crate) use field::{Field, FieldKind, Slots};
pub(crate) use forward::{Client, request_bound, write_request};
pub(crate) use framing::{Framing, ResponseFraming};
pub(crate) use h2::{
    filter_trailers, h2_sets_cookie, join_cookies, read_h2_request, read_trailers,
    relay_h2_response, set_h2_cookie, to_h2_answer, to_h2_request, to_h2_response, to_h2_tunnel,
    write_trailers,
};
pub(crate) use lower::{lowered_framing, write_lowered};
pub(crate) use reply::{Reply, reply_framing, response_bound, write_response};
pub(crate) use request::{MethodKind, RequestHead, Scheme, may_complete, parse_request};
pub(crate) use response::{Asked, ResponseHead, parse_response};
pub(crate) use websocket::WebSocketKey;

/// Version of a message as received; ours is always 1.1, in both directions (9110 2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    Http10,
    /// 1.1, and any higher minor version (9110 2.5).
    Http11,
    /// Its frames are read elsewhere; its heads come here as fields (9113 8).
    Http2,
}
