//! The stats page as its clients see it: raw requests, a browser, and the programs
//! that read and steer HAProxy.

mod browser;
mod browser_tls;
mod clients;
mod everything;
mod many;
mod rules;
mod steer;
mod tls;

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::support::{Head, Lb, RawClient, free_addr};

/// An engine with a page of its own and one on its frontend `www`, which has a backend
/// `web` of two servers that nobody checks.
struct Page {
    lb: Lb,
    addr: SocketAddr,
}

/// ann:secret.
const ANN: &str = "Authorization: Basic YW5uOnNlY3JldA==\r\n";

impl Page {
    /// With these keys in `[stats]` and in the `stats` of the frontend.
    #[track_caller]
    fn with(keys: &[&str]) -> Self {
        let addr = free_addr();
        let inline: String = keys.iter().map(|key| format!(", {key}")).collect();
        let lb = Lb::start(&format!(
            "[stats]\nbind = \"{addr}\"\n{}\n\
             [[frontend]]\nname = \"www\"\nbind = \"127.0.0.1:0\"\ndefault_backend = \"web\"\n\
             stats = {{ path = \"/haproxy?stats\"{inline} }}\n\
             route = {{ path_prefix = \"/\", backend = \"web\" }}\n\
             [[backend]]\nname = \"web\"\nserver = [\n\
             {{ name = \"s1\", address = \"127.0.0.1:1\", weight = 10 }},\n\
             {{ name = \"s2\", address = \"127.0.0.1:2\" }},\n]\n",
            keys.join("\n")
        ));
        Self { lb, addr }
    }

    /// ann may steer.
    #[track_caller]
    fn steered() -> Self {
        Self::with(&["auth = \"ann:secret\"", "admin = true"])
    }

    /// Where the page is, in both places.
    fn places(&self) -> [(SocketAddr, &'static str); 2] {
        [
            (self.addr, "/haproxy_stats"),
            (self.lb.addr(), "/haproxy?stats"),
        ]
    }

    #[track_caller]
    fn get(&self, target: &str) -> (Head, String) {
        get(self.addr, target, "")
    }
}

/// One GET on a connection of its own.
#[track_caller]
fn get(addr: SocketAddr, target: &str, fields: &str) -> (Head, String) {
    request(addr, "GET", target, fields, "")
}

#[track_caller]
fn request(
    addr: SocketAddr,
    method: &str,
    target: &str,
    fields: &str,
    body: &str,
) -> (Head, String) {
    let length = body.len();
    let text = format!(
        "{method} {target} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    );
    let (head, body) = RawClient::connect(addr).send(text).read_response();
    (head, String::from_utf8(body).expect("text"))
}

/// A client whose address is 127.0.0.`host`.
#[track_caller]
fn client_from(host: u8, addr: SocketAddr) -> RawClient {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let own = SocketAddr::from(([127, 0, 0, host], 0));
    socket.bind(&own.into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    RawClient::over(socket.into())
}

/// One that looks at the page live.
#[track_caller]
fn listener_from(host: u8, addr: SocketAddr) -> RawClient {
    let mut client = client_from(host, addr);
    client.send("GET /haproxy_stats;events HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_head().status(), 200);
    client
}

/// A cell of the CSV.
#[track_caller]
fn cell(csv: &str, proxy: &str, server: &str, column: &str) -> String {
    let mut rows = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().expect("a header");
    let index = header
        .iter()
        .position(|name| name.trim_start_matches("# ") == column);
    let index = index.unwrap_or_else(|| panic!("no column {column}"));
    let row = rows.find(|row| row[0] == proxy && row.get(1) == Some(&server));
    row.unwrap_or_else(|| panic!("no row {proxy}/{server}: {csv}"))[index].to_owned()
}
