//! One agent: where it is, who we are to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::{self, ApiAddress, address};
use crate::discovery::http::{Answer, Ask, Client};
use crate::discovery::{Backoff, Failure, FailureKind};

/// How Consul is asked; where the file is silent, as its own tools do it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where the agent is; or what is wrong with CONSUL_HTTP_ADDR.
    pub(super) address: Result<ApiAddress, String>,
    token: Token,
    ca_file: Option<PathBuf>,
    /// `None` = the agent's own.
    pub(super) datacenter: Option<String>,
    pub(super) stale: bool,
    pub(super) wait: Duration,
    /// Changes of the KV store that follow within this time are joined.
    pub(super) coalesce: Duration,
    pub(super) max_delay: Duration,
    backoff: config::Backoff,
}

/// Where the ACL token is.
#[derive(Clone, PartialEq, Eq)]
enum Token {
    None,
    File(PathBuf),
    Given(String),
}

/// What asks one agent, one question at a time.
#[derive(Debug)]
pub(crate) struct Agent {
    client: Client,
    token: Token,
    /// As read last; sensitive.
    header: Option<HeaderValue>,
}

impl Settings {
    /// Of a configuration and this process's environment.
    pub(crate) fn of(discovery: &config::Discovery) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::with(discovery, &variable)
    }

    fn with(discovery: &config::Discovery, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let consul = &discovery.consul;
        let file = |name| variable(name).map(PathBuf::from);
        let token_file = consul.token_file.clone();
        let token_file = token_file.or_else(|| file("CONSUL_HTTP_TOKEN_FILE"));
        let token = match (token_file, variable("CONSUL_HTTP_TOKEN")) {
            (Some(path), _) => Token::File(path),
            (None, Some(token)) => Token::Given(token),
            (None, None) => Token::None,
        };
        let address = match &consul.address {
            Some(address) => Ok(address.clone()),
            None => from_environment(variable),
        };
        Self {
            address,
            token,
            ca_file: consul.ca_file.clone().or_else(|| file("CONSUL_CACERT")),
            datacenter: consul.datacenter.clone(),
            stale: consul.stale,
            wait: consul.wait,
            coalesce: discovery.coalesce,
            max_delay: discovery.max_delay,
            backoff: discovery.backoff,
        }
    }

    /// Waits between tries that fail; `what` makes them differ between tasks.
    pub(super) fn backoff(&self, what: &str) -> Backoff {
        let seed = what
            .bytes()
            .fold(u64::from(std::process::id()), |seed, byte| {
                seed.wrapping_mul(31).wrapping_add(u64::from(byte))
            });
        Backoff::new(self.backoff.min, self.backoff.max, seed)
    }
}

impl Agent {
    /// Reads the files that are needed; connects with the first question.
    ///
    /// # Errors
    /// A file that cannot be read, or CONSUL_HTTP_ADDR is not an address.
    pub(super) async fn new(settings: &Settings) -> Result<Self, Failure> {
        let local = |message| Failure::new(FailureKind::Local, message);
        let address = settings.address.clone().map_err(local)?;
        let tls = match address {
            ApiAddress::Https(..) => Some(tls(settings.ca_file.clone()).await?),
            _ => None,
        };
        let mut agent = Self {
            client: Client::new(address, tls),
            token: settings.token.clone(),
            header: None,
        };
        agent.read_token().await?;
        Ok(agent)
    }

    /// Where it is.
    pub(super) fn address(&self) -> &ApiAddress {
        self.client.address()
    }

    /// Asks; when the token is refused its file is read again, and a new one tried.
    ///
    /// # Errors
    /// As [`Client::fetch`]; a status is none.
    pub(super) async fn ask(&mut self, ask: Ask) -> Result<Answer, Failure> {
        let answer = self.ask_once(ask.clone()).await?;
        if answer.status != http::StatusCode::FORBIDDEN || !self.read_token().await? {
            return Ok(answer);
        }
        self.ask_once(ask).await
    }

    async fn ask_once(&mut self, mut ask: Ask) -> Result<Answer, Failure> {
        if let Some(token) = &self.header {
            ask = ask.header(TOKEN, token.clone());
        }
        self.client.fetch(&ask).await
    }

