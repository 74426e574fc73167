//! An engine of containers: the fake one, the real, or Podman.

mod fake;

use std::path::{Path, PathBuf};

pub(crate) use fake::FakeDocker;

use super::real::{RealDocker, RealPodman};

/// What all can do. A container answers with its own name.
#[derive(Debug)]
pub(crate) enum Docker {
    Fake(FakeDocker),
    Real(RealDocker),
    Podman(RealPodman),
}

impl Docker {
    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        match self {
            Self::Fake(fake) => fake.socket(),
            Self::Real(real) => real.socket(),
            Self::Podman(podman) => podman.socket(),
        }
    }

    /// Starts a container with these labels and variables.
    pub(crate) fn run(&self, name: &str, labels: &[(&str, &str)], env: &[(&str, &str)]) {
        match self {
            Self::Fake(fake) => fake.run(name, labels, env),
            Self::Real(real) => real.run(name, labels, env),
            Self::Podman(podman) => podman.run(name, labels, env),
        }
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(&self, name: &str) {
        match self {
            Self::Fake(fake) => fake.stop(name),
            Self::Real(real) => drop(real.docker(["stop", name])),
            Self::Podman(podman) => drop(podman.podman(["stop", name])),
        }
    }

    /// Sends a signal that does not end it.
    pub(crate) fn signal(&self, name: &str, signal: u8) {
        match self {
            Self::Fake(fake) => fake.signal(name, signal),
            Self::Real(real) => drop(real.docker(["kill", "-s", &signal.to_string(), name])),
            Self::Podman(podman) => {
                drop(podman.podman(["kill", "-s", &signal.to_string(), name]));
            }
        }
    }

    pub(crate) fn pause(&self, name: &str) {
        match self {
            Self::Fake(fake) => fake.set_state(name, "paused", "pause"),
            Self::Real(real) => drop(real.docker(["pause", name])),
            Self::Podman(podman) => drop(podman.podman(["pause", name])),
        }
    }

    pub(crate) fn unpause(&self, name: &str) {
        match self {
            Self::Fake(fake) => fake.set_state(name, "running", "unpause"),
            Self::Real(real) => drop(real.docker(["unpause", name])),
            Self::Podman(podman) => drop(podman.podman(["unpause", name])),
        }
    }

    /// The engine ends; its containers go on.
    pub(crate) fn go_down(&mut self) {
        match self {
            Self::Fake(fake) => fake.go_down(),
            Self::Real(real) => real.go_down(),
            Self::Podman(podman) => podman.go_down(),
        }
    }

    pub(crate) fn come_up(&mut self) {
        match self {
            Self::Fake(fake) => fake.come_up(),
            Self::Real(real) => real.come_up(),
            Self::Podman(podman) => podman.come_up(),
        }
    }
}

/// `unix://` and the path.
pub(crate) fn endpoint(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}
