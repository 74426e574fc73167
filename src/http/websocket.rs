//! The opening handshake of WebSocket in HTTP/1.1 (RFC 6455 4), for clients that open
//! one in HTTP/2, where there is none (RFC 8441 5).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a server is to prove that it speaks WebSocket with: `Sec-WebSocket-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WebSocketKey([u8; KEY]);

impl WebSocketKey {
    /// Of a nonce that no cache in between has seen; it hides nothing.
    pub(crate) fn new(nonce: [u8; 16]) -> Self {
        let mut key = [0; KEY];
        let written = STANDARD.encode_slice(nonce, &mut key);
        debug_assert_eq!(written, Ok(KEY), "16 bytes are 24 digits");
        Self(key)
    }

    /// As in the field.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the `Sec-WebSocket-Accept` of it.
    pub(crate) fn is_answered_by(&self, accept: &[u8]) -> bool {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&self.0[..], GUID].concat());
        STANDARD.encode(hash).as_bytes() == accept
    }
}

/// The name of the protocol, in `Upgrade` and in `:protocol`.
pub(super) const WEBSOCKET: &str = "websocket";
pub(super) const KEY_FIELD: &str = "sec-websocket-key";
pub(super) const ACCEPT_FIELD: &str = "sec-websocket-accept";

const KEY: usize = 24;
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_answer() {
        // RFC 6455 1.3.
        let key = WebSocketKey::new(*b"the sample nonce");
        assert_eq!(key.as_bytes(), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert!(key.is_answered_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(!key.is_answered_by(b"S3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(!key.is_answered_by(b""));
    }
}
