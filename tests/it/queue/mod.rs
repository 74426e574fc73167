//! Servers with a limit, and the queue before them: who waits, in which order, and what
//! ends a wait.

mod changes;
mod crowds;
mod waits;

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::log::{ask, lines_of, number, stat};
use crate::support::{Lb, PATIENCE, PlayedOrigin, RawClient, temp_dir, wait_until};

/// An engine with an admin socket and an access log, before servers `s1`, `s2`, ... of
/// `web`.
struct Bench {
    lb: Lb,
    dir: TempDir,
    servers: Vec<SocketAddr>,
}

impl Bench {
    /// `keys` stand in the `[[listen]]`.
    #[track_caller]
    fn start(workers: usize, servers: &[SocketAddr], keys: &str) -> Self {
        let dir = temp_dir();
        let text = text(&dir, workers, servers, keys);
        Self {
            lb: Lb::start_whole(&text),
            dir,
            servers: servers.to_vec(),
        }
    }

    #[track_caller]
    fn reload(&self, workers: usize, keys: &str) {
        let text = text(&self.dir, workers, &self.servers, keys);
        self.lb.apply(&text).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn log(&self, lines: usize) -> Vec<String> {
        lines_of(&self.dir.path().join("log"), lines)
    }

    #[track_caller]
    fn ask(&self, command: &str) -> String {
        ask(&self.socket(), command)
    }

    /// A command that says nothing when it is obeyed.
    #[track_caller]
    fn obeys(&self, command: &str) {
        assert_eq!(self.ask(command).trim(), "", "{command}");
    }

    #[track_caller]
    fn cell(&self, server: &str, column: &str) -> u64 {
        number(&stat(&self.socket()), "web", server, column)
    }

    /// Waits until so many wait.
    #[track_caller]
    fn until_queued(&self, count: usize) {
        let what = format!("{count} in the queue");
        wait_until(PATIENCE, &what, || self.lb.queued("web") == count);
    }

    /// A client that has sent its request.
    #[track_caller]
    fn asking(&self, path: &str) -> RawClient {
        let mut client = self.lb.client();
        client.send(get(path));
        client
    }

    /// The same, once it waits behind as many as did before.
    #[track_caller]
    fn queueing(&self, path: &str) -> RawClient {
        let before = self.lb.queued("web");
        let client = self.asking(path);
        self.until_queued(before + 1);
        client
    }

    /// Nothing is under way, no place is taken and nobody waits.
    #[track_caller]
    fn comes_to_rest(&self) {
        let is_idle = |name: &str| {
            let server = self.lb.server("web", name);
            (server.current, server.places) == (0, 0)
        };
        wait_until(PATIENCE, "rest", || {
            (1..=self.servers.len()).all(|n| is_idle(&format!("s{n}")))
                && self.lb.queued("web") == 0
        });
    }
}

fn text(dir: &TempDir, workers: usize, servers: &[SocketAddr], keys: &str) -> String {
    let server = |(n, addr): (usize, &SocketAddr)| {
        format!("{{ name = \"s{}\", address = \"{addr}\" }}", n + 1)
    };
    let servers: Vec<String> = servers.iter().enumerate().map(server).collect();
    format!(
        "[global]\nworkers = {workers}\nadmin = \"{dir}/sock\"\n\
         [[log]]\ntarget = \"file:{dir}/log\"\n\
         [[listen]]\nname = \"web\"\nbind = {{ address = \"127.0.0.1:0\", protocol = \"both\" }}\n\
         server = [{}]\n{keys}\n",
        servers.join(", "),
        dir = dir.path().display(),
    )
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// The next request, by its path; answered by [`answer`].
#[track_caller]
fn request(origin: &PlayedOrigin) -> (RawClient, String) {
    let mut connection = origin.accept();
    let head = connection.read_head();
    let path = head.first_line().split(' ').nth(1).unwrap().to_owned();
    (connection, path)
}

/// Answers, and closes.
fn answer(mut connection: RawClient) {
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
}

/// Timers, ends and queue of a line: `0/12/0/3/15`, `----`, `0/1`.
fn said(line: &str) -> (Vec<i64>, String, String) {
    let (_, rest) = line.split_once("] ").unwrap();
    let words: Vec<&str> = rest.split(' ').collect();
    let timers: Vec<i64> = words[2].split('/').map(|t| t.parse().unwrap()).collect();
    match timers.len() {
        5 => (timers, words[7].to_owned(), words[9].to_owned()),
        _ => (timers, words[4].to_owned(), words[6].to_owned()),
    }
}
