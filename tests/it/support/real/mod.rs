//! Real programs: found, else installed, else skipped with a reason that is counted.
//!
//! A test asks for a part and returns when there is none:
//! `let Some(nginx) = real::nginx("...") else { return };`. Every answer goes into a
//! record that `.ci/real-report` prints after the run, one line per part, so that a
//! skipped part is seen. `RLB_NO_INSTALL=1` forbids installing, `RLB_REQUIRE_REAL=1`
//! turns a skip into a failure.

mod browser;
mod chromium;
mod consul;
mod docker;
mod haproxy;
mod knot;
mod nginx;
mod podman;
mod python;
mod record;
mod tool;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use browser::{Browser, browser, browser_trusting};
pub(crate) use chromium::chromium;
pub(crate) use consul::{Member, RealConsul, cluster, consul, consul_program, consul_with};
pub(crate) use docker::{Compose, RealDocker, docker};
pub(crate) use haproxy::{Haproxy, haproxy, haproxy_with};
pub(crate) use knot::{Knot, knot};
pub(crate) use nginx::{Nginx, nginx};
pub(crate) use podman::{RealPodman, podman};
pub(crate) use python::{Python, python};
pub(crate) use tool::{Tool, tool};

/// A program that tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Nginx,
    Haproxy,
    Knot,
    Halog,
    Wrk,
    Ab,
    Curl,
    Openssl,
    H2load,
    Nghttp,
    Chromium,
    Strace,
    Ss,
    Dockerd,
    Docker,
    DockerCompose,
    Podman,
    Runc,
    Hatop,
    Exporter,
    Python,
    SystemdAnalyze,
}

impl Part {
    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Knot => "knotd",
            Self::Halog => "halog",
            Self::Wrk => "wrk",
            Self::Ab => "ab",
            Self::Curl => "curl",
            Self::Openssl => "openssl",
            Self::H2load => "h2load",
            Self::Nghttp => "nghttp",
            Self::Chromium => "chromium",
            Self::Strace => "strace",
            Self::Ss => "ss",
            Self::Dockerd => "dockerd",
            Self::Docker => "docker",
            Self::DockerCompose => "docker-compose",
            Self::Podman => "podman",
            Self::Runc => "runc",
            Self::Hatop => "hatop",
            Self::Exporter => "prometheus-haproxy-exporter",
            Self::Python => "python3",
            Self::SystemdAnalyze => "systemd-analyze",
        }
    }

    /// Its package on Debian and Ubuntu.
    fn package(self) -> &'static str {
        match self {
            Self::Knot => "knot",
            Self::Halog => "haproxy",
            Self::Ab => "apache2-utils",
            Self::H2load | Self::Nghttp => "nghttp2-client",
            Self::Ss => "iproute2",
            Self::Dockerd | Self::Docker => "docker.io",
            Self::SystemdAnalyze => "systemd",
            other => other.program(),
        }
    }

    fn version_flag(self) -> &'static str {
        match self {
            Self::Nginx | Self::Haproxy | Self::Wrk => "-v",
            Self::Ab | Self::Strace | Self::Ss | Self::Knot => "-V",
            Self::Curl
            | Self::Chromium
            | Self::H2load
            | Self::Nghttp
            | Self::SystemdAnalyze
            | Self::Dockerd
            | Self::Docker
            | Self::DockerCompose
            | Self::Podman
            | Self::Runc
            | Self::Exporter
            | Self::Hatop
            | Self::Python => "--version",
            Self::Halog => "-h",
            Self::Openssl => "version",
        }
    }
}

/// Counts a part that a test has to do without for a reason of its own.
pub(crate) fn skip(part: &str, reason: &str) {
    record::skipped(part, reason);
    eprintln!("SKIPPED: {part}: {reason}");
}

/// The program, or `None` when this test has to do without it; recorded either way.
#[track_caller]
fn find(part: Part) -> Option<PathBuf> {
    match in_path(part.program()).map_or_else(|| install(part), Ok) {
        Ok(path) => {
            record::ran(part.program(), &version(part, &path));
            Some(path)
        }
        Err(reason) => {
            record::skipped(part.program(), &reason);
            assert!(
                env::var_os("RLB_REQUIRE_REAL").is_none(),
                "{}: {reason}",
                part.program()
            );
            eprintln!("SKIPPED: no {}: {reason}", part.program());
            None
        }
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    // Daemons live in sbin, which an ordinary user's PATH leaves out.
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

fn install(part: Part) -> Result<PathBuf, String> {
    if env::var_os("RLB_NO_INSTALL").is_some() {
        return Err("not installed, and RLB_NO_INSTALL is set".into());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("not installed, and only root may install it".into());
    }
    // Tests run in parallel processes: one installs, the others find what it got.
    let _lock = record::install_lock();
    if let Some(path) = in_path(part.program()) {
        return Ok(path);
    }
    if let Some(reason) = record::failed_install(part.program()) {
        return Err(reason);
    }
    let get = ["install", "-y", "--no-install-recommends", part.package()];
    let outcome = apt_get(&get).or_else(|_| apt_get(&["update"]).and_then(|()| apt_get(&get)));
    let installed = outcome.and_then(|()| {
        in_path(part.program()).ok_or_else(|| "apt: it did not bring the program".into())
    });
    installed.inspect_err(|reason| record::install_failed(part.program(), reason))
}

fn apt_get(args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    let output = command
        .output()
        .map_err(|error| format!("apt-get: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said
        .lines()
        .find(|line| line.starts_with("E:"))
        .unwrap_or("it failed");
    Err(format!("apt: {}", line.trim_start_matches("E: ")))
}

/// The first word of the version line that looks like a version: `1.22.1`.
fn version(part: Part, program: &Path) -> String {
    let output = Command::new(program).arg(part.version_flag()).output();
    let text = output
        .map(|output| [output.stdout, output.stderr].concat())
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    // "nginx version: nginx/1.22.1", "wrk debian/4.1.0-3+b2 [epoll]", "Version 2.3 <$Revision..."
    let mut words = text.split([' ', '/', '\n']);
    let word =
        words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    word.unwrap_or("of unknown version").to_owned()
}
