//! Requests as they come, and answers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: String,
    pub(super) token: Option<String>,
    pub(super) closes: bool,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) index: Option<u64>,
    pub(super) body: String,
}

pub(super) fn failure(status: u16, body: &str) -> Answer {
    Answer {
        status,
        index: Some(1),
        body: body.to_owned(),
    }
}

pub(super) fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut token, mut closes) = (0, None, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        match &*name.to_ascii_lowercase() {
            "content-length" => length = value.trim().parse().ok()?,
            "connection" => closes = value.trim() == "close",
            "x-consul-token" => token = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Some(Request {
        method,
        path: path.to_owned(),
        query: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        token,
        closes,
    })
}
