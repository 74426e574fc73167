//! The proxies under test: found, configured as their manuals advise, started.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::Result;
use crate::args::Args;
use crate::host::Cores;
use crate::process::{End, Process};
use crate::relay::RELAY;
use crate::template::Template;
use crate::tls;
use crate::work::{Door, Work};

/// A kind of proxy; the order is the order of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// The binary under test.
    Rlb,
    /// A second one, for before and after.
    Rlb2,
    Haproxy,
    Nginx,
    /// The floor: one epoll loop that parses nothing.
    Relay,
}

/// A proxy that can be started.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) version: String,
    program: PathBuf,
    /// How nginx offers its TCP relay.
    stream: Option<NginxStream>,
    /// It writes an access log.
    logs: bool,
    ports: PeerPorts,
}

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) peer: Peer,
    pub(crate) process: Process,
}

/// Where a run takes place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) cores: Cores,
    /// Descriptors a process may have.
    pub(crate) files: u64,
    pub(crate) ports: Ports,
}

/// Every port of a run, fixed so that a forgotten run is noticed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    base: u16,
    pub(crate) origin: [u16; 4],
    pub(crate) silent: [u16; 4],
}

#[derive(Debug, Clone, Copy)]
struct PeerPorts {
    http: u16,
    tcp: u16,
    /// For large answers, where a proxy wants to be told: the relay splices here in either
    /// mode, HAProxy in TCP mode (told to splice always, it pays 7 % for small answers).
    bulk: u16,
    tls: u16,
    h2: u16,
}

impl PeerPorts {
    /// Where the relay keeps its origin connections; in TCP mode it needs no other port.
    fn pool(self) -> u16 {
        self.tcp
    }
}

/// How nginx has its stream module.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NginxStream {
    BuiltIn,
    Module(PathBuf),
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Rlb,
        Self::Rlb2,
        Self::Haproxy,
        Self::Nginx,
        Self::Relay,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rlb => "rlb",
            Self::Rlb2 => "rlb2",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Relay => "bare relay",
        }
    }
}

impl Ports {
    pub(crate) fn from(base: u16) -> Self {
        Self {
            base,
            origin: [base, base + 1, base + 2, base + 3],
            silent: [base + 4, base + 5, base + 6, base + 7],
        }
    }

    fn of(self, kind: Kind) -> PeerPorts {
        let http = self.base + 8 + 5 * kind as u16;
        PeerPorts {
            http,
            tcp: http + 1,
            bulk: http + 2,
            tls: http + 3,
            h2: http + 4,
        }
    }

    /// An answer means another run, or a peer one left behind: with SO_REUSEPORT it would
    /// silently take a part of the connections.
    pub(crate) fn refuse_if_taken(self) -> Result<()> {
        let peers = Kind::ALL
            .into_iter()
            .map(|kind| self.of(kind))
            .flat_map(|p| [p.http, p.tcp, p.bulk, p.tls, p.h2]);
        for port in self.origin.into_iter().chain(self.silent).chain(peers) {
            if TcpStream::connect(local(port)).is_ok() {
                return Err(format!("something answers on port {port} already; end it or choose others with --port-base").into());
            }
        }
        Ok(())
    }
}

impl Site<'_> {
    /// Chain and key that every proxy shows.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    /// Connections a proxy with these descriptors can have, each with one to an origin and
    /// half a descriptor for pipes: HAProxy counts so and refuses to start with fewer.
    pub(crate) fn maxconn(&self) -> u64 {
        self.files.saturating_sub(500) * 2 / 5
    }
}

/// Cargo has built it for this bench, with the bench profile, which is release.
fn built(args: &Args) -> PathBuf {
    let built = || env!("CARGO_BIN_EXE_rlb").into();
    args.rlb.clone().unwrap_or_else(built)
}

