//! The admin socket, as bytes: HAProxy's runtime API over a Unix socket of an
//! engine in this process.

mod abuse;
mod changes;
mod clients;
mod groups;
mod metrics;
mod reopened;
mod replies;
mod switched_tls;
mod wire;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rlb::config::Config;
use rlb::{Engine, StopKind};

use crate::support::PATIENCE;

/// An engine with an admin socket.
struct Running {
    engine: Option<Engine>,
    dir: tempfile::TempDir,
}

/// A client of an admin socket.
struct Client(UnixStream);

/// One HTTP frontend `www` in front of `web` (s1 weight 10, s2 checked by nobody), and a
/// TCP listen `db`.
const TWO_BACKENDS: &str = r#"
[[frontend]]
name = "www"
bind = "127.0.0.1:0"
default_backend = "web"
[[frontend.route]]
host = "api.example"
path_prefix = "/v1"
backend = "api"

[[backend]]
name = "web"
server = [
  { name = "s1", address = "127.0.0.1:1", weight = 10 },
  { name = "s2", address = "127.0.0.1:2" },
]

[[backend]]
name = "api"
server = [{ name = "a1", address = "127.0.0.1:3" }]

[[listen]]
name = "db"
mode = "tcp"
bind = "127.0.0.1:0"
server = [{ name = "d1", address = "127.0.0.1:4" }]
"#;

impl Running {
    /// With this configuration behind `[global]`.
    fn with(config: &str) -> Self {
        Self::with_socket(config, "")
    }

    /// `socket` are more keys of the admin socket.
    fn with_socket(config: &str, socket: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let text = format!(
            "[global]\nworkers = 2\ndrain_timeout = \"5s\"\nadmin = {{ path = \"{}\"{socket} }}\n{config}",
            path.display()
        );
        let loaded = Config::parse("test.toml", &text).unwrap_or_else(|errors| {
            panic!("{}", errors.render(false));
        });
        let engine = Engine::start(loaded.config).unwrap();
        Self {
            engine: Some(engine),
            dir,
        }
    }

    fn two_backends() -> Self {
        Self::with(TWO_BACKENDS)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    /// Where this frontend listens.
    fn address(&self, frontend: &str) -> SocketAddr {
        let addresses = self.engine().addresses();
        addresses
            .iter()
            .find(|(name, _)| &**name == frontend)
            .unwrap()
            .1
    }

    fn client(&self) -> Client {
        Client::connect(&self.path())
    }

    /// All that is answered to these bytes until the close.
    #[track_caller]
    fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.client();
        client.send(bytes);
        client.rest()
    }

    /// The answer to one command, without the empty line behind it.
    #[track_caller]
    fn ask(&self, command: &str) -> String {
        let answer = self.raw(format!("{command}\n"));
        let answer = answer.strip_suffix('\n').expect("an empty line at the end");
        answer.strip_suffix('\n').unwrap_or(answer).to_owned()
    }

    /// Commands that are answered by silence.
    #[track_caller]
    fn obeys(&self, command: &str) {
        assert_eq!(self.raw(format!("{command}\n")), "\n", "{command}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop(StopKind::Now);
            engine.wait();
        }
    }
}

impl Client {
    #[track_caller]
    fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    #[track_caller]
    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.write_all(bytes.as_ref()).unwrap();
        self
    }

    fn finish_sending(&mut self) -> &mut Self {
        self.0.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// All that comes until the close.
    #[track_caller]
    fn rest(&mut self) -> String {
        let mut text = Vec::new();
        match self.0.read_to_end(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&text)),
        }
        String::from_utf8(text).unwrap()
    }

    /// All that comes until `end` has come.
    #[track_caller]
    fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while !text.ends_with(end.as_bytes()) {
            match self.0.read(&mut chunk) {
                Ok(0) => panic!("closed after {:?}", String::from_utf8_lossy(&text)),
                Ok(length) => text.extend_from_slice(&chunk[..length]),
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&text)),
            }
        }
        String::from_utf8(text).unwrap()
    }
}
