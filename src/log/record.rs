//! What a worker tells of a finished request or TCP session.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A stage that was never reached, as a duration.
pub(crate) const NEVER: i64 = -1;

/// One record, borrowed from where it happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// The numbers.
    pub(crate) facts: Facts,
    /// Its name.
    pub(crate) frontend: &'a str,
    /// Its name; "" = none was found.
    pub(crate) backend: &'a str,
    /// Its name; "" = none was reached.
    pub(crate) server: &'a str,
    /// `GET /path HTTP/1.1`, in TCP mode the name a ClientHello asked for; "" = there
    /// was none that could be read.
    pub(crate) line: &'a [u8],
}

/// Whose record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// A request.
    #[default]
    Http,
    /// A session in TCP mode.
    Tcp,
}

/// The numbers of a record. Durations are microseconds, [`NEVER`] = not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whose.
    pub(crate) kind: Kind,
    /// Over TLS.
    pub(crate) tls: bool,
    /// The server's connection came from the pool.
    pub(crate) reused: bool,
    /// It was given to another server after a failure.
    pub(crate) redispatched: bool,
    /// The two letters of HAProxy's termination state.
    pub(crate) end: [u8; 2],
    /// The two that follow them, of the client's cookie: in the request, in the answer;
    /// `None` = the backend knows none.
    pub(crate) cookies: Option<[u8; 2]>,
    /// Of the answer; 0 = none.
    pub(crate) status: u16,
    /// Failed tries to connect.
    pub(crate) retries: u16,
    /// The client.
    pub(crate) ip: IpAddr,
    /// Its port.
    pub(crate) port: u16,
    /// First byte of the request, or the accept in TCP mode: microseconds on the
    /// clock of the process.
    pub(crate) began_us: u64,
    /// From there to the whole head: TR.
    pub(crate) request: i64,
    /// Waiting for a place: Tw.
    pub(crate) queue: i64,
    /// Connecting, retries included: Tc.
    pub(crate) connect: i64,
    /// The server's first answer: Tr.
    pub(crate) response: i64,
    /// From `began_us` to the end: Ta, in TCP mode Tt.
    pub(crate) total: i64,
    /// To the client.
    pub(crate) bytes_out: u64,
    /// From the client.
    pub(crate) bytes_in: u64,
    /// Client connections of the process, this one included.
    pub(crate) actconn: u32,
    /// Those of the frontend.
    pub(crate) feconn: u32,
    /// What else the backend has under way.
    pub(crate) beconn: u32,
    /// What else the server has under way.
    pub(crate) srvconn: u32,
    /// Its position in the backend's queue: one, and those who were served while it waited;
    /// 0 = it did not.
    pub(crate) queued: u32,
    /// The same in the line of the server that its cookie named; at most 65,535 are told.
    pub(crate) queued_own: u32,
}

/// Words of packed [`Facts`].
pub(super) const FACTS: usize = 14;

const TCP: u64 = 1;
const TLS: u64 = 1 << 1;
const REUSED: u64 = 1 << 2;
const REDISPATCHED: u64 = 1 << 3;
const V4: u64 = 1 << 4;

#[inline]
pub(super) fn pack(facts: &Facts) -> [u64; FACTS] {
    let flag = |is: bool, flag: u64| if is { flag } else { 0 };
    let (v4, ip) = match facts.ip {
        IpAddr::V4(ip) => (V4, u128::from(ip.to_bits())),
        IpAddr::V6(ip) => (0, ip.to_bits()),
    };
    let flags = flag(facts.kind == Kind::Tcp, TCP)
        | flag(facts.tls, TLS)
        | flag(facts.reused, REUSED)
        | flag(facts.redispatched, REDISPATCHED)
        | v4;
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    [
        flags
            | u64::from(facts.end[0]) << 8
            | u64::from(facts.end[1]) << 16
            | u64::from(facts.status) << 24
            | u64::from(facts.retries) << 40
            | pack_cookies(facts.cookies) << 56,
        u64::from(facts.port)
            | u64::from(facts.queued_own.min(u16::MAX.into())) << 16
            | u64::from(facts.queued) << 32,
        facts.began_us,
        // Durations: a sign that comes back the same.
        facts.request as u64,
        facts.queue as u64,
        facts.connect as u64,
        facts.response as u64,
        facts.total as u64,
        facts.bytes_out,
        facts.bytes_in,
        pair(facts.actconn, facts.feconn),
        pair(facts.beconn, facts.srvconn),
        (ip >> 64) as u64,
        ip as u64,
    ]
}

pub(super) fn unpack(words: [u64; FACTS]) -> Facts {
    let [first, port, rest @ ..] = words;
    let [
        began_us,
        request,
        queue,
        connect,
        response,
        total,
        bytes_out,
        bytes_in,
        clients,
        others,
        high,
        low,
    ] = rest;
    let ip = u128::from(high) << 64 | u128::from(low);
    Facts {
        kind: if first & TCP == 0 {
            Kind::Http
        } else {
            Kind::Tcp
        },
        tls: first & TLS != 0,
        reused: first & REUSED != 0,
        redispatched: first & REDISPATCHED != 0,
        end: [(first >> 8) as u8, (first >> 16) as u8],
        cookies: unpack_cookies(first >> 56),
        status: (first >> 24) as u16,
        retries: (first >> 40) as u16,
        ip: if first & V4 == 0 {
            Ipv6Addr::from_bits(ip).into()
        } else {
            Ipv4Addr::from_bits(ip as u32).into()
        },
        port: port as u16,
        began_us,
        request: request as i64,
        queue: queue as i64,
        connect: connect as i64,
        response: response as i64,
        total: total as i64,
        bytes_out,
        bytes_in,
        actconn: (clients >> 32) as u32,
        feconn: clients as u32,
        beconn: (others >> 32) as u32,
        srvconn: others as u32,
        queued: (port >> 32) as u32,
        queued_own: u32::from((port >> 16) as u16),
    }
}

