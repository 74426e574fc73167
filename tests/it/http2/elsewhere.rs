//! A server that wants no more, or is gone: another one's open connection takes over.

use super::raw::*;
use super::{Raw, accept, answer};
use crate::support::{Lb, PlayedOrigin};

const REFUSED_STREAM: u32 = 7;

/// `a` and `b` in turn, each behind a connection that is open.
struct Two {
    lb: Lb,
    client: Raw,
    stream: u32,
    a: (PlayedOrigin, Raw),
    b: (PlayedOrigin, Raw),
}

impl Two {
    fn start(keys: &str) -> Self {
        let (a, b) = (PlayedOrigin::listen(), PlayedOrigin::listen());
        let lb = Lb::start(&format!(
            "[[listen]]\nname = \"web\"\nbind = {{ address = \"127.0.0.1:0\", protocol = \"both\" }}\n\
             protocol = \"h2\"\n{keys}\nserver = [\n{{ name = \"a\", address = \"{}\" }},\n\
             {{ name = \"b\", address = \"{}\" }},\n]\n",
            a.addr(),
            b.addr()
        ));
        let mut client = Raw::connect(lb.addr());
        let mut stream = 1;
        let mut open = |origin: &PlayedOrigin| {
            client.get(stream);
            let mut server = accept(origin);
            reply(&mut server);
            assert!(matches!(client.verdict(), Verdict::Answer(of, _) if of == stream));
            stream += 2;
            server
        };
        let servers = (open(&a), open(&b));
        Self {
            lb,
            client,
            stream,
            a: (a, servers.0),
            b: (b, servers.1),
        }
    }

    /// POST: nothing that is sent twice by itself.
    fn post(&mut self) {
        let head = head("POST", &[]);
        self.client
            .send(HEADERS, END_HEADERS | END_STREAM, self.stream, &head);
    }

    /// It was `b` that answered, on the connection it had.
    #[track_caller]
    fn lands_at_b(&mut self, times: u64) {
        reply(&mut self.b.1);
        let verdict = self.client.verdict();
        assert!(
            matches!(verdict, Verdict::Answer(of, _) if of == self.stream),
            "{verdict:?}"
        );
        self.stream += 2;
        let (a, b) = (self.lb.server("web", "a"), self.lb.server("web", "b"));
        assert_eq!((a.redispatches, b.redispatches), (times, 0));
        assert_eq!((a.retries, b.retries), (0, 0));
        assert_eq!((b.connects, b.sessions), (1, 1 + times));
        assert!(self.b.0.poll_accept().is_none());
    }
}

/// Answers the next request.
#[track_caller]
fn reply(server: &mut Raw) {
    let stream = server.read_kind(HEADERS).stream;
    answer(server, stream, END_STREAM, &[]);
}

#[test]
fn a_request_nobody_looked_at_goes_to_an_open_connection_of_another_server() {
    let mut two = Two::start("");
    two.post();
    let stream = two.a.1.read_kind(HEADERS).stream;
    two.a
        .1
        .send(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes());
    two.lands_at_b(1);
    // GOAWAY: the streams above the last one that it names were not looked at (9113 6.8).
    two.post();
    let refused = two.a.1.read_kind(HEADERS).stream;
    let last = [&(refused - 2).to_be_bytes()[..], &[0; 4]].concat();
    two.a.1.send(GOAWAY, 0, 0, &last);
    two.lands_at_b(2);
    // Nobody listens any more.
    let nobody = Raw::connect(two.lb.addr());
    drop(std::mem::replace(
        &mut two.a,
        (PlayedOrigin::listen(), nobody),
    ));
    two.post();
    two.lands_at_b(3);
}

#[test]
fn nobody_is_asked_a_third_time() {
    let mut two = Two::start("");
    two.post();
    for server in [&mut two.a.1, &mut two.b.1] {
        let stream = server.read_kind(HEADERS).stream;
        server.send(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes());
    }
    assert!(matches!(two.client.verdict(), Verdict::Answer(of, _) if of == two.stream));
    let (a, b) = (two.lb.server("web", "a"), two.lb.server("web", "b"));
    assert_eq!((a.redispatches, b.redispatches), (1, 0));
    assert_eq!((a.sessions, b.sessions), (1, 2), "it is b's in the end");
}

#[test]
fn another_server_at_its_limit_is_left_alone() {
    let mut two = Two::start("server_maxconn = 1");
    // `a` has it, `b` has another.
    two.post();
    let refused = two.a.1.read_kind(HEADERS).stream;
    let busy = two.stream + 2;
    two.client.get(busy);
    let held = two.b.1.read_kind(HEADERS).stream;
    let reset = REFUSED_STREAM.to_be_bytes();
    two.a.1.send(RST_STREAM, 0, refused, &reset);
    // `a` keeps its place and is asked again: `b` has enough to do.
    reply(&mut two.a.1);
    assert!(matches!(two.client.verdict(), Verdict::Answer(of, _) if of == two.stream));
    answer(&mut two.b.1, held, END_STREAM, &[]);
    assert!(matches!(two.client.verdict(), Verdict::Answer(of, _) if of == busy));
    let a = two.lb.server("web", "a");
    assert_eq!((a.redispatches, a.retries, a.places), (0, 1, 0));
}
