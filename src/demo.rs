//! `rlb demo`: something to see within a second, without a file.
//!
//! Three origins on a thread of their own, and an ordinary engine in front of
//! them whose configuration anybody may print and keep.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rlb::config::Config;
use rlb::{Engine, StopKind};
use tokio::runtime::{Builder, LocalOptions};

use crate::cli::serve::Service;
use crate::cli::{DemoArgs, REFUSED, complain, print};

/// Ports looked at before giving up.
const PORTS_MAX: u16 = 100;
/// Columns for the commands to try.
const COMMAND_WIDTH: usize = 66;
/// How long an origin fails its checks when asked to.
const DOWN: Duration = Duration::from_secs(10);

/// Runs it, or prints what it would run.
pub(crate) fn run(args: &DemoArgs, quiet: bool, debug: bool) -> ExitCode {
    serve(args, quiet, debug).unwrap_or_else(|sentence| {
        complain(sentence);
        ExitCode::from(REFUSED)
    })
}

fn serve(args: &DemoArgs, quiet: bool, debug: bool) -> Result<ExitCode, String> {
    let origins = Origins::open().map_err(|error| format!("no port for an origin: {error}"))?;
    let frontends = frontends(args)?;
    let certificate = Certificate::write(frontends[0].port())
        .map_err(|error| format!("no certificate for https: {error}"))?;
    let text = configuration(frontends, &certificate.path, origins.addresses);
    if args.print_config {
        // Whoever keeps the text needs it.
        certificate.keep();
        print(text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = Config::parse("demo", &text).map_err(|errors| errors.to_string())?;
    origins
        .serve()
        .map_err(|error| format!("the origins do not start: {error}"))?;
    let service = Service {
        loaded,
        files: Vec::new(),
        pidfile: None,
        takeover: None,
        program: None,
        first_stop: StopKind::Now,
        quiet,
        debug,
    };
    service.run(|engine| print(what_to_try(engine)))
}

/// Addresses of the HTTP, the TCP and the HTTPS bind that nobody else has.
fn frontends(args: &DemoArgs) -> Result<[SocketAddr; 3], String> {
    let ports = (args.port..=u16::MAX).take(PORTS_MAX.into());
    let mut free = ports
        .map(|port| SocketAddr::new(args.address, port))
        .filter(|address| TcpListener::bind(address).is_ok());
    match (free.next(), free.next(), free.next()) {
        (Some(http), Some(tcp), Some(https)) => Ok([http, tcp, https]),
        _ => Err(format!(
            "no three free ports on {} from {} on; choose others with --port",
            args.address, args.port
        )),
    }
}

fn configuration(
    [http, tcp, https]: [SocketAddr; 3],
    certificate: &Path,
    [a, b, c]: [SocketAddr; 3],
) -> String {
    let socket = socket_of(http);
    format!(
        r#"# What `rlb demo` runs.
[global]
admin = {socket:?}

# HTTP: each request goes to the next server; s1 takes two of four.
[[frontend]]
name = "web"
bind = ["{http}", {{ address = "{https}", tls = true }}]
tls = {{ certificates = {certificate:?} }}
default_backend = "origins"

[[backend]]
name = "origins"
server = [
  {{ name = "s1", address = "{a}", weight = 2 }},
  {{ name = "s2", address = "{b}" }},
  {{ name = "s3", address = "{c}" }},
]
check = {{ interval = "1s" }}

# TCP: each connection goes to the next server.
[[listen]]
name = "tcp"
mode = "tcp"
bind = "{tcp}"
server = ["{a}", "{b}", "{c}"]
check = {{ interval = "1s" }}
"#
    )
}

/// One per demo that runs, where any user may write.
fn socket_of(http: SocketAddr) -> PathBuf {
    std::env::temp_dir().join(format!("rlb-demo-{}.sock", http.port()))
}

fn what_to_try(engine: &Engine) -> String {
    let address = |name: &str| {
        let found = engine.addresses().iter().find(|(f, _)| **f == *name);
        found.map_or_else(String::new, |(_, address)| reachable(*address).to_string())
    };
    let (http, tcp) = (address("web"), address("tcp"));
    // The second bind of that frontend.
    let mut binds = engine.addresses().iter().rev();
    let https = binds
        .find(|(name, _)| **name == *"web")
        .map(|(_, address)| reachable(*address).to_string());
    let https = https.unwrap_or_default();
    let socket = http.parse().map(socket_of).unwrap_or_default();
    let ctl = format!("{} ctl -s {}", program(), socket.display());
    let lines = [
        (
            format!("curl http://{http}/hello"),
            "again and again: s1 s2 s1 s3",
        ),
        (
            format!("curl -H 'X-Forwarded-For: 1.2.3.4' http://{http}/"),
            "what the origin is told",
        ),
        (
            format!("curl -k https://{https}/hello"),
            "the same over TLS, HTTP/2 if curl has it",
        ),
        (format!("curl http://{tcp}/"), "through the TCP frontend"),
        (
            format!("curl http://{http}/down"),
            "that origin fails its checks for 10 s: see below",
        ),
        (
            format!("{ctl} drain origins/s1"),
            "curl meets s2 and s3 alone from now on",
        ),
        (
            format!("{ctl} set server origins/s1 state ready"),
            "and s1 again",
        ),
        (
            format!("{ctl} set weight origins/s3 6"),
            "six of nine requests go to s3",
        ),
        (
            format!("wrk -t1 -c64 -d5s http://{http}/"),
            "how fast it is (in a release build)",
        ),
    ];
    let mut text = "\nTry, in another terminal:\n\n".to_owned();
    // What does not fit beside its command stands below it.
    for (command, what) in lines {
        let _ = match command.len() <= COMMAND_WIDTH {
            true => writeln!(text, "  {command:<COMMAND_WIDTH$} {what}"),
            false => writeln!(text, "  {command}\n  {:<COMMAND_WIDTH$} {what}", ""),
        };
    }
    text.push_str(
        "\n`rlb demo --print-config` prints the file behind this. A stats page is not in this \
         version yet.\nCtrl-C ends it.\n",
    );
    text
}

/// A certificate that is thrown away at the end: nobody has reason to trust it.
struct Certificate {
    path: PathBuf,
}

impl Certificate {
    fn write(port: u16) -> io::Result<Self> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("rlb-demo-{port}.pem"));
        // Of another demo that did not end in order; never through a link of somebody else's.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let text = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
        io::Write::write_all(&mut file, text.as_bytes())?;
        Ok(Self { path })
    }

    fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Nothing depends on it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// As it was started, so that a line can be copied: it may not be in PATH.
fn program() -> String {
    let name = std::env::args_os().next().unwrap_or_else(|| "rlb".into());
    let name = name.to_string_lossy().into_owned();
    match name.contains(char::is_whitespace) {
        true => format!("'{name}'"),
        false => name,
    }
}

/// Nobody connects to 0.0.0.0.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    address
}

