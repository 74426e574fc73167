//! `rlb -f FILE`: start, say so, wait for the end.

use std::path::PathBuf;
use std::process::ExitCode;

use rlb::config::{Backend, Config, Loaded, Mode, Probe};
use rlb::{Engine, Exit, Options, Program, ServiceManager, StopKind};

use super::output::{self, Count, complain, say};
use super::pidfile::PidFile;
use super::signals::{Signals, Steered};
use super::{BROKEN, REFUSED, check};

/// Serves what the files say.
pub(super) fn run(
    files: &[PathBuf],
    pidfile: Option<PathBuf>,
    takeover: Option<PathBuf>,
    quiet: bool,
    debug: bool,
) -> ExitCode {
    // First of all: the file that we run may be replaced any moment.
    let program = Program::this();
    let Some(loaded) = check::load(files) else {
        return ExitCode::from(REFUSED);
    };
    let service = Service {
        loaded,
        files: files.to_vec(),
        pidfile,
        takeover,
        program,
        first_stop: StopKind::Drain,
        quiet,
        debug,
    };
    match service.run(|_| ()) {
        Ok(code) => code,
        Err(sentence) => {
            complain(sentence);
            ExitCode::from(REFUSED)
        }
    }
}

/// An engine, and how its process behaves.
pub(crate) struct Service {
    pub(crate) loaded: Loaded,
    /// Where it was read; followed from now on.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) pidfile: Option<PathBuf>,
    /// The admin socket of the process to succeed.
    pub(crate) takeover: Option<PathBuf>,
    /// To be started anew by an upgrade.
    pub(crate) program: Option<Program>,
    /// What the first signal to stop asks for.
    pub(crate) first_stop: StopKind,
    pub(crate) quiet: bool,
    pub(crate) debug: bool,
}

impl Service {
    /// Serves until the end; `started` is called as soon as it does.
    ///
    /// # Errors
    /// A sentence: it does not start.
    pub(crate) fn run(self, started: impl FnOnce(&Engine)) -> Result<ExitCode, String> {
        let events = output::log(self.debug, self.quiet)?;
        let manager = ServiceManager::from_env(self.takeover.is_some())?;
        for warning in rlb::take_inherited(&self.loaded.config)? {
            tracing::warn!("{warning}");
        }
        rlb::drop_privileges(&self.loaded.config.global).map_err(|error| error.to_string())?;
        let signals = Signals::take().map_err(|error| format!("cannot take signals: {error}"))?;
        let config = self.loaded.config.clone();
        let mut options = Options::default();
        options.files = self.files;
        options.manager = manager;
        options.takeover = self.takeover;
        options.events = events;
        options.program = self.program;
        let engine = Engine::start_with(self.loaded, options).map_err(|e| e.to_string())?;
        signals.steer(Steered {
            engine: engine.handle(),
            first: self.first_stop,
            quiet: self.quiet,
        });
        let pidfile = match self.pidfile.map(PidFile::write).transpose() {
            Ok(pidfile) => pidfile,
            Err(sentence) => {
                engine.stop(StopKind::Now);
                engine.wait();
                return Err(sentence);
            }
        };
        if !self.quiet {
            tell(&engine, &config);
        }
        started(&engine);
        let exit = engine.wait();
        drop(pidfile);
        match exit {
            Exit::Stopped => Ok(ExitCode::SUCCESS),
            Exit::Broken => {
                complain("a thread of rlb broke, so the process ends; the log says which");
                Ok(ExitCode::from(BROKEN))
            }
        }
    }
}

/// One line for each bind and backend, and what was derived from the system.
fn tell(engine: &Engine, config: &Config) {
    for (frontend, address) in engine.binds() {
        let written = config.frontends.iter().find(|f| f.name == *frontend);
        let mode = match written.map(|frontend| frontend.mode) {
            Some(Mode::Tcp) => "tcp",
            _ => "http",
        };
        say(format_args!("frontend {frontend}: {mode} on {address}"));
    }
    for backend in &config.backends {
        say(backend_line(backend));
    }
    if let Some(stats) = &config.stats {
        // Opened in the order of the file.
        for (bind, address) in stats.binds.iter().zip(engine.stats_addresses()) {
            let scheme = if bind.tls { "https" } else { "http" };
            say(format_args!(
                "stats page: {scheme}://{address}{}",
                stats.page.path
            ));
        }
    }
    let limits = engine.limits();
    say(format_args!(
        "{}, maxconn {}, {} file descriptors",
        Count(limits.workers, "worker"),
        limits.maxconn,
        limits.descriptors
    ));
}

fn backend_line(backend: &Backend) -> String {
    let servers = servers(backend);
    let check = match &backend.check {
        None => "no check".to_owned(),
        Some(check) => {
            let probe = match &check.probe {
                Probe::Tcp => "connect".to_owned(),
                Probe::Grpc { .. } => "grpc.health.v1".to_owned(),
                Probe::Http { method, path, .. } => format!("{method} {path}"),
            };
            format!(
                "check {probe} every {:?}, rise {}, fall {}",
                check.interval, check.rise, check.fall
            )
        }
    };
    format!("backend {}: {servers}, {check}", backend.name)
}

/// What is written, and where more comes from.
fn servers(backend: &Backend) -> String {
    let written = Count(backend.servers.len(), "server");
    let files: Vec<_> = backend
        .server_files()
        .map(|f| f.display().to_string())
        .collect();
    match (backend.servers.len(), &files[..]) {
        (_, []) => written.to_string(),
        (0, files) => format!("servers of {}", files.join(", ")),
        (_, files) => format!("{written} and those of {}", files.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(backend: &str) -> String {
        let text = format!(
            "[[frontend]]\nname = \"f\"\nbind = \":0\"\ndefault_backend = \"b\"\n\
             [[backend]]\nname = \"b\"\n{backend}"
        );
        let config = Config::parse("test", &text).unwrap().config;
        backend_line(&config.backends[0])
    }

    #[test]
    fn a_backend_says_what_is_checked() {
        assert_eq!(
            line(r#"server = "10.0.0.1:80""#),
            "backend b: 1 server, no check"
        );
        assert_eq!(
            line(
                "server = [\"10.0.0.1:80\", \"10.0.0.2:80\"]\ncheck = { path = \"/health\", interval = \"500ms\" }"
            ),
            "backend b: 2 servers, check HEAD /health every 500ms, rise 2, fall 3"
        );
        let file = "source = { file = \"/etc/n.toml\" }";
        assert_eq!(line(file), "backend b: servers of /etc/n.toml, no check");
        assert_eq!(
            line(&format!("{file}\nserver = \"10.0.0.1:80\"")),
            "backend b: 1 server and those of /etc/n.toml, no check"
        );
    }
}
