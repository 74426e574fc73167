//! When the process is ready: every source of servers answered once, or the time for
//! that is over. Its listeners are open before.

use std::rc::Rc;
use std::time::Duration;

use super::{Control, Outcome};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

impl Control {
    /// Tells the service manager once the process is ready.
    pub(super) async fn tell_ready(self: Rc<Self>) -> Outcome {
        while self.sources_waited_for() > 0 {
            tokio::time::sleep(LOOK).await;
        }
        if self.stop.get().is_none() && !self.is_ready_told.replace(true) {
            self.warn_of_silent_sources();
            self.manager.ready();
        }
        std::future::pending().await
    }

    /// Sources that never answered, nor had anything to begin with, while the start
    /// still waits for them. Those of a later reload are not waited for.
    pub(super) fn sources_waited_for(&self) -> usize {
        let patience = self.desired.borrow().config.global.ready_timeout;
        match self.uptime() < patience {
            true => self.discovery.borrow().waiting(),
            false => 0,
        }
    }

    fn warn_of_silent_sources(&self) {
        let silent = self.discovery.borrow().waiting();
        if silent > 0 {
            tracing::warn!(
                sources = silent,
                "ready without the first answer of some sources: ready_timeout is over"
            );
        }
    }
}
