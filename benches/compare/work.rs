//! What the proxies are asked to do, and the budget rlb has for it.

use crate::peer::Kind;

/// One kind of traffic, the same for every proxy.
#[derive(Debug)]
pub(crate) struct Work {
    /// Its name after `--only`.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// Which listener of the proxy it goes to; also decides the load generator.
    pub(crate) door: Door,
    pub(crate) path: &'static str,
    /// Length of the answer's body, checked before and during the run.
    pub(crate) answer_bytes: u64,
    /// Request headers beside Host.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) budget: &'static [Goal],
}

/// A listener of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// HTTP/1.1 in the clear.
    Http,
    /// The same bytes, relayed unread.
    Tcp,
    /// HTTP/1.1 over TLS 1.3, a P-256 certificate.
    Tls,
    /// HTTP/2 in the clear, to the same HTTP/1.1 origins.
    Http2,
    /// HTTP/2 over TLS, agreed on by ALPN.
    Http2Tls,
}

/// The most CPU time rlb may take, as a share of a peer's in the same round.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) against: Kind,
    pub(crate) must: f64,
    pub(crate) aim: f64,
}

impl Work {
    /// Whether the relay should splice: it pays from about 16 KiB (9.2 against 10.2 µs).
    pub(crate) fn is_large(&self) -> bool {
        self.answer_bytes >= 16 * 1024
    }

    /// Of the addresses that are asked for.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.door {
            Door::Tls | Door::Http2Tls => "https",
            Door::Http | Door::Tcp | Door::Http2 => "http",
        }
    }

    /// Whether each request has a connection of its own.
    pub(crate) fn closes(&self) -> bool {
        self.headers.contains(&("Connection", "close"))
    }
}

/// Body of `return 200` in `benches/peers/origin.conf`.
const SMALL: u64 = 22;
/// Length of the file behind [`PATH_16K`].
pub(crate) const BYTES_16K: u64 = 16 * 1024;
/// Length of the file behind [`PATH_1M`].
pub(crate) const BYTES_1M: u64 = 1024 * 1024;
const PATH_16K: &str = "/files/16k";
const PATH_1M: &str = "/files/1m";

/// Every work, in the order of the table.
pub(crate) const ALL: &[Work] = &[
    Work {
        key: "small",
        title: "small answer, keep-alive",
        door: Door::Http,
        path: "/",
        answer_bytes: SMALL,
        headers: &[],
        budget: &[
            goal(Kind::Haproxy, 0.68, 0.62),
            goal(Kind::Nginx, 0.88, 0.78),
            goal(Kind::Relay, 1.28, 1.15),
        ],
    },
    Work {
        key: "browser",
        title: "browser-size request head",
        door: Door::Http,
        path: "/shop/category/shoes?page=3&sort=price&utm_source=newsletter",
        answer_bytes: SMALL,
        headers: BROWSER,
        budget: &[
            goal(Kind::Haproxy, 0.68, 0.62),
            goal(Kind::Nginx, 0.85, 0.78),
        ],
    },
    Work {
        key: "16k",
        title: "16 KiB answer",
        door: Door::Http,
        path: PATH_16K,
        answer_bytes: BYTES_16K,
        headers: &[],
        budget: &[
            goal(Kind::Haproxy, 0.65, 0.58),
            goal(Kind::Nginx, 0.85, 0.78),
        ],
    },
    Work {
        key: "1m",
        title: "1 MiB answer",
        door: Door::Http,
        path: PATH_1M,
        answer_bytes: BYTES_1M,
        headers: &[],
        budget: &[
            goal(Kind::Haproxy, 0.45, 0.37),
            goal(Kind::Nginx, 0.70, 0.60),
        ],
    },
    Work {
        key: "new",
        title: "new connection per request",
        door: Door::Http,
        path: "/",
        answer_bytes: SMALL,
        headers: &[("Connection", "close")],
        budget: &[goal(Kind::Haproxy, 0.80, 0.75), goal(Kind::Nginx, 1.0, 1.0)],
    },
    Work {
        key: "tcp",
        title: "TCP mode, small answer",
        door: Door::Tcp,
        path: "/",
        answer_bytes: SMALL,
        headers: &[],
        budget: &[goal(Kind::Haproxy, 0.95, 0.88)],
    },
    Work {
        key: "tcp-1m",
        title: "TCP mode, 1 MiB answer",
        door: Door::Tcp,
        path: PATH_1M,
        answer_bytes: BYTES_1M,
        headers: &[],
        budget: &[goal(Kind::Haproxy, 0.95, 0.85)],
    },
    Work {
        key: "tls",
        title: "TLS, small answer",
        door: Door::Tls,
        path: "/",
        answer_bytes: SMALL,
        headers: &[],
        budget: &[
            goal(Kind::Haproxy, 0.60, 0.55),
            goal(Kind::Nginx, 0.75, 0.75),
        ],
    },
    Work {
        key: "tls-new",
        title: "TLS, handshake per request",
        door: Door::Tls,
        path: "/",
        answer_bytes: SMALL,
        headers: &[("Connection", "close")],
        budget: &[
            goal(Kind::Haproxy, 0.55, 0.50),
            goal(Kind::Nginx, 0.65, 0.65),
        ],
    },
    Work {
        key: "tls-1m",
        title: "TLS, 1 MiB answer",
        door: Door::Tls,
        path: PATH_1M,
        answer_bytes: BYTES_1M,
        headers: &[],
        budget: &[
            goal(Kind::Haproxy, 0.55, 0.50),
            goal(Kind::Nginx, 0.95, 0.95),
        ],
    },
    Work {
        key: "h2",
        title: "HTTP/2, 10 streams, small answer",
        door: Door::Http2,
        path: "/",
        answer_bytes: SMALL,
        headers: &[],
        budget: &[
            goal(Kind::Haproxy, 0.58, 0.50),
            goal(Kind::Nginx, 0.78, 0.70),
        ],
    },
    Work {
        key: "h2-tls",
        title: "HTTP/2 over TLS, the same",
        door: Door::Http2Tls,
        path: "/",
        answer_bytes: SMALL,
        headers: &[],
        budget: &[
            goal(Kind::Haproxy, 0.58, 0.50),
            goal(Kind::Nginx, 0.78, 0.70),
        ],
    },
];

const fn goal(against: Kind, must: f64, aim: f64) -> Goal {
    Goal { against, must, aim }
}

/// What a current browser sends with a page of a shop, cookies included: about 1.2 KiB.
const BROWSER: &[(&str, &str)] = &[
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    ),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    ),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8,fr;q=0.7"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    (
        "Referer",
        "https://www.example.com/shop/category/shoes?page=2&sort=price",
    ),
    (
        "Cookie",
        "session=3f1c9a7e5b2d4860a1c3e5f7092b4d6e; consent=necessary.statistics; cart=7-2213-1~9-1180-2; _ga=GA1.2.1498172634.1719412345; _gid=GA1.2.1298374652.1719912345; locale=en_GB; ab=checkout:b,header:a",
    ),
    ("Cache-Control", "max-age=0"),
    ("Upgrade-Insecure-Requests", "1"),
    (
        "Sec-CH-UA",
        "\"Chromium\";v=\"138\", \"Not=A?Brand\";v=\"24\", \"Google Chrome\";v=\"138\"",
    ),
    ("Sec-CH-UA-Mobile", "?0"),
    ("Sec-CH-UA-Platform", "\"Linux\""),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-User", "?1"),
    ("Priority", "u=0, i"),
];
