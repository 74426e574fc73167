//! The file of a running rlb, and how it is told and asked at run time.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Site;
use super::databases::echo;
use crate::support::{Origin, PATIENCE, free_addr, temp_dir, wait_until};

/// What is written in `lb.toml`.
#[derive(Debug)]
pub(super) struct File {
    pub(super) dir: TempDir,
    pub(super) web_addr: SocketAddr,
    pub(super) second_addr: SocketAddr,
    pub(super) second_is_open: bool,
    pub(super) db_addr: SocketAddr,
    /// Servers whose weights change at run time.
    pub(super) set: [Site; 3],
    /// Servers whose weights change here.
    pub(super) written: [Site; 3],
    pub(super) weights: [u64; 3],
    /// Servers whose states change at run time, under load; the first stays ready.
    pub(super) web: [Site; 4],
    pub(super) echo: Origin,
}

/// A row of `show servers state`.
#[derive(Debug)]
pub(super) struct State {
    pub(super) admin: String,
    pub(super) weight: u64,
}

impl File {
    pub(super) fn new() -> Self {
        let [web_addr, second_addr, db_addr] = [(); 3].map(|()| free_addr());
        let file = Self {
            dir: temp_dir(),
            web_addr,
            second_addr,
            second_is_open: false,
            db_addr,
            set: sites(),
            written: sites(),
            weights: [1; 3],
            web: sites(),
            echo: echo(),
        };
        fs::write(file.path("nodes.toml"), "server = []\n").expect("temporary directory");
        file
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn text(&self) -> String {
        let rows = |sites: &[Site], weights: &[u64]| {
            let sites = sites.iter().zip(weights).enumerate();
            let rows: Vec<String> = sites
                .map(|(which, (site, weight))| row("s", which, site, *weight))
                .collect();
            rows.join(", ")
        };
        let second = match self.second_is_open {
            true => format!(", \"{}\"", self.second_addr),
            false => String::new(),
        };
        format!(
            r#"
[global]
workers = 2
admin = "{socket}"
drain_timeout = "10s"
[[frontend]]
name = "www"
bind = ["{web_addr}"{second}]
# Some clients have nothing to ask for long on a busy machine.
timeouts = {{ keep_alive = "10m" }}
default_backend = "web"
route = [
  {{ path_prefix = "/set", backend = "set" }},
  {{ path_prefix = "/written", backend = "written" }},
  {{ path_prefix = "/nodes", backend = "nodes" }},
]
[[backend]]
name = "set"
server = [{set}]
[[backend]]
name = "written"
server = [{written}]
[[backend]]
name = "web"
server = [{web}]
[[backend]]
name = "nodes"
source = [{{ file = "{nodes}" }}]
[[listen]]
name = "db"
mode = "tcp"
bind = "{db_addr}"
server = [{{ name = "t1", address = "{echo}" }}]
"#,
            socket = self.path("admin.sock").display(),
            web_addr = self.web_addr,
            set = rows(&self.set, &[1; 3]),
            written = rows(&self.written, &self.weights),
            web = rows(&self.web, &[10; 4]),
            nodes = self.path("nodes.toml").display(),
            db_addr = self.db_addr,
            echo = self.echo.addr(),
        )
    }

    #[track_caller]
    pub(super) fn obeys(&self, command: &str, expected: &str) {
        obeys(&self.path("admin.sock"), command, expected);
    }

    pub(super) fn ask(&self, command: &str) -> String {
        ask(&self.path("admin.sock"), command)
    }

    /// What `show servers state` says of each server of a backend.
    pub(super) fn states(&self, backend: &str) -> BTreeMap<String, State> {
        let text = self.ask(&format!("show servers state {backend}"));
        // A version, names of the columns, servers.
        let rows = text.lines().skip(2).map(|line| {
            let columns: Vec<&str> = line.split(' ').collect();
            let state = State {
                admin: columns[6].to_owned(),
                weight: columns[7].parse().expect("a weight"),
            };
            (columns[3].to_owned(), state)
        });
        rows.collect()
    }
}

pub(super) fn sites<const N: usize>() -> [Site; N] {
    std::array::from_fn(|_| Site::open())
}

/// The answer to one command, without the lines' ends behind it.
pub(super) fn ask(socket: &Path, command: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the admin socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let mut answer = String::new();
    writeln!(stream, "{command}")
        .and_then(|()| stream.read_to_string(&mut answer))
        .unwrap_or_else(|error| panic!("{command}: {error} after {answer:?}"));
    answer.trim_end().to_owned()
}

/// Gives a command and waits until every worker has passed it; on a machine that is
/// busy beyond measure the answer may come before that, and says so.
#[track_caller]
pub(super) fn obeys(socket: &Path, command: &str, expected: &str) {
    let answer = ask(socket, command);
    if !wait_for_late_workers(socket, &answer) {
        assert_eq!(answer, expected, "{command}");
    }
}

/// Whether there were any.
#[track_caller]
pub(super) fn wait_for_late_workers(socket: &Path, answer: &str) -> bool {
    let is_late = |answer: &str| answer.contains("not yet passed by workers");
    if !is_late(answer) {
        return false;
    }
    println!("late: {answer}");
    wait_until(PATIENCE, "every worker has passed it", || {
        !is_late(&ask(socket, "reload"))
    });
    true
}

/// A server as it stands in a file.
pub(super) fn row(letter: &str, which: usize, site: &Site, weight: u64) -> String {
    let addr = site.addr();
    format!("{{ name = \"{letter}{which}\", address = \"{addr}\", weight = {weight} }}")
}
