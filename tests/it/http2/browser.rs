//! A WebSocket as a real browser opens it, over the HTTP/2 connection that its page came by.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};

use super::websocket::switching;
use crate::support::authority::{Authority, Kind, key_hash};
use crate::support::{Head, Lb, Origin, free_addr, read_until, real};

/// Serves a page at `/`, and echoes the messages of WebSockets, of whose heads it tells.
fn serve(mut stream: TcpStream, asked: &Sender<Head>) -> Option<()> {
    loop {
        let head = read_head(&mut stream)?;
        if head.field("upgrade").is_none() {
            let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<!doctype html>";
            stream.write_all(page.as_bytes()).ok()?;
            continue;
        }
        let answer = switching(&head);
        asked.send(head).ok()?;
        stream.write_all(answer.as_bytes()).ok()?;
        while let Some((kind, message)) = read_frame(&mut stream) {
            write_frame(&mut stream, kind, &message)?;
        }
        return None;
    }
}

fn read_head(stream: &mut TcpStream) -> Option<Head> {
    let head = read_until(stream, b"\r\n\r\n").ok()?;
    Some(Head(String::from_utf8(head).ok()?))
}

fn read<const LEN: usize>(stream: &mut TcpStream) -> Option<[u8; LEN]> {
    let mut bytes = [0; LEN];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// First byte and payload of a frame from a client, which masks it (RFC 6455 5.2).
fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let [kind, len] = read(stream)?;
    let len = match len & 0x7f {
        126 => u16::from_be_bytes(read(stream)?).into(),
        127 => u64::from_be_bytes(read(stream)?),
        len => len.into(),
    };
    let mask = read::<4>(stream)?;
    let mut payload = vec![0; usize::try_from(len).ok()?];
    stream.read_exact(&mut payload).ok()?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Some((kind, payload))
}

fn write_frame(stream: &mut TcpStream, kind: u8, payload: &[u8]) -> Option<()> {
    let len = payload.len() as u64;
    let mut frame = vec![kind];
    match len {
        0..126 => frame.push(len as u8),
        126..65_536 => frame.extend([&[126][..], &(len as u16).to_be_bytes()].concat()),
        _ => frame.extend([&[127][..], &len.to_be_bytes()].concat()),
    }
    frame.extend(payload);
    stream.write_all(&frame).ok()
}

#[test]
fn chromium_opens_websockets_on_the_connection_of_its_page() {
    let ca = Authority::new("ca");
    let pem = ca.issue(&["lb.test"], Kind::Ecdsa);
    let Some(browser) = real::browser_trusting(&key_hash(&pem)) else {
        return;
    };
    let (tell, asked) = channel();
    let origin = Origin::raw(move |stream, _| {
        serve(stream, &tell);
    });
    // What is offered by ALPN, and what the servers are told of how a client came.
    for (switch, via) in [("true", "2 rlb"), ("false", "1.1 rlb")] {
        let (front, certificate) = (free_addr(), ca.put("lb.pem", &pem));
        let lb = Lb::start(&format!(
            "[[listen]]\nname = \"web\"\nbind = {{ address = \"{front}\", tls = true }}\n\
             tls = {{ certificates = {certificate:?} }}\nhttp2.websockets = {switch}\n\
             forwarded.via = \"rlb\"\nserver = \"{}\"\n",
            origin.addr()
        ));
        let at = format!("lb.test:{}", front.port());
        browser.open(&format!("https://{at}/"));
        for size in [5, 200, 300_000] {
            let said = browser.eval(&format!(
                "new Promise((done, failed) => {{ const ws = new WebSocket('wss://{at}/ws', ['chat']); \
                 ws.onopen = () => ws.send('x'.repeat({size})); ws.onerror = () => failed('error'); \
                 ws.onmessage = e => {{ ws.onclose = c => done(`${{ws.protocol}} ${{e.data.length}} ${{c.code}}`); \
                 ws.close(1000); }} }})"
            ));
            assert_eq!(said, format!("chat {size} 1000"), "{via}");
        }
        for _ in 0..3 {
            let head: Head = asked.try_recv().expect("a head for each");
            assert_eq!(head.fields("via"), [via]);
        }
        assert!(asked.try_recv().is_err());
        drop(lb);
    }
}
