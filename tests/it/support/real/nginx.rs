//! nginx as an origin.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{Part, find};
use crate::support::process::{read, temp_dir};
use crate::support::{Process, answers, free_addr};

/// A running nginx with one server on a free port.
#[derive(Debug)]
pub(crate) struct Nginx {
    process: Process,
    addr: SocketAddr,
}

/// Starts one whose `server { }` block holds `directives` (locations, mostly). Files are
/// served from [`Nginx::root`].
#[track_caller]
pub(crate) fn nginx(directives: &str) -> Option<Nginx> {
    let program = find(Part::Nginx)?;
    let (dir, addr) = (temp_dir(), free_addr());
    std::fs::create_dir(dir.path().join("root")).expect("temporary directory");
    let config = dir.path().join("nginx.conf");
    std::fs::write(&config, configuration(dir.path(), addr, directives))
        .expect("temporary directory");
    // Without -e it would first try the log that was compiled in.
    let args: [&OsStr; 6] = [
        "-e".as_ref(),
        "stderr".as_ref(),
        "-p".as_ref(),
        dir.path().as_ref(),
        "-c".as_ref(),
        config.as_ref(),
    ];
    let mut process = Process::start(Command::new(program).args(args), dir);
    process.wait_ready(|| answers(addr));
    Some(Nginx { process, addr })
}

impl Nginx {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where files to be served are put.
    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.process.dir().join("root")
    }

    /// One line per answered request: `"HEAD / HTTP/1.1" 200 host=a xff=- connection=7`.
    pub(crate) fn access_log(&self) -> Vec<String> {
        read(&self.process.dir().join("access.log"))
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Stops answering without closing anything: the kernel still accepts.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }
}

fn configuration(dir: &Path, addr: SocketAddr, directives: &str) -> String {
    let dir = dir.display();
    // One process, so that a signal reaches what answers.
    format!(
        r#"daemon off;
master_process off;
pid {dir}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    log_format seen '"$request" $status host=$http_host xff=$http_x_forwarded_for connection=$connection';
    access_log {dir}/access.log seen;
    keepalive_requests 1000000;
    default_type text/plain;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen {addr};
        root {dir}/root;
        {directives}
    }}
}}
"#
    )
}
