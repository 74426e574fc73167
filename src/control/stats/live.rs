//! Server-sent events: who looks gets everything once, then what changes. One look
//! a second for all of them, and none while nobody looks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::facts::Look;
use crate::control::Control;
use crate::observe::State;

/// Those who look.
#[derive(Debug, Default)]
pub(in crate::control) struct Live {
    listeners: RefCell<Vec<Listener>>,
    running: Cell<bool>,
}

#[derive(Debug)]
struct Listener {
    events: mpsc::Sender<Bytes>,
    /// Its sender is gone when the place closes where it looks.
    place: watch::Receiver<()>,
    /// Has got nothing yet.
    fresh: bool,
}

/// Most that look live; others look again by themselves.
const LISTENERS_MAX: usize = 32;
/// Events a listener may be behind; then it is let go, and comes again for everything.
const BEHIND_MAX: usize = 4;
/// Rates change once a second, and so does what is sent.
const TICK: Duration = Duration::from_secs(1);

/// Joins those who look; `None` = there are too many.
pub(super) fn join(
    control: &Rc<Control>,
    place: &watch::Receiver<()>,
) -> Option<mpsc::Receiver<Bytes>> {
    let live = &control.stats.live;
    let (events, receiver) = mpsc::channel(BEHIND_MAX);
    {
        let mut listeners = live.listeners.borrow_mut();
        listeners.retain(|listener| !listener.events.is_closed());
        if listeners.len() >= LISTENERS_MAX {
            return None;
        }
        listeners.push(Listener {
            events,
            place: place.clone(),
            fresh: true,
        });
    }
    if !live.running.replace(true) {
        tokio::task::spawn_local(Ticker(Rc::clone(control)).run());
    }
    Some(receiver)
}

/// Looks for all. However it ends, the next who comes starts another.
struct Ticker(Rc<Control>);

impl Drop for Ticker {
    fn drop(&mut self) {
        let live = &self.0.stats.live;
        live.running.set(false);
        live.listeners.borrow_mut().clear();
    }
}

impl Ticker {
    async fn run(self) {
        let mut before = State::default();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let live = &self.0.stats.live;
            live.listeners
                .borrow_mut()
                .retain(|listener| !listener.events.is_closed());
            if live.listeners.borrow().is_empty() {
                return;
            }
            let look = Look::take(&self.0);
            let rendered = tokio::task::spawn_blocking(move || {
                let now = look.state();
                let changes = event("change", &now.since(&before));
                let whole = event("all", &now.whole());
                (now, whole, changes)
            });
            let Ok((now, whole, changes)) = rendered.await else {
                return;
            };
            before = now;
            live.send(&whole, &changes);
        }
    }
}

impl Live {
    /// Lets go of those whose place has closed: they come again, to whoever is there.
    pub(super) fn hang_up(&self) {
        let is_open = |listener: &Listener| listener.place.has_changed().is_ok();
        self.listeners.borrow_mut().retain(is_open);
    }

    fn send(&self, whole: &Bytes, changes: &Bytes) {
        self.listeners.borrow_mut().retain_mut(|listener| {
            let event = match std::mem::replace(&mut listener.fresh, false) {
                true => whole,
                false => changes,
            };
            // One that is behind, or gone, is let go.
            listener.events.try_send(event.clone()).is_ok()
        });
    }
}

/// One event (WHATWG HTML 9.2.5); JSON has no line ends.
fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_behind_is_let_go_and_the_others_get_what_changed() {
        let live = Live::default();
        let (open, place) = watch::channel(());
        let mut receivers = Vec::new();
        for _ in 0..2 {
            let (events, receiver) = mpsc::channel(BEHIND_MAX);
            live.listeners.borrow_mut().push(Listener {
                events,
                place: place.clone(),
                fresh: true,
            });
            receivers.push(receiver);
        }
        let (whole, changes) = (Bytes::from("whole"), Bytes::from("changes"));
        for round in 0..10 {
            live.send(&whole, &changes);
            let expected = if round == 0 { &whole } else { &changes };
            assert_eq!(receivers[0].try_recv().as_ref(), Ok(expected));
        }
        assert_eq!(live.listeners.borrow().len(), 1);
        let mut slow = Vec::new();
        while let Ok(event) = receivers[1].try_recv() {
            slow.push(event);
        }
        assert_eq!(slow.len(), BEHIND_MAX, "then it is over");
        live.hang_up();
        assert_eq!(live.listeners.borrow().len(), 1);
        drop(open);
        live.hang_up();
        assert_eq!(live.listeners.borrow().len(), 0, "its place has closed");
    }
}
