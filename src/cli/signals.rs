//! Signals: what a supervisor or a terminal asks for.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use rlb::{Handle, StopKind, Stopping};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::output::{Count, say};

/// Signals are taken from now on.
#[derive(Debug)]
pub(super) struct Signals {
    started: oneshot::Sender<Steered>,
}

/// What they act on.
#[derive(Debug)]
pub(super) struct Steered {
    pub(super) engine: Handle,
    /// What the first TERM, INT or USR1 asks for; a second one always cuts.
    pub(super) first: StopKind,
    pub(super) quiet: bool,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Stop,
    Reload,
}

const MEANING: [(SignalKind, Wish); 5] = [
    (SignalKind::terminate(), Wish::Stop),
    (SignalKind::interrupt(), Wish::Stop),
    (SignalKind::user_defined1(), Wish::Stop),
    (SignalKind::hangup(), Wish::Reload),
    (SignalKind::user_defined2(), Wish::Reload),
];

impl Signals {
    /// Takes the process's signals. A wish is kept until there is an engine to steer
    /// (a file may have changed after it was read); a second one to stop ends the process.
    ///
    /// # Errors
    /// The system refuses a handler or a thread.
    pub(super) fn take() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let taken = {
            let _within = runtime.enter();
            let taken = MEANING.map(|(kind, wish)| Ok((signal(kind)?, wish)));
            taken.into_iter().collect::<io::Result<Vec<_>>>()?
        };
        let (started, starting) = oneshot::channel();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || listen(&runtime, taken, starting))?;
        Ok(Self { started })
    }

    /// From now on they steer an engine.
    pub(super) fn steer(self, steered: Steered) {
        // Their thread lives as long as the process.
        let _ = self.started.send(steered);
    }
}

fn listen(
    runtime: &Runtime,
    mut taken: Vec<(Signal, Wish)>,
    mut starting: oneshot::Receiver<Steered>,
) {
    let (mut stop_wanted, mut reload_wanted) = (false, false);
    let steered = loop {
        let next = runtime.block_on(async {
            tokio::select! {
                steered = &mut starting => Err(steered),
                wish = wish(&mut taken) => Ok(wish),
            }
        });
        match next {
            Ok(Wish::Reload) => reload_wanted = true,
            Ok(Wish::Stop) if stop_wanted => std::process::exit(0),
            Ok(Wish::Stop) => stop_wanted = true,
            Err(Ok(steered)) => break steered,
            // The start was refused: the process is ending.
            Err(Err(_)) => return,
        }
    };
    if stop_wanted {
        stop(&steered);
    } else if reload_wanted {
        drop(steered.engine.reload());
    }
    loop {
        match runtime.block_on(wish(&mut taken)) {
            Wish::Stop => stop(&steered),
            // Control logs what changed, or all that is wrong with the files.
            Wish::Reload => drop(steered.engine.reload()),
        }
    }
}

async fn wish(taken: &mut [(Signal, Wish)]) -> Wish {
    poll_fn(|cx| {
        let mut taken = taken.iter_mut();
        let wish =
            taken.find_map(|(signal, wish)| signal.poll_recv(cx).is_ready().then_some(*wish));
        wish.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

fn stop(steered: &Steered) {
    let Some(stopping) = steered.engine.stop(steered.first) else {
        return;
    };
    if steered.quiet {
        return;
    }
    match stopping {
        Stopping::Draining { sessions, at_most } => say(format_args!(
            "draining {}, at most {}; again to stop now",
            Count(sessions, "session"),
            seconds(at_most)
        )),
        Stopping::Cutting { sessions: 0 } => {}
        Stopping::Cutting { sessions } => {
            say(format_args!("cutting {}", Count(sessions, "session")));
        }
        _ => {}
    }
}

/// `30 s`; what is no whole number of seconds as `1.5s`.
fn seconds(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{duration:?}")
    }
}