/// The wanted proxies that are installed; says which are not.
pub(crate) fn find(args: &Args, ports: &Ports) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| args.wants(*kind)) {
        let (program, version_flag) = match kind {
            Kind::Rlb => (built(args), "-v"),
            Kind::Rlb2 if args.log => (built(args), "-v"),
            Kind::Rlb2 => match &args.rlb2 {
                Some(path) => (path.clone(), "-v"),
                None => continue,
            },
            Kind::Haproxy => (args.haproxy.clone(), "-v"),
            Kind::Nginx => (args.nginx.clone(), "-v"),
            Kind::Relay => (std::env::current_exe()?, "--version"),
        };
        let version = match kind {
            Kind::Relay => "benches/compare/relay.rs".to_owned(),
            _ => match first_line(&program, version_flag) {
                Ok(version) => version,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    eprintln!(
                        "{}: {} is not installed, skipped",
                        kind.name(),
                        program.display()
                    );
                    continue;
                }
                Err(error) => return Err(format!("{}: {error}", program.display()).into()),
            },
        };
        let stream = if kind == Kind::Nginx {
            nginx_stream(&program)?
        } else {
            None
        };
        if kind == Kind::Nginx && stream.is_none() {
            eprintln!("nginx: no stream module (Debian: libnginx-mod-stream), TCP mode skipped");
        }
        peers.push(Peer {
            kind,
            version,
            program,
            stream,
            logs: kind == Kind::Rlb2 && args.log,
            ports: ports.of(kind),
        });
    }
    Ok(peers)
}

impl Peer {
    pub(crate) fn can(&self, work: &Work) -> bool {
        match (self.kind, work.door) {
            (Kind::Nginx, Door::Tcp) => self.stream.is_some(),
            // The one from before may not know it; the floor has none.
            (Kind::Rlb2 | Kind::Relay, Door::Http2) => false,
            // It would have to read.
            (Kind::Relay, Door::Tls | Door::Http2Tls) => false,
            _ => true,
        }
    }

    /// Where this work is done.
    pub(crate) fn address(&self, work: &Work) -> SocketAddr {
        local(match (self.kind, work.door) {
            (Kind::Relay, _) | (Kind::Haproxy, Door::Tcp) if work.is_large() => self.ports.bulk,
            // Tied to its client, an origin connection would be new for each request, too.
            (Kind::Relay, _) if work.closes() => self.ports.pool(),
            (Kind::Relay, _) | (_, Door::Http) => self.ports.http,
            (_, Door::Tcp) => self.ports.tcp,
            (_, Door::Tls | Door::Http2Tls) => self.ports.tls,
            (_, Door::Http2) => self.ports.h2,
        })
    }

    pub(crate) fn http_address(&self) -> SocketAddr {
        local(self.ports.http)
    }

    pub(crate) fn start(self, site: &Site<'_>) -> Result<Running> {
        let name = self.kind.name().replace(' ', "-");
        let dir = site.dir.join(&name);
        std::fs::create_dir_all(&dir)?;
        let (args, end) = self.arguments(site, &dir)?;
        let mut process = Process::start(&name, &self.program, &args, site.cores.proxy, end, &dir)?;
        let ports: &[u16] = match self.kind {
            Kind::Relay => &[self.ports.http, self.ports.bulk, self.ports.pool()],
            Kind::Haproxy => &[
                self.ports.http,
                self.ports.tcp,
                self.ports.bulk,
                self.ports.tls,
            ],
            Kind::Nginx if self.stream.is_none() => &[self.ports.http, self.ports.tls],
            _ => &[self.ports.http, self.ports.tcp, self.ports.tls],
        };
        process.wait_until(|| {
            ports
                .iter()
                .all(|port| TcpStream::connect(local(*port)).is_ok())
        })?;
        Ok(Running {
            peer: self,
            process,
        })
    }

