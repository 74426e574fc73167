//! A DNS server that says what a test wants, over UDP and TCP on one port.

use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinHandle;

use crate::config::Dns;

/// One that runs; ends with its drop.
pub(crate) struct Fake {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    code: u8,
    records: [Vec<Vec<u8>>; 2],
    is_cut: bool,
    is_silent: bool,
    has_wrong_id: bool,
}

/// Asked for this name and type (`A`, `AAAA`, `SRV`), over TCP or not.
type Answer = Rc<dyn Fn(&str, &str, bool) -> Reply>;

impl Fake {
    /// Needs a local runtime.
    pub(crate) async fn start(answer: impl Fn(&str, &str, bool) -> Reply + 'static) -> Self {
        let answer: Answer = Rc::new(answer);
        // The same port must be free for both.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let over_udp = tokio::task::spawn_local(serve_udp(udp, Rc::clone(&answer)));
        let over_tcp = tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                tokio::task::spawn_local(serve_tcp(stream, Rc::clone(&answer)));
            }
        });
        Self {
            address,
            tasks: [over_udp, over_tcp],
        }
    }

    /// Settings that ask it.
    pub(crate) fn dns(&self) -> Dns {
        Dns {
            servers: vec![self.address],
            ..Dns::default()
        }
    }

    /// Where no server is.
    pub(crate) fn nobody() -> SocketAddr {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Reply {
    /// No error and no record.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A failure (RFC 1035 4.1.1): 2 = SERVFAIL, 5 = REFUSED.
    pub(crate) fn code(code: u8) -> Self {
        Self {
            code,
            ..Self::default()
        }
    }

    /// There is no such name.
    pub(crate) fn nx() -> Self {
        Self::code(3)
    }

    /// Nothing is sent.
    pub(crate) fn silence() -> Self {
        Self {
            is_silent: true,
            ..Self::default()
        }
    }

    /// A record whose name points at itself.
    pub(crate) fn raw_name_loop() -> Self {
        let mut reply = Self::default();
        // Behind the head and a question of loop.test: offset 27.
        let looping = [&[0xc0, 27, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1][..]].concat();
        reply.records[0].push(looping);
        reply
    }

    /// Of another question.
    pub(crate) fn wrong_id(mut self) -> Self {
        self.has_wrong_id = true;
        self
    }

    /// With the mark of an answer that did not fit.
    pub(crate) fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }

    pub(crate) fn a(self, name: &str, ttl: u32, ip: [u8; 4]) -> Self {
        self.record(0, name, 1, ttl, &ip)
    }

    pub(crate) fn aaaa(self, name: &str, ttl: u32, ip: &str) -> Self {
        let ip: Ipv6Addr = ip.parse().unwrap();
        self.record(0, name, 28, ttl, &ip.octets())
    }

    pub(crate) fn cname(self, name: &str, ttl: u32, to: &str) -> Self {
        self.record(0, name, 5, ttl, &wire(to))
    }

    /// Priority, weight and port.
    pub(crate) fn srv(self, name: &str, ttl: u32, numbers: (u16, u16, u16), to: &str) -> Self {
        let numbers = [numbers.0, numbers.1, numbers.2].map(u16::to_be_bytes);
        self.record(
            0,
            name,
            33,
            ttl,
            &[&numbers.concat()[..], &wire(to)].concat(),
        )
    }

    pub(crate) fn additional_a(self, name: &str, ttl: u32, ip: [u8; 4]) -> Self {
        self.record(1, name, 1, ttl, &ip)
    }

    fn record(mut self, section: usize, name: &str, kind: u16, ttl: u32, data: &[u8]) -> Self {
        let mut record = wire(name);
        record.extend(kind.to_be_bytes());
        record.extend([0, 1]);
        record.extend(ttl.to_be_bytes());
        record.extend((data.len() as u16).to_be_bytes());
        record.extend(data);
        self.records[section].push(record);
        self
    }

    /// The message that answers `query`; empty = nothing.
    fn bytes(&self, query: &[u8], question: &[u8]) -> Vec<u8> {
        if self.is_silent {
            return Vec::new();
        }
        let mut message = vec![query[0], query[1] ^ u8::from(self.has_wrong_id)];
        // An answer, authoritative, recursion asked for and there.
        message.push(0x85 | u8::from(self.is_cut) << 1);
        message.push(0x80 | self.code);
        let counts = [1, self.records[0].len(), 0, self.records[1].len()];
        message.extend(counts.map(|count| (count as u16).to_be_bytes()).concat());
        message.extend(question);
        message.extend(self.records.concat().concat());
        message
    }
}

/// Runs a test on a local runtime, as the control thread has one.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default());
    runtime.unwrap().block_on(test);
}

async fn serve_udp(socket: UdpSocket, answer: Answer) {
    let mut buffer = [0; 4096];
    while let Ok((len, peer)) = socket.recv_from(&mut buffer).await {
        let message = reply(&buffer[..len], &answer, false);
        if !message.is_empty() {
            socket.send_to(&message, peer).await.unwrap();
        }
    }
}

async fn serve_tcp(mut stream: TcpStream, answer: Answer) {
    while let Ok(len) = stream.read_u16().await {
        let mut query = vec![0; usize::from(len)];
        stream.read_exact(&mut query).await.unwrap();
        let message = reply(&query, &answer, true);
        if message.is_empty() {
            continue;
        }
        let len = u16::try_from(message.len()).unwrap().to_be_bytes();
        // The client may have had enough.
        let _ = stream.write_all(&[&len[..], &message].concat()).await;
    }
}

fn reply(query: &[u8], answer: &Answer, over_tcp: bool) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    let kind = match u16::from_be_bytes([query[at + 1], query[at + 2]]) {
        1 => "A",
        28 => "AAAA",
        33 => "SRV",
        _ => "other",
    };
    answer(&labels.join("."), kind, over_tcp).bytes(query, &query[12..at + 5])
}

/// A name as labels (RFC 1035 3.1).
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels
        .flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes()))
        .collect();
    bytes.push(0);
    bytes
}
