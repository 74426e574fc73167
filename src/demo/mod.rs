//! `rlb demo`: something to see within a second, without a file.
//!
//! Four origins on a thread of their own, some visitors on another, and an ordinary
//! engine between them whose configuration anybody may print and keep.

mod certificate;
mod origins;
mod visitors;

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rlb::config::Config;
use rlb::{Engine, StopKind};

use crate::cli::serve::Service;
use crate::cli::{DemoArgs, REFUSED, complain, print};
use certificate::Certificate;
use origins::Origins;

/// Ports looked at before giving up.
const PORTS_MAX: u16 = 100;
/// Columns for the commands to try.
const COMMAND_WIDTH: usize = 66;
/// Of the stats page: steering wants an account.
const USER: &str = "demo";
const PASSWORD: &str = "demo";

/// Runs it, or prints what it would run.
pub(crate) fn run(args: &DemoArgs, quiet: bool, debug: bool) -> ExitCode {
    serve(args, quiet, debug).unwrap_or_else(|sentence| {
        complain(sentence);
        ExitCode::from(REFUSED)
    })
}

fn serve(args: &DemoArgs, quiet: bool, debug: bool) -> Result<ExitCode, String> {
    let origins = Origins::open().map_err(|error| format!("no port for an origin: {error}"))?;
    let listening = listening(args)?;
    let certificate = Certificate::write(listening.http.port())
        .map_err(|error| format!("no certificate for https: {error}"))?;
    let text = configuration(&listening, &certificate.path, origins.addresses);
    let visited = visitors::Visited {
        shop: reachable(listening.shop),
        failing: origins.addresses[3],
    };
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
    visitors::start(visited).map_err(|error| format!("the visitors do not start: {error}"))?;
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

/// Addresses that nobody else has.
struct Listening {
    http: SocketAddr,
    tcp: SocketAddr,
    https: SocketAddr,
    shop: SocketAddr,
    stats: SocketAddr,
}

fn listening(args: &DemoArgs) -> Result<Listening, String> {
    let ports = (args.port..=u16::MAX).take(PORTS_MAX.into());
    let mut free = ports
        .map(|port| SocketAddr::new(args.address, port))
        .filter(|address| TcpListener::bind(address).is_ok());
    let mut next = || {
        free.next().ok_or_else(|| {
            format!(
                "no five free ports on {} from {} on; choose others with --port",
                args.address, args.port
            )
        })
    };
    Ok(Listening {
        http: next()?,
        tcp: next()?,
        https: next()?,
        shop: next()?,
        stats: next()?,
    })
}

fn configuration(
    listening: &Listening,
    certificate: &Path,
    [a, b, c, d]: [SocketAddr; 4],
) -> String {
    let Listening {
        http,
        tcp,
        https,
        shop,
        stats,
    } = listening;
    let socket = socket_of(*http);
    format!(
        r#"# What `rlb demo` runs.
[global]
admin = {socket:?}

# The page to look at; its buttons take servers out and in.
[stats]
bind = "{stats}"
auth = "{USER}:{PASSWORD}"
admin = true

# What the visitors of the demo ask; s4 fails its checks for 10 s each minute.
[[listen]]
name = "shop"
bind = "{shop}"
server = [
  {{ name = "s1", address = "{a}", weight = 3 }},
  {{ name = "s2", address = "{b}", weight = 2 }},
  {{ name = "s3", address = "{c}", weight = 2 }},
  {{ name = "s4", address = "{d}" }},
  {{ name = "spare", address = "{a}", backup = true }},
]
check = {{ interval = "1s" }}

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
    if let Some(stats) = engine.stats_addresses().first() {
        let stats = reachable(*stats);
        let _ = writeln!(
            text,
            "\nStats page, with visitors of its own (user {USER}, password {PASSWORD}):\n\n  \
             http://{stats}/haproxy_stats"
        );
    }
    text.push_str("\n`rlb demo --print-config` prints the file behind this.\nCtrl-C ends it.\n");
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_configuration_is_valid_and_without_warnings() {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listening = Listening {
            http: local(1),
            tcp: local(2),
            https: local(9),
            shop: local(3),
            stats: local(4),
        };
        let text = configuration(
            &listening,
            Path::new("/tmp/demo.pem"),
            [local(5), local(6), local(7), local(8)],
        );
        let loaded = Config::parse("demo", &text).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.config.backends.len(), 3);
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
        let Listening {
            http, tcp, https, ..
        } = listening(&args).unwrap();
        assert!(http.port() > port && tcp.port() > http.port() && https.port() > tcp.port());
    }
}