/// Three bits for each letter.
#[inline]
fn pack_cookies(cookies: Option<[u8; 2]>) -> u64 {
    let Some([said, set]) = cookies else { return 0 };
    let position = |letters: &[u8], letter| letters.iter().position(|known| *known == letter);
    let [said, set] = [position(SAID, said), position(SET, set)];
    (said.unwrap_or(0) | set.unwrap_or(0) << 3) as u64
}

fn unpack_cookies(bits: u64) -> Option<[u8; 2]> {
    let letter = |letters: &[u8], bits: u64| letters.get(bits as usize & 7).copied();
    let cookies = [letter(SAID, bits)?, letter(SET, bits >> 3)?];
    (bits != 0).then_some(cookies)
}

/// What may become of a client's cookie (HAProxy manual 8.5); the first is for none.
const SAID: &[u8] = b"-NIDVEO";
/// What an answer may do with it.
const SET: &[u8] = b"-NIUPRD";

impl<'a> Record<'a> {
    pub(super) fn texts(&self) -> [&'a [u8]; 4] {
        // A length has 16 bits in the ring; names have 128 bytes at most, lines
        // what the file allows.
        let short = |text: &'a [u8]| &text[..text.len().min(TEXT_MAX)];
        [
            short(self.frontend.as_bytes()),
            short(self.backend.as_bytes()),
            short(self.server.as_bytes()),
            short(self.line),
        ]
    }

    /// Whether nothing went wrong, as HAProxy's dontlog-normal means it (manual 8.3.3).
    pub(super) fn is_normal(&self) -> bool {
        let facts = &self.facts;
        let whole = facts.end == *b"--" || facts.end[0] == b'L';
        whole && facts.retries == 0 && !facts.redispatched && facts.status < 500
    }
}

/// A record that was taken out of its ring; used again and again.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) facts: Facts,
    pub(super) bytes: Vec<u8>,
    /// Where each text ends in `bytes`.
    pub(super) ends: [usize; 4],
}

impl Taken {
    pub(super) fn record(&self) -> Record<'_> {
        let [frontend, backend, server, line] = self.ends;
        let name = |from: usize, to: usize| {
            // They were names when they went in.
            str::from_utf8(&self.bytes[from..to]).unwrap_or_default()
        };
        Record {
            facts: self.facts,
            frontend: name(0, frontend),
            backend: name(frontend, backend),
            server: name(backend, server),
            line: &self.bytes[server..line],
        }
    }
}

impl Default for Taken {
    fn default() -> Self {
        Self {
            facts: unpack([0; FACTS]),
            bytes: Vec::new(),
            ends: [0; 4],
        }
    }
}

const TEXT_MAX: usize = u16::MAX as usize;

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A request that went well.
    pub(crate) fn facts() -> Facts {
        Facts {
            kind: Kind::Http,
            tls: false,
            reused: false,
            redispatched: false,
            end: *b"--",
            cookies: None,
            status: 200,
            retries: 0,
            ip: Ipv4Addr::LOCALHOST.into(),
            port: 59838,
            began_us: 0,
            request: 0,
            queue: 0,
            connect: 400,
            response: 1_900,
            total: 2_500,
            bytes_out: 262,
            bytes_in: 80,
            actconn: 1,
            feconn: 1,
            beconn: 0,
            srvconn: 0,
            queued: 0,
            queued_own: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_as_they_were_packed() {
        let odd = Facts {
            kind: Kind::Tcp,
            tls: true,
            reused: true,
            redispatched: true,
            end: *b"sC",
            status: 65_535,
            retries: 65_535,
            ip: "2001:db8::1".parse().unwrap(),
            port: 65_535,
            began_us: u64::MAX,
            request: NEVER,
            queue: i64::MAX,
            connect: NEVER,
            response: 7,
            total: 8,
            bytes_out: u64::MAX,
            bytes_in: 9,
            actconn: u32::MAX,
            feconn: 1,
            beconn: 2,
            srvconn: u32::MAX,
            queued: u32::MAX,
            queued_own: 65_535,
            cookies: Some(*b"DP"),
        };
        for facts in [odd, testing::facts()] {
            assert_eq!(unpack(pack(&facts)), facts);
        }
    }

    #[test]
    fn only_what_went_well_is_normal() {
        let normal = |change: fn(&mut Facts)| {
            let mut facts = testing::facts();
            change(&mut facts);
            let record = Record {
                facts,
                frontend: "",
                backend: "",
                server: "",
                line: b"",
            };
            record.is_normal()
        };
        assert!(normal(|_| ()));
        assert!(normal(|facts| facts.status = 404));
        assert!(!normal(|facts| facts.status = 500));
        assert!(!normal(|facts| facts.end = *b"CD"));
        assert!(!normal(|facts| facts.retries = 1));
        assert!(!normal(|facts| facts.redispatched = true));
    }
}