    /// True = it is another one now.
    async fn read_token(&mut self) -> Result<bool, Failure> {
        let text = match &self.token {
            Token::None => return Ok(false),
            Token::Given(token) => token.clone(),
            Token::File(path) => read(path.clone()).await.and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| local(path, "it is not a text"))
            })?,
        };
        let mut header = HeaderValue::try_from(text.trim()).map_err(|_| {
            Failure::new(
                FailureKind::Local,
                "the token of Consul holds control characters",
            )
        })?;
        header.set_sensitive(true);
        let is_other = self.header.as_ref() != Some(&header);
        self.header = Some(header);
        Ok(is_other)
    }
}

/// Never shown.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::File(path) => write!(f, "file {}", path.display()),
            // A plan that holds another one must differ.
            Self::Given(token) => {
                use std::hash::{DefaultHasher, Hash, Hasher};
                let mut hasher = DefaultHasher::new();
                token.hash(&mut hasher);
                write!(f, "given {:x}", hasher.finish())
            }
        }
    }
}

fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<ApiAddress, String> {
    let Some(text) = variable("CONSUL_HTTP_ADDR") else {
        return Ok(ApiAddress::Http("127.0.0.1".to_owned(), 8500));
    };
    let wants_tls = variable("CONSUL_HTTP_SSL").is_some_and(|v| v == "true" || v == "1");
    match address::api_or_none(&text) {
        Ok(Some(ApiAddress::Http(host, port))) if wants_tls => Ok(ApiAddress::Https(host, port)),
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err("CONSUL_HTTP_ADDR is empty".to_owned()),
        Err(fault) => Err(format!("CONSUL_HTTP_ADDR: {}", fault.message)),
    }
}

async fn tls(ca_file: Option<PathBuf>) -> Result<Arc<rustls::ClientConfig>, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let pem = read(path.clone()).await?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| local(&path, &error.to_string()))?;
                let added = roots.add(certificate);
                added.map_err(|error| local(&path, &error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(local(&path, "no certificate in it"));
            }
        }
        None => {
            let native = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            let certificates = native.map(|native| native.certs).unwrap_or_default();
            roots.add_parsable_certificates(certificates);
            if roots.is_empty() {
                let message = "this system trusts nobody: set discovery.consul.ca_file";
                return Err(Failure::new(FailureKind::Tls, message));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(FailureKind::Tls, error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

async fn read(path: PathBuf) -> Result<Vec<u8>, Failure> {
    let reading = path.clone();
    let read = tokio::task::spawn_blocking(move || std::fs::read(reading)).await;
    let read = read.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    read.map_err(|error| local(&path, &error.to_string()))
}

fn local(path: &Path, why: &str) -> Failure {
    Failure::new(FailureKind::Local, format!("{}: {why}", path.display()))
}

/// The one of three ways that shows up in no log.
const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(consul: config::Consul, variables: &[(&str, &str)]) -> Settings {
        let discovery = config::Discovery {
            consul,
            ..config::Discovery::default()
        };
        Settings::with(&discovery, &|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn environment_counts_where_the_file_is_silent() {
        let variables = [
            ("CONSUL_HTTP_ADDR", "consul:8501"),
            ("CONSUL_HTTP_SSL", "true"),
            ("CONSUL_HTTP_TOKEN", "secret"),
            ("CONSUL_CACERT", "/ca.pem"),
        ];
        let found = settings(config::Consul::default(), &variables);
        assert_eq!(found.address, Ok(ApiAddress::Https("consul".into(), 8501)));
        assert_eq!(found.token, Token::Given("secret".into()));
        assert_eq!(found.ca_file, Some("/ca.pem".into()));
        assert!(!format!("{found:?}").contains("secret"));
        let written = config::Consul {
            address: Some(ApiAddress::Http("10.0.0.1".into(), 80)),
            token_file: Some("/token".into()),
            ca_file: Some("/own.pem".into()),
            ..config::Consul::default()
        };
        let found = settings(written, &variables);
        assert_eq!(found.address, Ok(ApiAddress::Http("10.0.0.1".into(), 80)));
        assert_eq!(found.token, Token::File("/token".into()));
        assert_eq!(found.ca_file, Some("/own.pem".into()));
        let found = settings(config::Consul::default(), &[]);
        assert_eq!(
            found.address,
            Ok(ApiAddress::Http("127.0.0.1".into(), 8500))
        );
        let found = settings(config::Consul::default(), &[("CONSUL_HTTP_ADDR", "a b")]);
        assert!(found.address.unwrap_err().starts_with("CONSUL_HTTP_ADDR: "));
    }
}
