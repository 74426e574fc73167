//! What stands behind the proxies: nginx, or for memory an origin that never answers.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::event::epoll;

use crate::Result;
use crate::peer::{Site, local, nginx_arguments};
use crate::process::{End, Process};
use crate::template::Template;
use crate::work::{BYTES_1M, BYTES_16K};

/// The word that makes the bench a silent origin: `__silent PORT...`.
pub(crate) const SILENT: &str = "__silent";

/// nginx on four ports, with files of 16 KiB and 1 MiB.
pub(crate) fn start(site: &Site<'_>) -> Result<Process> {
    let dir = site.dir.join("origin");
    std::fs::create_dir_all(dir.join("files"))?;
    for (name, bytes) in [("16k", BYTES_16K), ("1m", BYTES_1M)] {
        std::fs::write(dir.join("files").join(name), "x".repeat(bytes as usize))?;
    }
    let config = Template::new(include_str!("../peers/origin.conf"), site, &dir)
        .write(dir.join("nginx.conf"))?;
    let args = nginx_arguments(&config, &dir);
    let mut origin = Process::start(
        "origin",
        Path::new("nginx"),
        &args,
        site.cores.load,
        End::Term,
        &dir,
    )?;
    origin.wait_until(|| {
        site.ports
            .origin
            .iter()
            .all(|port| TcpStream::connect(local(*port)).is_ok())
    })?;
    Ok(origin)
}

/// An origin that takes requests and never answers them.
pub(crate) fn start_silent(site: &Site<'_>) -> Result<Process> {
    let mut args: Vec<OsString> = vec![SILENT.into()];
    args.extend(site.ports.silent.map(|port| port.to_string().into()));
    let program = std::env::current_exe()?;
    let mut origin = Process::start(
        "silent",
        &program,
        &args,
        site.cores.load,
        End::Kill,
        site.dir,
    )?;
    let ports = site.ports.silent;
    origin.wait_until(|| {
        ports
            .iter()
            .all(|port| TcpStream::connect(local(*port)).is_ok())
    })?;
    Ok(origin)
}

/// Accepts all, answers health checks (HEAD) and swallows the rest.
pub(crate) fn run_silent(argv: impl Iterator<Item = OsString>) -> Result<()> {
    let ports = argv.map(|word| word.to_string_lossy().parse());
    let threads: Vec<_> = ports
        .map(|port| {
            port.map(|port| thread::spawn(move || be_silent(port).map_err(|e| e.to_string())))
        })
        .collect::<std::result::Result<_, _>>()?;
    for thread in threads {
        thread.join().map_err(|_| "a silent origin panicked")??;
    }
    Ok(())
}

fn be_silent(port: u16) -> Result<()> {
    let listener = TcpListener::bind(local(port))?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        &listener,
        epoll::EventData::new_u64(u64::MAX),
        epoll::EventFlags::IN,
    )?;
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let token = event.data.u64();
            if token == u64::MAX {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    let data = epoll::EventData::new_u64(streams.len() as u64);
                    epoll::add(&poll, &stream, data, epoll::EventFlags::IN)?;
                    streams.push(Some(stream));
                }
            } else if let Some(slot) = streams.get_mut(token as usize) {
                let over = slot.as_mut().is_some_and(|stream| swallow(stream).is_err());
                if over {
                    *slot = None;
                }
            }
        }
    }
}

fn swallow(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    match stream.read(&mut bytes)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        n if bytes[..n].starts_with(b"HEAD ") => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
        _ => Ok(()),
    }
}

/// Longest a memory measurement waits for an answer.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
