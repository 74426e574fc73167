//! Signals: what a supervisor or a terminal asks for.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use rlb::{Handle, ReloadError, StopKind, Stopping};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::{Count, is_color, say, warn};

/// Signals are taken from now on.
#[derive(Debug)]
pub(super) struct Signals {
    steered: Arc<OnceLock<Steered>>,
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
    /// Takes the process's signals. Until there is an engine to steer, a wish to
    /// stop ends the process, and one to reload is void: the files are being read.
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
        let steered = Arc::new(OnceLock::new());
        let watched = Arc::clone(&steered);
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || listen(&runtime, taken, &watched))?;
        Ok(Self { steered })
    }

    /// From now on they steer an engine.
    pub(super) fn steer(&self, steered: Steered) {
        let first = self.steered.set(steered).is_ok();
        debug_assert!(first, "a process has one engine");
    }
}

fn listen(runtime: &Runtime, mut taken: Vec<(Signal, Wish)>, steered: &OnceLock<Steered>) {
    loop {
        let wish = runtime.block_on(poll_fn(|cx| {
            let mut wishes = taken.iter_mut();
            let wish =
                wishes.find_map(|(signal, wish)| signal.poll_recv(cx).is_ready().then_some(*wish));
            wish.map_or(Poll::Pending, Poll::Ready)
        }));
        match (steered.get(), wish) {
            (Some(steered), Wish::Stop) => stop(steered),
            (Some(steered), Wish::Reload) => reload(&steered.engine),
            (None, Wish::Stop) => std::process::exit(0),
            (None, Wish::Reload) => {}
        }
    }
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

fn reload(engine: &Handle) {
    match engine.reload() {
        Ok(warnings) => {
            warn(&warnings);
            tracing::info!(warnings = warnings.len(), "reloaded");
        }
        Err(ReloadError::Config(errors)) => {
            say(errors.render(is_color()).trim_end());
            let problems = errors.errors().len();
            tracing::error!(
                problems,
                "the file was refused; everything goes on as before"
            );
        }
        Err(error) => tracing::error!(%error, "not reloaded; everything goes on as before"),
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
