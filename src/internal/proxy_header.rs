//! What must hold of PROXY headers for any bytes.

/// See the name of the target.
pub fn header(data: &[u8]) {
    crate::net::proxy_header::check(data);
}
