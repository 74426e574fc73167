use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::*;
use crate::config::ProxyVersion;

fn ends(source: &str, destination: &str) -> Ends {
    Ends {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap().to_be_bytes();
    [V2_START, &[command, family][..], &len, block].concat()
}

/// 192.0.2.1:51000 to 198.51.100.2:443.
const TCP4_BLOCK: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 199, 56, 1, 187];

fn tcp4() -> Ends {
    ends("192.0.2.1:51000", "198.51.100.2:443")
}

fn tcp6_block() -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    [
        &ip("2001:db8::1")[..],
        &ip("2001:db8::2"),
        &[199, 56, 1, 187],
    ]
    .concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind][..], &len, value].concat()
}

/// With this checksum, or the right one.
fn summed(sum: Option<u32>) -> Vec<u8> {
    let block = [&TCP4_BLOCK[..], &tlv(TYPE_CRC32C, &[0; 4]), &tlv(2, b"a.b")].concat();
    let mut header = v2(0x21, 0x11, &block);
    let at = V2_FIXED + 12 + 3;
    let sum = sum.unwrap_or_else(|| CRC32C.checksum(&header));
    header[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    header
}

fn good() -> Vec<(Vec<u8>, Said)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let said = |source, destination| Said::Ends(ends(source, destination));
    let six = said("[2001:db8::1]:51000", "[2001:db8::2]:443");
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    vec![
        (
            text("PROXY TCP4 192.0.2.1 198.51.100.2 51000 443\r\n"),
            Said::Ends(tcp4()),
        ),
        (
            text("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n"),
            said("255.255.255.255:65535", "0.0.0.0:0"),
        ),
        (
            text("PROXY TCP6 2001:db8::1 2001:DB8::2 51000 443\r\n"),
            six,
        ),
        (
            text(&format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n")),
            said(&format!("[{longest}]:65535"), &format!("[{longest}]:65535")),
        ),
        // The longest line the protocol knows.
        (
            text(&format!(
                "PROXY UNKNOWN {longest} {longest} 65535 65535\r\n"
            )),
            Said::Nothing,
        ),
        (text("PROXY UNKNOWN\r\n"), Said::Nothing),
        (v2(0x21, 0x11, &TCP4_BLOCK), Said::Ends(tcp4())),
        (v2(0x21, 0x21, &tcp6_block()), six),
        // What a client here cannot have: UDP, Unix sockets, nothing at all.
        (v2(0x21, 0x12, &TCP4_BLOCK), Said::Nothing),
        (v2(0x21, 0x22, &tcp6_block()), Said::Nothing),
        (v2(0x21, 0x31, &[b'/'; 216]), Said::Nothing),
        (v2(0x21, 0x32, &[b'/'; 216]), Said::Nothing),
        (v2(0x21, 0x00, b""), Said::Nothing),
        (
            v2(0x21, 0x00, b"what comes with it is skipped"),
            Said::Nothing,
        ),
        // A check of the sender's own, whatever family it names.
        (v2(0x20, 0x00, b""), Said::Nothing),
        (v2(0x20, 0x11, &TCP4_BLOCK), Said::Nothing),
        (v2(0x20, 0xff, b"x"), Said::Nothing),
        (
            v2(
                0x21,
                0x11,
                &[&TCP4_BLOCK[..], &tlv(2, b"a.test"), &tlv(4, b"")].concat(),
            ),
            Said::Ends(tcp4()),
        ),
        (
            v2(
                0x21,
                0x11,
                &[
                    &TCP4_BLOCK[..],
                    &tlv(0xe0, &[7; HEADER_MAX - V2_FIXED - 15]),
                ]
                .concat(),
            ),
            Said::Ends(tcp4()),
        ),
        (summed(None), Said::Ends(tcp4())),
    ]
}

#[test]
fn headers_say_what_the_protocol_says_they_do() {
    for (bytes, said) in good() {
        let shown = String::from_utf8_lossy(&bytes);
        assert_eq!(read(&bytes), Ok(Some((said, bytes.len()))), "{shown}");
    }
}

#[test]
fn a_header_may_come_byte_by_byte_and_ends_where_it_ends() {
    for (bytes, said) in good() {
        for len in 0..bytes.len() {
            assert_eq!(read(&bytes[..len]), Ok(None), "{len} of {bytes:?}");
        }
        for behind in [&b"\r\n"[..], b"GET / HTTP/1.1\r\n", &[0x16, 3, 1]] {
            let glued = [&bytes[..], behind].concat();
            assert_eq!(read(&glued), Ok(Some((said, bytes.len()))));
        }
    }
}

/// Each shape that is refused, why, and how many of its bytes suffice to tell.
fn bad() -> Vec<(Vec<u8>, BadHeader, usize)> {
    use BadHeader::*;
    let line = |text: &str, why, told| (text.as_bytes().to_vec(), why, told);
    let whole = |text: &str, why| line(text, why, text.len());
    let binary = |bytes: Vec<u8>, why, told| (bytes, why, told);
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(long.len(), V1_MAX + 1);
    let mut other_start = v2(0x21, 0x11, &TCP4_BLOCK);
    other_start[11] = b'\r';
    vec![
        line("GET / HTTP/1.1\r\n\r\n", Start, 1),
        line("PUT / HTTP/1.1\r\n\r\n", Start, 2),
        line("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Start, 1),
        line("PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", Start, 6),
        line("\r\n\r\nGET / HTTP/1.1\r\n", Start, 5),
        line("\x16\x03\x01\x02\x00\x01", Start, 1),
        binary(other_start, Start, 12),
        line("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", Word, 10),
        line("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", Word, 8),
        line("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", Word, 7),
        line("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Word, 7),
        line("PROXY UNKNOWNS\r\n", Word, 14),
        line("PROXY \r\n", Word, 7),
        line("PROXY TCP4\r\n", Word, 11),
        line(&long, Line, V1_MAX),
        line("PROXY UNKNOWN\rX", Line, 15),
        line("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", Line, 31),
        line("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n", Line, 32),
        whole("PROXY TCP4 \r\n", Text),
        whole("PROXY TCP4 1.2.3.4\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", Text),
        whole("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8  1 2\r\n", Text),
        whole("PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n", Text),
        whole("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", Text),
        whole("PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", Text),
        whole("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 0x5.6.7.8 1 2\r\n", Text),
        whole("PROXY TCP4 ::1 ::1 1 2\r\n", Text),
        whole("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", Text),
        whole("PROXY TCP6 ::1 1.2.3.4 1 2\r\n", Text),
        whole("PROXY TCP6 [::1] [::1] 1 2\r\n", Text),
        whole("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Text),
        whole("PROXY TCP6 1::2::3 ::1 1 2\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8 1 02\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8 00 2\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", Text),
        whole("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", Text),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 \xff\r\n".to_vec(), Text, 32),
        binary(v2(0x11, 0x11, &TCP4_BLOCK), Version, 13),
        binary(v2(0x31, 0x11, &TCP4_BLOCK), Version, 13),
        binary(v2(0x22, 0x11, &TCP4_BLOCK), Command, 13),
        binary(v2(0x2f, 0x11, &TCP4_BLOCK), Command, 13),
        // Half a family, a family or a transport beyond those there are.
        binary(v2(0x21, 0x01, &TCP4_BLOCK), Family, 14),
        binary(v2(0x21, 0x10, &TCP4_BLOCK), Family, 14),
        binary(v2(0x21, 0x13, &TCP4_BLOCK), Family, 14),
        binary(v2(0x21, 0x41, &TCP4_BLOCK), Family, 14),
        binary(v2(0x21, 0xff, &TCP4_BLOCK), Family, 14),
        binary(v2(0x21, 0x11, &TCP4_BLOCK[..11]), Short, 16),
        binary(v2(0x21, 0x21, &tcp6_block()[..35]), Short, 16),
        binary(v2(0x21, 0x12, &TCP4_BLOCK[..11]), Short, 16),
        binary(v2(0x21, 0x31, &[0; 215]), Short, 16),
        binary(v2(0x21, 0x11, &[0; HEADER_MAX - V2_FIXED + 1]), Long, 16),
        binary(v2(0x20, 0x00, &[0; HEADER_MAX - V2_FIXED + 1]), Long, 16),
        binary(v2(0x21, 0x00, &[0; 0xffff]), Long, 16),
        binary(v2(0x21, 0x11, &[&TCP4_BLOCK[..], &[2]].concat()), Tlv, 29),
        binary(
            v2(0x21, 0x11, &[&TCP4_BLOCK[..], &[2, 0]].concat()),
            Tlv,
            30,
        ),
        binary(
            v2(0x21, 0x11, &[&TCP4_BLOCK[..], &[2, 0, 2, b'a']].concat()),
            Tlv,
            32,
        ),
        binary(
            v2(
                0x21,
                0x11,
                &[&TCP4_BLOCK[..], &tlv(TYPE_CRC32C, &[0; 3])].concat(),
            ),
            Tlv,
            34,
        ),
        binary(summed(Some(1)), Checksum, 41),
    ]
}

#[test]
fn anything_else_is_refused_as_soon_as_it_shows() {
    for (bytes, why, told) in bad() {
        let shown = String::from_utf8_lossy(&bytes);
        assert_eq!(read(&bytes[..told]), Err(why), "{shown}");
        assert_eq!(read(&bytes[..told - 1]), Ok(None), "{shown}");
        assert_eq!(read(&bytes), Err(why), "{shown}");
    }
}

#[test]
fn the_checksum_is_castagnolis() {
    // RFC 3720 B.4.
    assert_eq!(CRC32C.checksum(&[0; 32]), 0x8a91_36aa);
}

#[test]
fn mapped_addresses_are_those_of_ipv4() {
    let line = b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 51000 443\r\n";
    assert_eq!(read(line), Ok(Some((Said::Ends(tcp4()), line.len()))));
}

#[test]
fn what_is_sent_is_what_haproxy_sends() {
    use ProxyVersion::{V1, V2};
    let sent = |version, ends| Header::passed_on(version, ends).as_bytes().to_vec();
    let six = ends("[2001:db8::1]:51000", "[2001:db8::2]:443");
    let mixed = ends("192.0.2.1:1", "[2001:db8::2]:2");
    let line = |text: &str| text.as_bytes().to_vec();
    for (version, ends, expected) in [
        (
            V1,
            Some(tcp4()),
            line("PROXY TCP4 192.0.2.1 198.51.100.2 51000 443\r\n"),
        ),
        (
            V1,
            Some(six),
            line("PROXY TCP6 2001:db8::1 2001:db8::2 51000 443\r\n"),
        ),
        (
            V1,
            Some(mixed),
            line("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"),
        ),
        (V1, None, line("PROXY UNKNOWN\r\n")),
        (V2, Some(tcp4()), v2(0x21, 0x11, &TCP4_BLOCK)),
        (V2, Some(six), v2(0x21, 0x21, &tcp6_block())),
        (V2, None, v2(0x21, 0x00, b"")),
    ] {
        assert_eq!(sent(version, ends), expected);
    }
    assert_eq!(Header::own(V1).as_bytes(), b"PROXY UNKNOWN\r\n");
    assert_eq!(Header::own(V2).as_bytes(), v2(0x20, 0x00, b""));
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(
        source in address(),
        destination in address(),
        version in prop::sample::select(vec![ProxyVersion::V1, ProxyVersion::V2]),
        behind in any::<Vec<u8>>(),
    ) {
        let ends = Ends { source, destination };
        let header = Header::passed_on(version, Some(ends));
        let bytes = [header.as_bytes(), &behind].concat();
        let read = read(&bytes).unwrap();
        prop_assert_eq!(read, Some((Said::Ends(ends), header.as_bytes().len())));
    }

    #[test]
    fn a_block_of_any_bytes_never_panics(
        command in 0x1e_u8..0x23,
        family in any::<u8>(),
        block in any::<Vec<u8>>(),
    ) {
        check(&v2(command, family, &block));
    }
}
