use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// A value with its length in two bytes before it.
fn block(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &block(value)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    let name = [&[HOST_NAME][..], &block(name)].concat();
    extension(SERVER_NAME, &block(&name))
}

fn alpn(protocols: &[&[u8]]) -> Vec<u8> {
    let names = protocols.iter().flat_map(|name| {
        let len = [u8::try_from(name.len()).unwrap()];
        [&len[..], name].concat()
    });
    extension(ALPN, &block(&names.collect::<Vec<_>>()))
}

/// RFC 8701: a value that means nothing.
fn grease() -> Vec<u8> {
    extension(0x8a8a, b"")
}

/// A message with these bytes where the extensions stand, their length included.
fn message(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([4, 1, 2, 3, 4]);
    body.extend(block(&[0x13, 0x01, 0x8a, 0x8a]));
    body.extend([1, 0]);
    body.extend(extensions);
    let [_, head @ ..] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[CLIENT_HELLO][..], &head, &body].concat()
}

fn with(extensions: &[Vec<u8>]) -> Vec<u8> {
    message(&block(&extensions.concat()))
}

/// The message in records of at most `len` bytes.
fn records(message: &[u8], len: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[HANDSHAKE, MAJOR, 1][..], &block(part)].concat();
    message.chunks(len).flat_map(record).collect()
}

fn scan(bytes: &[u8]) -> Result<bool, NotHello> {
    Scan::default().is_whole(bytes)
}

/// What is asked for: name and protocols, as [`ClientHello`] gives them.
fn asked(message: &[u8]) -> Result<(Option<String>, Vec<String>), NotHello> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let hello = ClientHello::parse(message)?;
    Ok((
        hello.server_name().map(text),
        hello.protocols().map(text).collect(),
    ))
}

fn name(bytes: &[u8]) -> Option<String> {
    asked(&with(&[sni(bytes)])).unwrap().0
}

#[test]
fn name_and_protocols_are_read_among_others() {
    let extensions = [
        grease(),
        alpn(&[b"ZZ", b"h2", b"http/1.1"]),
        extension(43, &[2, 3, 4]),
        sni(b"demo.example.com"),
        // encrypted_client_hello: the outer name above is the one that counts.
        extension(0xfe0d, &[0; 250]),
    ];
    let expected = ["ZZ", "h2", "http/1.1"].map(str::to_owned).to_vec();
    assert_eq!(
        asked(&with(&extensions)),
        Ok((Some("demo.example.com".to_owned()), expected))
    );
}

#[test]
fn without_extensions_nothing_is_asked_for() {
    for none in [message(b""), message(&block(b""))] {
        assert_eq!(asked(&none), Ok((None, Vec::new())));
    }
}

#[test]
fn names_come_without_a_final_dot_and_impossible_ones_not_at_all() {
    assert_eq!(name(b"Demo.Example.com."), Some("Demo.Example.com".into()));
    assert_eq!(name(b"_dmarc.a-b.c"), Some("_dmarc.a-b.c".into()));
    assert_eq!(name(&[b'a'; 253]), Some("a".repeat(253)));
    for impossible in [
        &b"."[..],
        &[b'a'; 254],
        b"a b",
        b"a\0b",
        b"a/b",
        b"*.b",
        b"[::1]",
        b"a:443",
        b"caf\xc3\xa9",
    ] {
        assert_eq!(name(impossible), None, "{}", impossible.escape_ascii());
    }
}

#[test]
fn names_of_other_kinds_are_passed_over() {
    let other = [&[9][..], &block(b"x")].concat();
    let host = [&[HOST_NAME][..], &block(b"a.b")].concat();
    let names = |names: &[&[u8]]| with(&[extension(SERVER_NAME, &block(&names.concat()))]);
    let found = asked(&names(&[&other, &host, &other])).unwrap();
    assert_eq!(found.0.as_deref(), Some("a.b"));
    assert_eq!(asked(&names(&[&host, &host])), Err(NotHello::Malformed));
    assert_eq!(asked(&names(&[&other])), Err(NotHello::Malformed));
}

