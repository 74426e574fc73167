//! `wait`.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::find;
use crate::control::Control;
use crate::control::admin::answer::Reply;
use crate::control::admin::command::Target;
use crate::state::Admin;

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for a time, or at most for this time for a server to be removable.
pub(super) async fn wait(
    control: &Rc<Control>,
    delay: Duration,
    condition: Option<Target>,
) -> Result<Reply, Reply> {
    let deadline = Instant::now() + delay;
    let Some(target) = condition else {
        sleep_until(deadline).await;
        return Ok(Reply::info("Done."));
    };
    loop {
        let (_, server) = find(control, &target).map_err(failed)?;
        let sum = |gauge: fn(&crate::state::Counters) -> u64| server.state.counters.sum(gauge);
        let busy = sum(|counters| counters.current.get()) + sum(|counters| counters.idle.get());
        if server.state.admin() == Admin::Maint && busy == 0 {
            return Ok(Reply::info("Done."));
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(Reply::info("Wait delay expired."));
        }
        sleep(LOOK.min(deadline - now)).await;
    }
}

fn failed(refusal: Reply) -> Reply {
    match refusal {
        Reply::Message(_, sentence) => Reply::info(format!("Failed. {sentence}")),
        other => other,
    }
}
