//! Tasks of the control thread that must not end: a panic is told by the
//! process's hook, and the task starts again.

use std::time::Duration;

use tokio::task::JoinHandle;

/// Between a panic and the new start: one that panics at once does not spin.
const RESTART: Duration = Duration::from_millis(100);

/// Runs what `make` makes in a task of its own, anew after each panic, until it
/// ends by itself. Ends with its task when dropped.
pub(super) async fn supervise<F>(name: &'static str, mut make: impl FnMut() -> F) -> F::Output
where
    F: Future<Output: 'static> + 'static,
{
    let mut restarts: u32 = 0;
    loop {
        let work = make();
        #[cfg(feature = "test-panic")]
        let work = provoked(name, restarts, work);
        let mut task = Abort(tokio::task::spawn_local(work));
        if let Ok(output) = (&mut task.0).await {
            return output;
        }
        // Nobody else can abort it: it panicked.
        restarts = restarts.saturating_add(1);
        tracing::error!(
            task = name,
            restarts,
            "a task of the control thread panicked and starts again"
        );
        tokio::time::sleep(RESTART).await;
    }
}

/// A task that ends when this is dropped.
struct Abort<T>(JoinHandle<T>);

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tasks named in RLB_TEST_PANIC panic once.
#[cfg(feature = "test-panic")]
async fn provoked<F: Future>(name: &str, restarts: u32, work: F) -> F::Output {
    let named = std::env::var("RLB_TEST_PANIC").unwrap_or_default();
    assert!(
        restarts > 0 || !named.split(',').any(|task| task == name),
        "provoked"
    );
    work.await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    fn run(future: impl Future<Output = ()>) {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true);
        let runtime = runtime.build_local(LocalOptions::default()).unwrap();
        runtime.block_on(future);
    }

    #[test]
    fn a_task_that_panics_starts_again_until_it_ends_by_itself() {
        run(async {
            let starts = Rc::new(Cell::new(0));
            let count = Rc::clone(&starts);
            let ended = supervise("third", move || {
                let count = Rc::clone(&count);
                async move {
                    count.set(count.get() + 1);
                    assert_eq!(count.get(), 3, "not yet");
                    "done"
                }
            });
            assert_eq!((ended.await, starts.get()), ("done", 3));
        });
    }

    #[test]
    fn a_dropped_supervisor_ends_its_task() {
        run(async {
            let alive = Rc::new(());
            let weak = Rc::downgrade(&alive);
            let work = supervise("endless", move || {
                let alive = Rc::clone(&alive);
                async move {
                    std::future::pending::<()>().await;
                    drop(alive);
                }
            });
            let timeout = tokio::time::timeout(Duration::from_secs(1), work).await;
            assert!(timeout.is_err());
            tokio::task::yield_now().await;
            assert_eq!(weak.strong_count(), 0);
        });
    }
}
