//! Counters add up: what clients sent is what the frontend took, and that is what
//! servers answered, what ended at a server without an answer, and what rlb answered.

use std::path::Path;

use super::{lines_of, number, stat};
use crate::support::{
    Answer, Origin, PATIENCE, PlayedOrigin, RawClient, Rlb, free_addr, wait_until,
};

const BODY: usize = 100_000;

/// What was sent and what came back, by the client's own count.
#[derive(Default)]
struct Sent {
    requests: u64,
    answered_by_servers: u64,
    without_server: u64,
    unanswered: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Sent {
    fn exchange(&mut self, client: &mut RawClient, request: &str) -> u16 {
        let (head, body) = client.send(request).read_response();
        self.requests += 1;
        self.bytes_in += request.len() as u64;
        self.bytes_out += (head.0.len() + "\r\n\r\n".len() + body.len()) as u64;
        head.status()
    }
}

fn traffic(sent: &mut Sent, addr: std::net::SocketAddr, slow: &PlayedOrigin, socket: &Path) {
    let mut client = RawClient::connect(addr);
    for _ in 0..20 {
        assert_eq!(
            sent.exchange(&mut client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
            200
        );
        let post = format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n{}",
            "x".repeat(BODY)
        );
        assert_eq!(sent.exchange(&mut client, &post), 200);
        sent.answered_by_servers += 2;
    }
    for request in [
        "GET /none HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        sent.exchange(&mut client, request);
        sent.without_server += 1;
    }
    // Who leaves while the server thinks.
    for left in 1..=3 {
        let mut client = RawClient::connect(addr);
        let request = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
        client.send(request);
        let mut server = slow.accept();
        server.read_head();
        sent.requests += 1;
        sent.bytes_in += request.len() as u64;
        sent.unanswered += 1;
        client.reset();
        let aborts = || number(&stat(socket), "slow", "BACKEND", "cli_abrt");
        let before = sent.unanswered - left;
        wait_until(PATIENCE, "the abort", || aborts() == before + left);
    }
}

#[test]
fn counters_add_up_with_aborts_and_over_a_reload() {
    let body = "y".repeat(BODY);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n{body}");
    let origins = [(); 2].map(|()| {
        let answer = answer.clone().into_bytes();
        Origin::answering(move |_| Answer::Keep(answer.clone()))
    });
    let (slow, addr) = (PlayedOrigin::listen(), free_addr());
    let dir = tempfile::tempdir().unwrap();
    let (socket, log) = (dir.path().join("sock"), dir.path().join("access.json"));
    let config = |weight: u32| {
        format!(
            "[global]\nworkers = 2\nadmin = \"{}\"\n\
             [[log]]\ntarget = \"file:{}\"\nformat = \"json\"\n\
             [[frontend]]\nname = \"www\"\nbind = \"{addr}\"\ndefault_backend = \"nodes\"\nmonitor = \"/health\"\n\
             [[frontend.route]]\npath_prefix = \"/slow\"\nbackend = \"slow\"\n\
             [[frontend.route]]\npath_prefix = \"/none\"\nbackend = \"none\"\n\
             [[backend]]\nname = \"none\"\nserver = []\n\
             [[backend]]\nname = \"slow\"\nserver = [{{ name = \"s\", address = \"{}\" }}]\n\
             [[backend]]\nname = \"nodes\"\nserver = [\n\
             {{ name = \"s1\", address = \"{}\", weight = {weight} }}, {{ name = \"s2\", address = \"{}\" }}]\n",
            socket.display(),
            log.display(),
            slow.addr(),
            origins[0].addr(),
            origins[1].addr(),
        )
    };
    let rlb = Rlb::with(config(1)).ready_on(addr).start();
    let mut sent = Sent::default();
    traffic(&mut sent, addr, &slow, &socket);
    rlb.reload(&config(3));
    traffic(&mut sent, addr, &slow, &socket);
    let done = || number(&stat(&socket), "www", "FRONTEND", "req_tot") >= sent.requests;
    wait_until(PATIENCE, "the last counts", done);
    let rows = stat(&socket);
    let cell = |proxy, server, column| number(&rows, proxy, server, column);
    assert_eq!(cell("www", "FRONTEND", "req_tot"), sent.requests);
    assert_eq!(cell("www", "FRONTEND", "bin"), sent.bytes_in);
    assert_eq!(cell("www", "FRONTEND", "bout"), sent.bytes_out);
    let servers = ["s1", "s2"].map(|server| cell("nodes", server, "req_tot"));
    assert_eq!(servers.iter().sum::<u64>(), sent.answered_by_servers);
    assert_eq!(cell("slow", "s", "req_tot"), 0);
    assert_eq!(cell("slow", "BACKEND", "req_tot"), sent.unanswered);
    let answered = sent.answered_by_servers + sent.unanswered + sent.without_server;
    assert_eq!(sent.requests, answered);
    // The log has all but the monitor's, and says the same of bytes.
    let monitored = cell("www", "FRONTEND", "intercepted");
    assert_eq!(monitored, 2);
    let logged = lines_of(&log, (sent.requests - monitored) as usize);
    assert_eq!(logged.len() as u64, sent.requests - monitored);
    let sum = |field: &str| -> u64 {
        let objects = logged
            .iter()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        objects.map(|object| object[field].as_u64().unwrap()).sum()
    };
    let of_monitor = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".len() as u64 * monitored;
    assert_eq!(sum("bytes_in"), sent.bytes_in - of_monitor);
    for column in ["bin", "bout"] {
        let servers = ["s1", "s2"].map(|server| cell("nodes", server, column));
        assert_eq!(
            cell("nodes", "BACKEND", column),
            servers.iter().sum::<u64>(),
            "{column}"
        );
    }
}
