//! What HTTP/2 adds to frontends and backends.

use std::time::Duration;

/// HTTP version a backend's servers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// HTTP/1.1 (default).
    #[default]
    Http1,
    /// HTTP/2, by prior knowledge (RFC 9113 3.3) or by ALPN.
    Http2,
}

/// HTTP versions the clients of a plain bind may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BindProtocol {
    /// HTTP/1 (default).
    #[default]
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// Either: their first bytes tell.
    Both,
}

/// Connections of HTTP/2 clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHttp2 {
    /// Requests at once on one connection. Default 100.
    pub streams: u32,
    /// Bytes a client may send ahead of a server, per request. Default 64 KiB.
    pub window: u32,
    /// The same for a whole connection. Default 1 MiB.
    pub connection_window: u32,
    /// Clients are told that they may open WebSockets on it (RFC 8441). Default true.
    pub websockets: bool,
    /// What ends a connection for being a nuisance.
    pub floods: Floods,
}

/// Frames of a kind that a client may send within [`per`](Self::per); more ends its
/// connection with ENHANCE_YOUR_CALM (RFC 9113 10.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floods {
    /// The time they are counted in. Default 10 s.
    pub per: Duration,
    /// RST_STREAM (CVE-2023-44487). Default 100.
    pub resets: u32,
    /// Resets that the client's own faults make us send, over the life of a
    /// connection (CVE-2025-8671). Default 100.
    pub faults: u32,
    /// PING; DATA that we send allows for more. Default 100.
    pub pings: u32,
    /// SETTINGS. Default 20.
    pub settings: u32,
    /// Frames that move nothing: PRIORITY, unknown ones, DATA without a byte;
    /// WINDOW_UPDATE, of which DATA that we send allows for more. Default 1,000.
    pub idle_frames: u32,
    /// CONTINUATION frames of one head (CVE-2024-27316). Default 8.
    pub continuations: u32,
}

/// Connections to HTTP/2 servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHttp2 {
    /// Requests at once on one connection; the server may allow fewer. Default 100.
    pub streams: u32,
    /// Bytes a server may send ahead of a client, per request. Default 64 KiB.
    pub window: u32,
    /// The same for a whole connection. Default 1 MiB.
    pub connection_window: u32,
    /// A busy connection is asked for a sign of life this often; `None` = never. Default 10 s.
    pub ping: Option<Duration>,
}

impl Default for ClientHttp2 {
    fn default() -> Self {
        let ServerHttp2 {
            streams,
            window,
            connection_window,
            ..
        } = ServerHttp2::default();
        Self {
            streams,
            window,
            connection_window,
            websockets: true,
            floods: Floods::default(),
        }
    }
}

impl Default for Floods {
    fn default() -> Self {
        Self {
            per: Duration::from_secs(10),
            // A page left in a hurry resets what it had asked for: some dozens.
            resets: 100,
            faults: 100,
            // gRPC measures its bandwidth with them, while data comes.
            pings: 100,
            settings: 20,
            idle_frames: 1000,
            // 16 KiB each: far more than a head may have.
            continuations: 8,
        }
    }
}

impl Default for ServerHttp2 {
    fn default() -> Self {
        Self {
            streams: 100,
            window: 64 << 10,
            connection_window: 1 << 20,
            ping: Some(Duration::from_secs(10)),
        }
    }
}
