//! Sticky sessions by cookie: who is kept where, what clients and servers see of it, and
//! what the log says.

mod heads;
mod lines;
mod moves;
mod story;

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::log::{ask, lines_of};
use crate::support::{Head, Lb, Origin, RawClient, temp_dir};

/// A server whose answers tell its name.
fn named(name: &str) -> Origin {
    Origin::ok(name)
}

/// An engine with an admin socket and an access log, before servers `s1`, `s2`, ... of
/// `web`, whose cookies are `c1`, `c2`, ...
struct Bench {
    lb: Lb,
    dir: TempDir,
}

impl Bench {
    /// `keys` stand in the `[[listen]]`.
    #[track_caller]
    fn start(servers: &[SocketAddr], keys: &str) -> Self {
        let dir = temp_dir();
        let lb = Lb::start_whole(&text(&dir, servers, keys));
        Self { lb, dir }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    /// A command that says nothing when it is obeyed.
    #[track_caller]
    fn obeys(&self, command: &str) {
        assert_eq!(ask(&self.socket(), command).trim(), "", "{command}");
    }

    /// End and cookies of the last of so many lines: `--NI`.
    #[track_caller]
    fn letters(&self, lines: usize) -> String {
        let lines = lines_of(&self.dir.path().join("log"), lines);
        letters(lines.last().unwrap())
    }

    /// One request on a connection of its own.
    #[track_caller]
    fn get(&self, cookies: &[&str]) -> Got {
        get(self.lb.addr(), cookies)
    }
}

fn text(dir: &TempDir, servers: &[SocketAddr], keys: &str) -> String {
    let server = |(n, addr): (usize, &SocketAddr)| {
        let n = n + 1;
        format!("{{ name = \"s{n}\", address = \"{addr}\", cookie = \"c{n}\" }}")
    };
    let servers: Vec<String> = servers.iter().enumerate().map(server).collect();
    format!(
        "[global]\nworkers = 1\nadmin = \"{dir}/sock\"\n[[log]]\ntarget = \"file:{dir}/log\"\n\
         [[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\nserver = [{}]\n{keys}\n",
        servers.join(", "),
        dir = dir.path().display(),
    )
}

/// The fourth field from behind the bytes: `--NI`.
fn letters(line: &str) -> String {
    let (_, rest) = line.split_once("] ").unwrap();
    rest.split(' ').nth(7).unwrap().to_owned()
}

/// An answer.
struct Got {
    head: Head,
    body: String,
}

impl Got {
    /// What its one Set-Cookie line says, up to its attributes; "" = there is none.
    #[track_caller]
    fn set(&self) -> &str {
        let lines = self.head.fields("set-cookie");
        assert!(lines.len() <= 1, "{}", self.head.0);
        let line = lines.first().copied().unwrap_or_default();
        line.split(';').next().unwrap_or_default()
    }
}

#[track_caller]
fn get(addr: SocketAddr, cookies: &[&str]) -> Got {
    let mut client = RawClient::connect(addr);
    client.send(request(cookies));
    let (head, body) = client.read_response();
    let body = String::from_utf8(body).unwrap();
    Got { head, body }
}

/// With a Cookie line for each of these.
fn request(cookies: &[&str]) -> String {
    let lines: String = cookies.iter().map(|c| format!("Cookie: {c}\r\n")).collect();
    format!("GET / HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
}