#[test]
fn each_shape_that_a_server_refuses_is_malformed() {
    let malformed: &[(&str, Vec<u8>)] = &[
        ("two server_name", with(&[sni(b"a"), sni(b"a")])),
        ("two ALPN", with(&[alpn(&[b"a"]), alpn(&[b"a"])])),
        ("no name", with(&[sni(b"")])),
        ("no names", with(&[extension(SERVER_NAME, &block(b""))])),
        (
            "nothing in server_name",
            with(&[extension(SERVER_NAME, b"")]),
        ),
        (
            "bytes behind the names",
            with(&[extension(SERVER_NAME, b"\0\x04\0\0\x01ab")]),
        ),
        (
            "a name past its list",
            with(&[extension(SERVER_NAME, b"\0\x04\0\0\x02a")]),
        ),
        ("no protocol", with(&[alpn(&[])])),
        ("an empty protocol", with(&[alpn(&[b"h2", b""])])),
        (
            "a protocol past its list",
            with(&[extension(ALPN, b"\0\x02\x02a")]),
        ),
        ("nothing in ALPN", with(&[extension(ALPN, b"")])),
        (
            "an extension past the others",
            message(&block(b"\0\x0a\0\x02a")),
        ),
        ("half an extension", message(&block(b"\0"))),
        ("extensions past the message", message(b"\0\x01")),
        ("bytes behind the extensions", message(b"\0\0x")),
        ("half a length", message(b"\0")),
    ];
    for (what, message) in malformed {
        assert_eq!(asked(message), Err(NotHello::Malformed), "{what}");
    }
}

#[test]
fn what_stands_before_the_extensions_must_fit() {
    let sound = message(b"");
    assert!(asked(&sound).is_ok());
    let session = MESSAGE_HEAD + 2 + 32;
    let suites = session + 5;
    let compression = suites + 6;
    for (at, byte, what) in [
        (session, 33, "a long session id"),
        (session, 255, "a session id past the message"),
        (suites + 1, 0, "no suite"),
        (suites + 1, 3, "half a suite"),
        (compression, 0, "no compression"),
        (0, 2, "a ServerHello"),
    ] {
        let mut message = sound.clone();
        message[at] = byte;
        assert_eq!(asked(&message), Err(NotHello::Malformed), "{what}");
    }
    for end in 0..sound.len() {
        assert_eq!(asked(&sound[..end]), Err(NotHello::Malformed), "{end}");
    }
}

#[test]
fn other_protocols_are_told_by_their_first_wrong_byte() {
    let cases: &[(&[u8], usize)] = &[
        (b"GET / HTTP/1.1\r\n", 1),
        (b"SSH-2.0-OpenSSH_9.2", 1),
        // The SSLRequest of PostgreSQL.
        (b"\0\0\0\x08\x04\xd2\x16\x2f", 1),
        // A hello of SSL 2.
        (b"\x80\x2e\x01\x03\x01", 1),
        (b"\x16\x02\x01", 2),
        (b"\x15\x03\x01\0\x02", 1),
        // A ServerHello.
        (b"\x16\x03\x03\0\x30\x02", 6),
    ];
    for (bytes, wrong) in cases {
        for end in 0..*wrong {
            assert_eq!(scan(&bytes[..end]), Ok(false), "{end}");
        }
        for end in *wrong..=bytes.len() {
            assert_eq!(scan(&bytes[..end]), Err(NotHello::OtherProtocol), "{end}");
        }
    }
}

#[test]
fn empty_and_oversized_records_are_malformed() {
    for len in [[0, 0], [0x40, 0x01], [0xff, 0xff]] {
        let bytes = [&[HANDSHAKE, MAJOR, 1][..], &len].concat();
        assert_eq!(scan(&bytes[..4]), Ok(false));
        assert_eq!(scan(&bytes), Err(NotHello::Malformed));
    }
    let empty = [&records(&with(&[]), 10)[..15], &[HANDSHAKE, 3, 3, 0, 0]].concat();
    assert_eq!(scan(&empty), Err(NotHello::Malformed));
}