    /// Writes its configuration and says how it is started and ended.
    fn arguments(&self, site: &Site<'_>, dir: &Path) -> Result<(Vec<OsString>, End)> {
        let fill = |text: &str| {
            Template::new(text, site, dir)
                .with("HTTP", self.ports.http)
                .with("TCP", self.ports.tcp)
                .with("BULK", self.ports.bulk)
                .with("TLS", self.ports.tls)
                .with("H2", self.ports.h2)
        };
        Ok(match self.kind {
            Kind::Rlb | Kind::Rlb2 => {
                let mut text = include_str!("../peers/rlb.toml").to_owned();
                if self.kind == Kind::Rlb {
                    text += include_str!("../peers/rlb-h2.toml");
                }
                if self.logs {
                    let file = dir.join("access.log");
                    text += &format!("\n[[log]]\ntarget = \"file:{}\"\n", file.display());
                }
                let file = fill(&text).write(dir.join("rlb.toml"))?;
                (vec!["-f".into(), file.into()], End::Kill)
            }
            Kind::Haproxy => {
                let file =
                    fill(include_str!("../peers/haproxy.cfg")).write(dir.join("haproxy.cfg"))?;
                (vec!["-db".into(), "-f".into(), file.into()], End::Kill)
            }
            Kind::Nginx => {
                let (module, stream) = match &self.stream {
                    Some(NginxStream::Module(path)) => {
                        (format!("load_module {};", path.display()), NGINX_STREAM)
                    }
                    Some(NginxStream::BuiltIn) => (String::new(), NGINX_STREAM),
                    None => (String::new(), ""),
                };
                let text = NGINX
                    .replace("@STREAM_MODULE@", &module)
                    .replace("@STREAM@", stream);
                let file = fill(&text).write(dir.join("nginx.conf"))?;
                (nginx_arguments(&file, dir), End::Term)
            }
            Kind::Relay => {
                let mut args: Vec<OsString> = vec![RELAY.into()];
                let ports = [self.ports.http, self.ports.bulk, self.ports.pool()]
                    .into_iter()
                    .chain(site.ports.origin);
                args.extend(ports.map(|port| port.to_string().into()));
                (args, End::Kill)
            }
        })
    }
}

impl Running {
    /// One request before the first round: a proxy that answers wrongly must not be measured.
    pub(crate) fn verify(&self, site: &Site<'_>, work: &Work) -> Result<()> {
        let wrong = |what: String| format!("{}, {}: {what}", self.peer.kind.name(), work.title);
        let address = self.peer.address(work);
        let answer = match work.door {
            // h2load counts what is not 200, and bytes.
            Door::Http2 | Door::Http2Tls => return Ok(()),
            Door::Tls => tls::ask(site, address, work.path),
            Door::Http | Door::Tcp => ask(TcpStream::connect(address)?, address, work.path),
        };
        let answer = answer.map_err(|e| wrong(e.to_string()))?;
        let head_end = answer
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .ok_or_else(|| wrong("no head".into()))?;
        let body_bytes = (answer.len() - head_end - 4) as u64;
        if !answer.starts_with(b"HTTP/1.1 200") || body_bytes != work.answer_bytes {
            let line =
                String::from_utf8_lossy(answer.split(|b| *b == b'\r').next().unwrap_or_default())
                    .into_owned();
            return Err(wrong(format!("{line:?} with a body of {body_bytes} bytes")).into());
        }
        Ok(())
    }
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The first line a program prints about itself; `NotFound` where it is not installed.
pub(crate) fn first_line(program: &Path, flag: &str) -> std::io::Result<String> {
    let output = Command::new(program).arg(flag).output()?;
    // nginx and wrk speak on stderr.
    let text = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    let line = String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    // "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/"
    Ok(line
        .split(" - http")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned())
}

pub(crate) fn nginx_arguments(config: &Path, dir: &Path) -> Vec<OsString> {
    // Without -e it would first try the log that was compiled in.
    vec![
        "-e".into(),
        dir.join("error.log").into(),
        "-p".into(),
        dir.into(),
        "-c".into(),
        config.into(),
    ]
}

fn nginx_stream(program: &Path) -> Result<Option<NginxStream>> {
    let output = Command::new(program).arg("-V").output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.contains(&"--with-stream") {
        return Ok(Some(NginxStream::BuiltIn));
    }
    let modules = words
        .iter()
        .find_map(|word| word.strip_prefix("--modules-path="));
    let module = modules.map(|dir| Path::new(dir).join("ngx_stream_module.so"));
    Ok(module.filter(|path| path.exists()).map(NginxStream::Module))
}

pub(crate) fn ask(
    mut stream: impl Read + Write,
    address: SocketAddr,
    path: &str,
) -> std::io::Result<Vec<u8>> {
    // In one piece: the relay takes what it reads for a whole request.
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

const NGINX: &str = include_str!("../peers/nginx.conf");
const NGINX_STREAM: &str = include_str!("../peers/nginx-stream.conf");
