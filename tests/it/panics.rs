//! What a panic costs: the session or the task it happens in, and nothing else.

use rustix::process::Signal;

use crate::support::{Origin, PATIENCE, RawClient, Rlb, free_addr, wait_until};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const PANIC: &str = "GET / HTTP/1.1\r\nHost: test\r\nX-Rlb-Test-Panic: session\r\n\r\n";

fn config(bind: std::net::SocketAddr, origin: &Origin) -> String {
    let server = origin.addr();
    format!(
        "[global]\nadmin = \"\"\nworkers = 1\n[[listen]]\nname = \"web\"\nbind = \"{bind}\"\nserver = \"{server}\"\n"
    )
}

#[test]
fn a_panic_ends_its_session_alone() {
    let origin = Origin::ok("fine");
    let bind = free_addr();
    let mut rlb = Rlb::with(config(bind, &origin)).ready_on(bind).start();
    let mut bystander = RawClient::connect(bind);
    assert_eq!(bystander.send(GET).read_response().1, b"fine");
    for count in 1..=3 {
        let mut victim = RawClient::connect(bind);
        assert_eq!(victim.send(PANIC).read_until_close(), b"");
        wait_until(PATIENCE, "the panic is counted and logged", || {
            let line = format!("panics={count}");
            let words = rlb.stderr();
            words
                .lines()
                .any(|l| l.contains("asked for by the request") && l.contains(&line))
        });
    }
    assert_eq!(bystander.send(GET).read_response().1, b"fine");
    drop(bystander);
    rlb.signal(Signal::TERM);
    // Sessions that panicked are not waited for: only the bystander may still be leaving.
    wait_until(PATIENCE, "the drain is told", || {
        rlb.stderr().contains("draining")
    });
    assert!(!rlb.stderr().contains("draining 3"), "{}", rlb.stderr());
    assert_eq!(rlb.wait_exit().code(), Some(0));
}

#[test]
fn tasks_of_the_control_thread_start_again() {
    let origin = Origin::ok("fine");
    let bind = free_addr();
    let mut rlb = Rlb::with(config(bind, &origin))
        .env("RLB_TEST_PANIC", "listen,rebuild,drain")
        .ready_on(bind)
        .start();
    wait_until(PATIENCE, "three tasks start again", || {
        rlb.stderr().matches("starts again").count() == 3
    });
    assert!(rlb.stderr().contains("panics=3"), "{}", rlb.stderr());
    assert_eq!(
        RawClient::connect(bind).send(GET).read_response().1,
        b"fine"
    );
    rlb.signal(Signal::HUP);
    wait_until(PATIENCE, "it still obeys", || {
        rlb.stderr().contains("reloaded")
    });
    rlb.signal(Signal::TERM);
    assert_eq!(rlb.wait_exit().code(), Some(0));
}
