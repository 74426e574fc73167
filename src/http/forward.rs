//! The request head as sent to the server.

use std::net::IpAddr;

use super::RequestHead;
use crate::config::Forwarded;

/// What is known of the client's connection.
pub(crate) struct Client<'a> {
    pub(crate) ip: IpAddr,
    /// `ip` as text, without brackets.
    pub(crate) ip_text: &'a [u8],
    /// Local port of the client's connection.
    pub(crate) local_port_text: &'a [u8],
    pub(crate) https: bool,
    /// `ip` lies in [`Forwarded::trusted`].
    pub(crate) trusted: bool,
    /// Made by the caller when [`Forwarded::request_id`] names a field.
    pub(crate) request_id: Option<&'a [u8]>,
}

/// Upper bound of what [`write_request`] appends.
pub(crate) fn request_bound(
    head: &RequestHead<'_, '_>,
    rules: &Forwarded,
    client: &Client<'_>,
) -> usize {
    let _ = (head, rules, client);
    unimplemented!()
}

/// Appends the head as sent to the server: HTTP/1.1, origin-form, Host, the
/// end-to-end fields in order with names unchanged, framing by our decision,
/// X-Forwarded-* and friends by `rules`. No Connection line unless Upgrade or TE
/// need one: persistence is implied in 1.1.
pub(crate) fn write_request(
    head: &RequestHead<'_, '_>,
    rules: &Forwarded,
    client: &Client<'_>,
    out: &mut Vec<u8>,
) {
    let _ = (head, rules, client, out);
    unimplemented!()
}