#[test]
fn a_hello_that_cannot_end_within_the_limit_is_told_by_its_length() {
    // The largest that fits, and one byte more: padding (RFC 7685) makes them.
    let room = HELLO_MAX - RECORD_HEAD - with(&[extension(21, b"")]).len();
    let largest = records(&with(&[extension(21, &vec![0; room])]), RECORD_MAX);
    assert_eq!(largest.len(), HELLO_MAX);
    assert_eq!(scan(&largest), Ok(true));
    assert_eq!(scan(&largest[..HELLO_MAX - 1]), Ok(false));
    let larger = records(&with(&[extension(21, &vec![0; room + 1])]), RECORD_MAX);
    assert_eq!(scan(&larger[..8]), Ok(false));
    assert_eq!(scan(&larger[..9]), Err(NotHello::TooLong));
    // Records of a byte each cost five more.
    let thin = records(&with(&[extension(21, &[0; 3_000])]), 1);
    assert_eq!(scan(&thin[..HELLO_MAX - 1]), Ok(false));
    assert_eq!(scan(&thin), Err(NotHello::TooLong));
}

#[test]
fn what_rustls_sends_is_read() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap();
        let mut config = config
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("demo.example.com").unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        let mut scan = Scan::default();
        assert_eq!(scan.is_whole(&bytes), Ok(true));
        let message = scan.message(&bytes);
        assert!(matches!(message, Cow::Borrowed(_)));
        let protocols = ["h2", "http/1.1"].map(str::to_owned).to_vec();
        let expected = (Some("demo.example.com".to_owned()), protocols);
        assert_eq!(asked(&message), Ok(expected));
    }
}

#[test]
fn one_byte_at_a_time_is_whole_with_the_last() {
    let message = with(&[sni(b"a.example.com"), alpn(&[b"h2"])]);
    for len in [1, 2, 3, 4, 5, 50, RECORD_MAX] {
        let bytes = records(&message, len);
        let mut scan = Scan::default();
        for end in 0..bytes.len() {
            assert_eq!(scan.is_whole(&bytes[..end]), Ok(false), "{end} by {len}");
        }
        assert_eq!(scan.is_whole(&bytes), Ok(true));
        assert_eq!(*scan.message(&bytes), *message);
    }
}

/// Records of any lengths, with any bytes behind.
fn cut(message: &[u8], mut lens: impl Iterator<Item = usize>, behind: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), message);
    while !rest.is_empty() {
        let (part, after) = rest.split_at(lens.next().unwrap().min(rest.len()));
        bytes.extend(records(part, RECORD_MAX));
        rest = after;
    }
    bytes.extend(behind);
    bytes
}

proptest! {
    #[test]
    fn pieces_and_records_do_not_matter(
        host in "[a-zA-Z0-9.-]{1,60}",
        protocols in prop::collection::vec("[ -~]{1,20}", 1..4),
        padding in 0_usize..600,
        lens in prop::collection::vec(1_usize..300, 1..20),
        steps in prop::collection::vec(1_usize..200, 1..20),
        behind in prop::collection::vec(any::<u8>(), 0..40),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let offered: Vec<&[u8]> = protocols.iter().map(String::as_bytes).collect();
        let extensions = [extension(21, &vec![0; padding]), sni(host.as_bytes()), alpn(&offered)];
        let message = with(&extensions);
        let mut bytes = cut(&message, lens.into_iter().cycle(), &behind);
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut whole = Scan::default();
        let at_once = whole.is_whole(&bytes);
        let mut scan = Scan::default();
        let mut end = 0;
        let mut steps = steps.into_iter().cycle();
        let piecemeal = loop {
            match scan.is_whole(&bytes[..end]) {
                Ok(false) if end < bytes.len() => {
                    end = (end + steps.next().unwrap()).min(bytes.len());
                }
                outcome => break outcome,
            }
        };
        prop_assert_eq!(at_once, piecemeal);
        if at_once == Ok(true) {
            prop_assert_eq!(whole.message(&bytes), scan.message(&bytes[..end]));
        }
        if damage.is_none() {
            prop_assert_eq!(at_once, Ok(true));
            prop_assert_eq!(&*whole.message(&bytes), &*message);
            let (found, names) = asked(&message).unwrap();
            let host = host.strip_suffix('.').unwrap_or(&host);
            prop_assert_eq!(found.unwrap_or_default(), host);
            prop_assert_eq!(names, protocols);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ClientHello::parse(&bytes);
        let mut framed = records(&bytes, 50);
        framed.truncate(150);
        let _ = scan(&framed);
    }
}