/// Three small HTTP servers.
struct Origins {
    listeners: [TcpListener; 3],
    addresses: [SocketAddr; 3],
}

/// One of them.
struct Origin {
    name: &'static str,
    down_until: std::cell::Cell<Option<Instant>>,
}

impl Origins {
    fn open() -> io::Result<Self> {
        let open = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listeners = [open()?, open()?, open()?];
        let [a, b, c] = &listeners;
        let addresses = [a.local_addr()?, b.local_addr()?, c.local_addr()?];
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        Ok(Self {
            listeners,
            addresses,
        })
    }

    /// Serves on a thread of its own until the process ends.
    fn serve(self) -> io::Result<()> {
        let mut builder = Builder::new_current_thread();
        builder.enable_io();
        std::thread::Builder::new()
            .name("origins".into())
            .spawn(move || {
                let runtime = builder.build_local(LocalOptions::default())?;
                runtime.block_on(async {
                    let [a, b, c] = self.listeners;
                    tokio::try_join!(accept(a, "s1"), accept(b, "s2"), accept(c, "s3"))
                })
            })?;
        Ok(())
    }
}

async fn accept(listener: TcpListener, name: &'static str) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let origin = Rc::new(Origin {
        name,
        down_until: std::cell::Cell::new(None),
    });
    loop {
        // Out of descriptors for a moment, or a client that has gone.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let origin = Rc::clone(&origin);
        let service = service_fn(move |request| {
            let response = origin.answer(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        tokio::task::spawn_local(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

impl Origin {
    /// Says who it is, and what it was told about the client.
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let is_check = request.method() == Method::HEAD && request.uri().path() == "/";
        if is_check
            && self
                .down_until
                .get()
                .is_some_and(|until| Instant::now() < until)
        {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        }
        let mut text = format!(
            "{}: {} {}\n",
            self.name,
            request.method(),
            request.uri().path()
        );
        if request.uri().path() == "/down" {
            self.down_until.set(Some(Instant::now() + DOWN));
            let _ = writeln!(text, "fails its checks for {} s", DOWN.as_secs());
        }
        for (name, value) in request.headers() {
            if name.as_str().starts_with("x-forwarded-") {
                let value = String::from_utf8_lossy(value.as_bytes());
                let _ = writeln!(text, "  {name}: {value}");
            }
        }
        let mut response = Response::new(Full::new(text.into()));
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_configuration_is_valid_and_without_warnings() {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = configuration(
            [local(1), local(2), local(6)],
            Path::new("/tmp/demo.pem"),
            [local(3), local(4), local(5)],
        );
        let loaded = Config::parse("demo", &text).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.config.backends.len(), 2);
    }

    #[test]
    fn taken_ports_are_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let args = DemoArgs {
            address: Ipv4Addr::LOCALHOST.into(),
            port,
            print_config: false,
        };
        let [http, tcp, https] = frontends(&args).unwrap();
        assert!(http.port() > port && tcp.port() > http.port() && https.port() > tcp.port());
    }
}
