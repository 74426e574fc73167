//! gRPC end to end: a real client and a real server, and the balancer between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rlb::{Exit, StopKind};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tonic::Code;

use super::numbers::{Calculator, Client};
use super::{h2_to_h2, listen};
use crate::support::{Lb, PATIENCE, answers, free_addr, wait_until};

/// A server, its balancer, and the runtime that server and clients live in.
struct Call {
    runtime: Runtime,
    lb: Lb,
    server: SocketAddr,
    calculator: Calculator,
    dropped: UnboundedReceiver<()>,
}

impl Call {
    fn through(keys: &str) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (calculator, dropped) = Calculator::new();
        let server = runtime.block_on(calculator.clone().serve());
        Self {
            runtime,
            lb: h2_to_h2(server, keys),
            server,
            calculator,
            dropped,
        }
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let timed = async { timeout(3 * PATIENCE, work).await };
        self.runtime.block_on(timed).expect("in time")
    }

    fn client(&self) -> Client {
        self.run(Client::connect(self.lb.addr()))
    }

    /// Waits until the server sees that a call is over.
    #[track_caller]
    fn is_dropped(&mut self) {
        let since = Instant::now();
        let dropped = async { timeout(PATIENCE, self.dropped.recv()).await };
        self.runtime
            .block_on(dropped)
            .expect("it is seen")
            .expect("a call");
        let took = since.elapsed();
        eprintln!("a cancelled call was seen after {took:?}");
    }
}

#[test]
fn calls_of_all_four_kinds() {
    let call = Call::through("");
    let mut client = call.client();
    call.run(async {
        for number in 2..100 {
            let answer = client.double(number).await.unwrap();
            assert_eq!(answer.metadata().get("x-told").unwrap(), "yes");
            assert_eq!(answer.into_inner(), number * 2);
        }
        assert_eq!(client.sum((1..=1000).collect()).await.unwrap(), 500_500);
        let mut counting = client.count(1000).await.unwrap();
        for number in 0..1000 {
            assert_eq!(counting.message().await.unwrap(), Some(number));
        }
        assert_eq!(counting.message().await.unwrap(), None);
        assert!(counting.trailers().await.unwrap().is_some());
        // One after the other: nothing on the way waits for more.
        let (numbers, mut echo) = client.echo().await.unwrap();
        for number in 1000..2000 {
            numbers.send(number).unwrap();
            assert_eq!(echo.message().await.unwrap(), Some(number));
        }
        drop(numbers);
        assert_eq!(echo.message().await.unwrap(), None);
    });
}

#[test]
fn statuses_come_from_whoever_has_one() {
    let call = Call::through("timeouts = { server = \"1s\" }");
    let mut client = call.client();
    call.run(async {
        // The server's own, in trailers.
        let (numbers, mut echo) = client.echo().await.unwrap();
        numbers.send(13).unwrap();
        assert_eq!(echo.message().await.unwrap_err().code(), Code::OutOfRange);
        // The client's deadline is passed on.
        let within = Some(Duration::from_millis(1500));
        let late = client.double_within(1, within).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded);
        assert!(late.message().starts_with("within 1500"), "{late}");
        // Ours: before an answer, and in the middle of one.
        let late = client.double(0).await.unwrap_err();
        assert_eq!(
            (late.code(), late.message()),
            (Code::DeadlineExceeded, "server timeout")
        );
        let (numbers, mut echo) = client.echo().await.unwrap();
        numbers.send(5).unwrap();
        assert_eq!(echo.message().await.unwrap(), Some(5));
        numbers.send(0).unwrap();
        let late = echo.message().await.unwrap_err();
        assert_eq!(
            (late.code(), late.message()),
            (Code::DeadlineExceeded, "server timeout")
        );
    });
    let nobody = h2_to_h2(free_addr(), "");
    let mut client = call.run(Client::connect(nobody.addr()));
    let refused = call.run(client.double(2)).unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unavailable, "no server available")
    );
}

