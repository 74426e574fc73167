//! `[discovery.docker]` and `source = [{ docker = "..." }]`: types and defaults.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::ApiAddress;

/// Containers by the name of their service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSource {
    /// Compose's service, Registrator's name, or the name of a container that
    /// belongs to neither.
    pub service: String,
    /// Compose's project; `None` = our own container's, where we run in one.
    pub project: Option<String>,
    /// The port inside; `None` = what the container says, else its only one.
    pub port: Option<u16>,
    /// The network; `None` = what the container says, else [`Docker::network`].
    pub network: Option<String>,
    /// Registrator's tags: all of these; empty = any.
    pub tags: Vec<String>,
}

/// `[discovery.docker]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docker {
    /// The table is in the file: containers may make backends by themselves.
    pub is_written: bool,
    /// Engines; empty = DOCKER_HOST, else `unix:///var/run/docker.sock`.
    pub endpoints: Vec<ApiAddress>,
    /// ca.pem, cert.pem and key.pem for engines over TCP; `None` =
    /// DOCKER_CERT_PATH where DOCKER_TLS_VERIFY is set.
    pub cert_path: Option<PathBuf>,
    /// Which address of a container is used.
    pub address: DockerAddress,
    /// Where ports published on every address are reached; `None` = the
    /// endpoint's host, 127.0.0.1 for a socket on our own.
    pub host_ip: Option<IpAddr>,
    /// The network whose addresses are used; `None` = the first by name that our
    /// own container shares.
    pub network: Option<String>,
    /// Which containers make backends by themselves.
    pub expose: DockerExpose,
    /// What a HEALTHCHECK of a container means.
    pub health: DockerHealth,
    /// A container that is told to stop gets no new request. Default true.
    pub early_drain: bool,
    /// It gets them again when it still runs after this. Default 15 s.
    pub stop_grace: Duration,
    /// The list is read this often even if nothing happened. Default 60 s.
    pub resync: Duration,
    /// Whose words are listened to.
    pub conventions: Vec<DockerConvention>,
}

/// Which address of a container is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerAddress {
    /// Its own, in a network.
    Container,
    /// Its published port on the engine's host.
    Published,
}

/// Which containers make backends by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerExpose {
    /// Those that say so.
    Labelled,
    /// All, below the name of their service.
    All,
}

/// What a HEALTHCHECK of a container means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerHealth {
    /// Those that fail it are down.
    NotUnhealthy,
    /// Those that have not passed it yet too.
    RequireHealthy,
    /// Nothing.
    Ignore,
}

/// Whose words on containers are listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerConvention {
    /// Labels `rlb.*`.
    Rlb,
    /// INTERLOCK_DATA and labels `interlock.*`.
    Interlock,
    /// SERVICE_NAME, SERVICE_TAGS and the rest of Registrator's.
    Registrator,
}

impl Default for Docker {
    fn default() -> Self {
        Self {
            is_written: false,
            endpoints: Vec::new(),
            cert_path: None,
            address: DockerAddress::Container,
            host_ip: None,
            network: None,
            // Nobody's database is to become reachable by accident.
            expose: DockerExpose::Labelled,
            health: DockerHealth::NotUnhealthy,
            early_drain: true,
            // Longer than the 10 s after which Docker kills.
            stop_grace: Duration::from_secs(15),
            resync: Duration::from_secs(60),
            conventions: vec![DockerConvention::Rlb],
        }
    }
}
