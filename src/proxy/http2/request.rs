//! What an exchange keeps of its request.

use crate::http::{self as rules, Asked, Framing, RequestHead, Version, WebSocketKey};
use crate::proxy::Client;
use crate::proxy::choose::Target;
use crate::proxy::record;
use crate::proxy::upstream::Use;

/// What is needed of the head later.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// As HTTP/1.1 would have it, for the server.
    pub(super) text: Vec<u8>,
    pub(super) framing: Option<Framing>,
    pub(super) asked: Asked,
    pub(super) idempotent: bool,
    pub(super) grpc: bool,
    /// It opens a WebSocket (RFC 8441), with this key.
    pub(super) websocket: Option<WebSocketKey>,
}

impl Request {
    /// Writes what the server is sent.
    pub(super) fn fill(&mut self, client: &Client, head: &RequestHead<'_, '_>) {
        let shard = client.shard();
        let rules_of = &client.frontend.config.forwarded;
        let request_id = rules_of.request_id.as_ref().map(|_| shard.request_id());
        self.websocket = match (head.version, head.upgrade) {
            (Version::Http2, Some(_)) => Some(websocket_key()),
            _ => None,
        };
        let about = rules::Client {
            websocket_key: self.websocket,
            ..client.about(request_id.as_ref())
        };
        let bound = rules::request_bound(head, rules_of, &about);
        let mut text = shard.buffers.take_head(bound);
        rules::write_request(head, rules_of, &about, &mut text);
        self.text = text;
        self.framing = Some(head.framing);
        self.idempotent = head.kind.is_idempotent();
    }
}

/// A request for which a server was chosen already.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) request: Request,
    pub(super) target: Target,
    pub(super) server: Option<Use>,
    pub(super) line: Vec<u8>,
    pub(super) head_len: u64,
}

impl Begun {
    pub(super) fn new(
        client: &Client,
        head: &RequestHead<'_, '_>,
        target: Target,
        server: Option<Use>,
    ) -> Self {
        let mut line = Vec::new();
        if let Some(line_max) = client.shard().log.wants() {
            record::keep_line(&mut line, head, line_max);
        }
        let mut request = Request {
            asked: head.asked(),
            ..Request::default()
        };
        request.fill(client, head);
        Self {
            request,
            target,
            server,
            line,
            head_len: head.len as u64,
        }
    }
}

fn websocket_key() -> WebSocketKey {
    let mut nonce = [0; 16];
    // It protects from nothing here: a nonce that is known is as good.
    let _ = aws_lc_rs::rand::fill(&mut nonce);
    WebSocketKey::new(nonce)
}
