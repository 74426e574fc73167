//! One client of an admin socket.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::command::Command;
use super::run::run;
use super::wire::{Session, Step};
use crate::config::AdminLevel;
use crate::control::Control;
use crate::control::takeover::requested;

/// What is read at once.
const CHUNK: usize = 4096;
/// A client that sent too much is listened to this long before the close.
const LINGER: Duration = Duration::from_secs(1);
/// What is read of it at most.
const LINGER_MAX: usize = 4 << 20;

/// Serves a client in a task of its own; `place` is given back at the end.
pub(super) fn start<S>(
    stream: S,
    level: AdminLevel,
    control: &Rc<Control>,
    place: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static,
{
    let control = Rc::clone(control);
    tokio::task::spawn_local(async move {
        if let Err(error) = converse(stream, level, &control).await {
            tracing::debug!(%error, "an admin client is gone");
        }
        drop(place);
    });
}

/// Until the client, the conversation or its patience ends.
async fn converse<S>(mut stream: S, level: AdminLevel, control: &Rc<Control>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin,
{
    let mut session = Session::new(level);
    let mut chunk = vec![0; CHUNK];
    let mut line_deadline = Instant::now() + session.timeout();
    loop {
        match session.next(control.uptime()) {
            Step::Read => {
                write(&mut stream, &mut session).await?;
                match timeout_at(line_deadline, stream.read(&mut chunk)).await?? {
                    0 => session.end_of_input(),
                    length => session.receive(&chunk[..length]),
                }
            }
            Step::Run(request) => {
                if let Some(version) = requested(&request.words)
                    && session.level() == AdminLevel::Admin
                {
                    control.hand_over(&stream, version).await;
                    return Ok(());
                }
                match Command::parse(&request, session.level()) {
                    Command::Talk(talk) => session.obey(talk, control.uptime()),
                    command => {
                        let reply = run(control, command).await;
                        session.answer(&reply, control.uptime());
                    }
                }
                write(&mut stream, &mut session).await?;
                line_deadline = Instant::now() + session.timeout();
                // A thousand commands in one line must not keep control to themselves.
                tokio::task::yield_now().await;
            }
            Step::Close => {
                write(&mut stream, &mut session).await?;
                return close(stream, session.is_overrun()).await;
            }
        }
    }
}

/// A client that takes nothing for as long as a line may take is given up.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, session: &mut Session) -> io::Result<()> {
    let output = session.take_output();
    let mut rest = &output[..];
    while !rest.is_empty() {
        let length = timeout(session.timeout(), stream.write(rest)).await??;
        if length == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// With unread bytes a close is a reset, and the answer may be lost with it.
async fn close<S>(mut stream: S, overrun: bool) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.shutdown().await?;
    if !overrun {
        return Ok(());
    }
    let mut chunk = vec![0; CHUNK];
    let drain = async {
        let mut total = 0;
        while total < LINGER_MAX {
            match stream.read(&mut chunk).await? {
                0 => break,
                length => total += length,
            }
        }
        Ok(())
    };
    timeout(LINGER, drain).await?
}
