//! What must hold of a ClientHello for any bytes.

use rustls::server::Acceptor;

use crate::tls::{ClientHello, HELLO_MAX, Scan};

/// See the name of the target; the first byte says how the others are cut.
pub fn client_hello(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else {
        return;
    };
    let mut whole = Scan::default();
    let at_once = whole.is_whole(bytes);
    let mut scan = Scan::default();
    let step = usize::from(*cut) + 1;
    let ends = (0..bytes.len()).step_by(step).chain([bytes.len()]);
    let mut pieces = ends.map(|end| scan.is_whole(&bytes[..end]));
    let piecemeal = pieces.find(|outcome| *outcome != Ok(false));
    assert_eq!(
        piecemeal.unwrap_or(Ok(false)),
        at_once,
        "in pieces of {step}"
    );
    let theirs = as_rustls_reads(bytes);
    if at_once != Ok(true) {
        assert!(
            theirs.is_none() || is_of_another_major(bytes),
            "{at_once:?}: {theirs:?}"
        );
        return;
    }
    let message = whole.message(bytes);
    assert_eq!(message, scan.message(bytes));
    // They look at the first name alone, and not at what stands behind it in its list:
    // what we refuse they may take.
    let (Ok(hello), Some(theirs)) = (ClientHello::parse(&message), theirs) else {
        return;
    };
    let name = hello.server_name().map(<[u8]>::to_ascii_lowercase);
    let protocols: Vec<_> = hello.protocols().map(<[u8]>::to_vec).collect();
    // They know no name where it is none of DNS.
    assert!(theirs.name.is_none() || theirs.name == name, "{theirs:?}");
    assert_eq!(theirs.protocols, protocols);
}

/// Whether a record says that it is of DTLS or SSL 2: they take that for TLS, we do
/// not (nor does OpenSSL).
fn is_of_another_major(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [_, major, _, high, low, behind @ ..] = rest {
        if *major != 3 {
            return true;
        }
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        rest = behind.get(len..).unwrap_or_default();
    }
    false
}

/// What a client asks for.
#[derive(Debug, PartialEq)]
struct Asked {
    name: Option<Vec<u8>>,
    protocols: Vec<Vec<u8>>,
}

/// `None` = it is refused, or not whole.
fn as_rustls_reads(bytes: &[u8]) -> Option<Asked> {
    let mut acceptor = Acceptor::default();
    let mut rest = &bytes[..bytes.len().min(HELLO_MAX)];
    loop {
        let read = acceptor.read_tls(&mut rest).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            let hello = accepted.client_hello();
            let name = hello.server_name().map(str::to_ascii_lowercase);
            let name = name.map(|name| name.trim_end_matches('.').as_bytes().to_vec());
            let protocols = hello.alpn().into_iter().flatten();
            return Some(Asked {
                name,
                protocols: protocols.map(<[u8]>::to_vec).collect(),
            });
        }
        if read == 0 {
            return None;
        }
    }
}
