//! Several engines as one set.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::task::JoinSet;

use super::engine::{Engine, Listener};
use super::look::{Asked, Looked};
use super::own::Own;
use crate::config::{self, ApiAddress, Config, Docker, Source};
use crate::discovery::{Backoff, Failure, FailureKind, Found, Outlet, Provider, SourceId};

/// Watches the engines for all sources and sites of a configuration.
#[derive(Debug)]
pub(crate) struct DockerProvider {
    settings: Docker,
    backoff: config::Backoff,
    asked: Vec<Asked>,
    sources: Vec<SourceId>,
}

impl DockerProvider {
    /// None, where the configuration wants nothing of Docker.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let mut provider = Self {
            settings: config.discovery.docker.clone(),
            backoff: config.discovery.backoff,
            asked: Vec::new(),
            sources: Vec::new(),
        };
        for source in config.backends.iter().flat_map(|backend| &backend.sources) {
            if let Source::Docker(docker) = source {
                provider.ask(SourceId::of(source), Asked::Named(docker.clone()));
            }
        }
        let wants_sites = config
            .frontends
            .iter()
            .any(|frontend| frontend.discovered_routes);
        if wants_sites && config.discovery.docker.is_written {
            provider.ask(SourceId::sites("docker"), Asked::Sites);
        }
        (!provider.asked.is_empty()).then_some(provider)
    }

    fn ask(&mut self, id: SourceId, asked: Asked) {
        if !self.sources.contains(&id) {
            self.sources.push(id);
            self.asked.push(asked);
        }
    }
}

impl Provider for DockerProvider {
    fn plan(&self) -> String {
        format!("{self:?}")
    }

    fn sources(&self) -> Vec<SourceId> {
        self.sources.clone()
    }

    /// An engine knows what runs on it.
    fn empty_is_believed(&self) -> bool {
        true
    }

    fn run(&self, outlets: Vec<Outlet>) -> Pin<Box<dyn Future<Output = ()>>> {
        let settings = Rc::new(self.settings.clone());
        let asked: Rc<[Asked]> = self.asked.clone().into();
        let backoff = self.backoff;
        Box::pin(follow_all(settings, asked, backoff, outlets))
    }
}

async fn follow_all(
    settings: Rc<Docker>,
    asked: Rc<[Asked]>,
    backoff: config::Backoff,
    outlets: Vec<Outlet>,
) {
    let prepared = {
        let settings = Docker::clone(&settings);
        tokio::task::spawn_blocking(move || prepare(&settings)).await
    };
    let prepared = prepared.unwrap_or_else(|error| Err(error.to_string()));
    let (own, engines) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => {
            for outlet in &outlets {
                outlet.failed(Failure::new(FailureKind::Local, message.clone()));
            }
            // Only another configuration or environment helps.
            return std::future::pending().await;
        }
    };
    let hub = Rc::new(Hub {
        outlets,
        parts: RefCell::new(engines.iter().map(|_| Part::default()).collect()),
        warned: RefCell::default(),
    });
    let mut following = JoinSet::new();
    for (index, (address, tls)) in engines.into_iter().enumerate() {
        let (settings, asked) = (Rc::clone(&settings), Rc::clone(&asked));
        let engine = Engine::new(settings, asked, own.clone(), address, tls);
        let seed = u64::from(std::process::id()) << 8 | index as u64;
        let backoff = Backoff::new(backoff.min, backoff.max, seed);
        let hub = Rc::clone(&hub);
        following.spawn_local(async move {
            engine.follow(backoff, &Port { hub, index }).await;
        });
    }
    // One that panicked takes the others along: the registry starts all anew.
    let _ = following.join_next().await;
}

/// What was heard of each engine.
struct Hub {
    outlets: Vec<Outlet>,
    parts: RefCell<Vec<Part>>,
    /// Said already.
    warned: RefCell<BTreeSet<String>>,
}

#[derive(Default)]
struct Part {
    /// For each question; kept when the engine is lost.
    found: Option<Vec<Found>>,
    is_lost: bool,
}

/// One engine's door to the hub.
struct Port {
    hub: Rc<Hub>,
    index: usize,
}

