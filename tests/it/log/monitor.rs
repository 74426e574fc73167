//! `monitor`: what a frontend says of itself.

use rustix::process::Signal;

use super::{Syslog, ask, number, stat};
use crate::support::{Origin, PATIENCE, RawClient, Rlb, free_addr, wait_until};

const MONITOR: &str = "GET /health?full HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_frontend_says_whether_its_backends_have_enough_servers() {
    let (origin, syslog, addr) = (Origin::ok("hello"), Syslog::listen(), free_addr());
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("sock");
    let text = format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\ndrain_delay = \"1m\"\n\
         [[log]]\ntarget = \"syslog:udp:{}\"\n\
         [[frontend]]\nname = \"web\"\nbind = \"{addr}\"\ndefault_backend = \"nodes\"\n\
         monitor = {{ path = \"/health\", fail_below = {{ nodes = 2 }} }}\n\
         [[backend]]\nname = \"nodes\"\nserver = [\n\
         {{ name = \"s1\", address = \"{}\" }}, {{ name = \"s2\", address = \"{}\", backup = true }}]\n",
        socket.display(),
        syslog.addr(),
        origin.addr(),
        origin.addr()
    );
    let mut rlb = Rlb::with(text).ready_on(addr).start();
    let mut client = RawClient::connect(addr);
    let mut status = |request: &str| client.send(request).read_response().0.status();
    assert_eq!(status(MONITOR), 200);
    assert_eq!(ask(&socket, "set server nodes/s2 state drain").trim(), "");
    assert_eq!(status(MONITOR), 503);
    assert_eq!(ask(&socket, "set server nodes/s2 state ready").trim(), "");
    assert_eq!(status(MONITOR), 200);
    // Another path is traffic, and the first thing that is logged.
    assert_eq!(status("GET /healthy HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    assert!(syslog.line().ends_with("\"GET /healthy HTTP/1.1\""));
    let rows = stat(&socket);
    assert_eq!(number(&rows, "web", "FRONTEND", "intercepted"), 3);
    assert_eq!(number(&rows, "web", "FRONTEND", "req_tot"), 4);
    assert_eq!(number(&rows, "nodes", "BACKEND", "req_tot"), 1);
    // While others are to notice, traffic is still served.
    rlb.signal(Signal::TERM);
    wait_until(PATIENCE, "503", || status(MONITOR) == 503);
    assert_eq!(status("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    rlb.signal(Signal::TERM);
    rlb.wait_exit();
}

#[test]
fn a_monitor_that_names_no_backend_is_well_while_the_process_is() {
    let origin = Origin::ok("hello");
    let lb = crate::support::Lb::with(origin.addr(), "monitor = \"/health\"");
    let (head, _) = lb.client().send(MONITOR).read_response();
    assert_eq!(head.status(), 200);
    assert!(origin.requests().is_empty());
}