#[test]
fn a_cancelled_call_is_seen_by_the_server_at_once() {
    let mut call = Call::through("");
    let mut client = call.client();
    // While it waits for an answer.
    call.run(async {
        let waited = timeout(Duration::from_millis(300), client.double(0)).await;
        assert!(waited.is_err());
    });
    call.is_dropped();
    // In the middle of one.
    let echo = call.run(async {
        let (numbers, mut echo) = client.echo().await.unwrap();
        numbers.send(5).unwrap();
        assert_eq!(echo.message().await.unwrap(), Some(5));
        (numbers, echo)
    });
    drop(echo);
    call.is_dropped();
}

#[test]
fn a_server_does_not_run_ahead_of_its_client() {
    let call = Call::through("timeouts = { client = \"1m\" }");
    let mut client = call.client();
    let mut counting = call.run(async {
        let mut counting = client.count(0).await.unwrap();
        assert_eq!(counting.message().await.unwrap(), Some(0));
        counting
    });
    let made = Arc::clone(&call.calculator.made);
    let mut before = 0;
    wait_until(PATIENCE, "it stops", || {
        let waited = Instant::now();
        wait_until(PATIENCE, "a moment", || {
            waited.elapsed() > Duration::from_millis(300)
        });
        let now = made.load(Ordering::Relaxed);
        std::mem::replace(&mut before, now) == now
    });
    // 13 bytes each, in windows, our 64 KiB and the library's, twice: far below this.
    assert!(before < 1_000_000, "{before}");
    call.run(async {
        for number in 1..=before + 1000 {
            assert_eq!(counting.message().await.unwrap(), Some(number));
        }
    });
}

#[test]
fn a_reload_does_not_touch_a_call() {
    let call = Call::through("");
    let mut client = call.client();
    let (numbers, mut echo) = call.run(client.echo()).unwrap();
    for number in 1000..1020 {
        let pool = format!("protocol = \"h2\"\npool_max = {number}");
        let changed = whole(&listen("web", call.server, &pool));
        call.lb.apply(&changed).unwrap();
        call.run(async {
            numbers.send(number).unwrap();
            assert_eq!(echo.message().await.unwrap(), Some(number));
            // A call that begins between two of them, too.
            assert_eq!(
                client.double(number).await.unwrap().into_inner(),
                2 * number
            );
        });
    }
}

/// A file for [`Lb::apply`] as [`Lb::start`] makes it.
fn whole(config: &str) -> String {
    format!("[global]\nworkers = 1\nadmin = \"\"\n{config}")
}

#[test]
fn a_call_outlives_its_server_and_a_drain() {
    let call = Call::through("");
    let mut client = call.client();
    let (numbers, mut echo) = call.run(async {
        let (numbers, mut echo) = client.echo().await.unwrap();
        numbers.send(1).unwrap();
        assert_eq!(echo.message().await.unwrap(), Some(1));
        (numbers, echo)
    });
    // Its server leaves the file; new calls go to another.
    let (another, _dropped) = Calculator::new();
    let another = call.runtime.block_on(another.serve());
    call.lb
        .apply(&whole(&listen("web", another, "protocol = \"h2\"")))
        .unwrap();
    call.run(async {
        assert_eq!(client.double(2).await.unwrap().into_inner(), 4);
        numbers.send(2).unwrap();
        assert_eq!(echo.message().await.unwrap(), Some(2));
    });
    let addr = call.lb.addr();
    call.lb.stop(StopKind::Drain);
    wait_until(PATIENCE, "new clients are refused", || !answers(addr));
    call.run(async {
        for number in 100..200 {
            numbers.send(number).unwrap();
            assert_eq!(echo.message().await.unwrap(), Some(number));
        }
        drop(numbers);
        assert_eq!(echo.message().await.unwrap(), None);
    });
    assert_eq!(call.lb.wait(), Exit::Stopped);
}