impl Listener for Port {
    fn found(&self, looked: Looked) {
        let mut parts = self.hub.parts.borrow_mut();
        parts[self.index] = Part {
            found: Some(looked.found),
            is_lost: false,
        };
        let is_whole = !parts.iter().any(|part| part.is_lost);
        for (question, outlet) in self.hub.outlets.iter().enumerate() {
            let found = union(&parts, question);
            match is_whole {
                true => outlet.found(found),
                false => outlet.found_partly(found),
            }
        }
        let mut warned = self.hub.warned.borrow_mut();
        for warning in looked.warnings {
            if warned.len() < WARNINGS_KEPT && warned.insert(warning.clone()) {
                tracing::warn!(source = "docker", "{warning}");
            }
        }
    }

    fn failed(&self, failure: Failure) {
        self.hub.parts.borrow_mut()[self.index].is_lost = true;
        for outlet in &self.hub.outlets {
            outlet.failed(failure.clone());
        }
    }
}

/// What all engines say to one question.
fn union(parts: &[Part], question: usize) -> Found {
    let mut all = Found::default();
    for found in parts.iter().filter_map(|part| part.found.as_ref()) {
        let Some(found) = found.get(question) else {
            continue;
        };
        for member in &found.members {
            // Two endpoints of one engine.
            if !all.members.iter().any(|known| known.id == member.id) {
                all.members.push(member.clone());
            }
        }
        all.left_out.extend(found.left_out.iter().cloned());
    }
    all
}

struct Tls {
    config: Arc<rustls::ClientConfig>,
}

type Engines = Vec<(ApiAddress, Option<Arc<rustls::ClientConfig>>)>;

/// Reads files and environment: on a thread that may block.
fn prepare(settings: &Docker) -> Result<(Own, Engines), String> {
    let var = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let mut addresses = settings.endpoints.clone();
    if addresses.is_empty() {
        addresses.push(default_endpoint(var("DOCKER_HOST").as_deref())?);
    }
    let verify = var("DOCKER_TLS_VERIFY").is_some();
    let directory = settings.cert_path.clone().or_else(|| {
        let given = var("DOCKER_CERT_PATH").map(PathBuf::from);
        given.filter(|_| verify)
    });
    let needs_tls = |address: &ApiAddress| match address {
        ApiAddress::Unix(_) => false,
        ApiAddress::Http(..) => directory.is_some(),
        ApiAddress::Https(..) => true,
    };
    let tls = match addresses.iter().any(needs_tls) {
        true => Some(tls(directory.as_deref())?),
        false => None,
    };
    let engines = addresses.into_iter().map(|address| {
        let tls = tls.as_ref().filter(|_| needs_tls(&address));
        let tls = tls.map(|tls| Arc::clone(&tls.config));
        // tcp:// with certificates is what docker itself writes for TLS.
        let address = match address {
            ApiAddress::Http(host, port) if tls.is_some() => ApiAddress::Https(host, port),
            other => other,
        };
        (address, tls)
    });
    Ok((Own::read(), engines.collect()))
}

/// What docker's own client would talk to.
fn default_endpoint(docker_host: Option<&str>) -> Result<ApiAddress, String> {
    let Some(text) = docker_host else {
        return Ok(ApiAddress::Unix(PathBuf::from(SOCKET)));
    };
    match config::address::api_or_none(text) {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Ok(ApiAddress::Unix(PathBuf::from(SOCKET))),
        Err(fault) => Err(format!("DOCKER_HOST: {}", fault.message)),
    }
}

/// ca.pem says whom we trust, cert.pem and key.pem who we are.
fn tls(directory: Option<&Path>) -> Result<Tls, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    let Some(directory) = directory else {
        for certificate in rustls_native_certs::load_native_certs().certs {
            // One that cannot be read is one less to be trusted.
            let _ = roots.add(certificate);
        }
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        return Ok(Tls {
            config: Arc::new(config),
        });
    };
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let certificates = |name: &str| -> Result<Vec<CertificateDer<'static>>, String> {
        let bytes = read(name)?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        all.map_err(|error| format!("{}: {error}", directory.join(name).display()))
    };
    for certificate in certificates("ca.pem")? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("{}: {error}", directory.join("ca.pem").display()))?;
    }
    let key = PrivateKeyDer::from_pem_slice(&read("key.pem")?)
        .map_err(|error| format!("{}: {error}", directory.join("key.pem").display()))?;
    let config = builder
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates("cert.pem")?, key)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(Tls {
        config: Arc::new(config),
    })
}

const SOCKET: &str = "/var/run/docker.sock";
/// Containers come and go for years; what was said is not kept for ever.
const WARNINGS_KEPT: usize = 10_000;
