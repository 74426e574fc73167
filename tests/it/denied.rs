//! Routes that refuse: what clients are told, what is counted, what is logged.

use std::net::SocketAddr;
use std::path::Path;

use crate::log::{ask, lines_of, number, stat};
use crate::support::{Origin, RawClient, Rlb, free_addr};

const ROUTES: &str = "route = [\n\
     { path_prefix = \"/.git\", deny = true },\n\
     { path_prefix = \"/api\", header = { name = \"X-Old\" }, deny = 410 },\n\
     { method = [\"TRACK\", \"DELETE\"], deny = 405 },\n\
     { host = \"*.bad.test\", deny = 404 },\n\
     { path_prefix = \"/api\", backend = \"web\" },\n\
     { path_prefix = \"/api/late\", deny = 429 },\n]\n";

fn config(web: SocketAddr, stats: SocketAddr, origin: &Origin, dir: &Path) -> String {
    format!(
        "[global]\nadmin = \"{0}/sock\"\n[[log]]\ntarget = \"file:{0}/access.json\"\nformat = \"json\"\n\
         [stats]\nbind = \"{stats}\"\nmetrics = \"/metrics\"\n\
         [[listen]]\nname = \"web\"\nbind = \"{web}\"\nserver = \"{1}\"\n{ROUTES}",
        dir.display(),
        origin.addr(),
    )
}

#[test]
fn the_first_route_that_matches_decides_and_it_is_counted_and_logged() {
    let (origin, web, stats) = (Origin::ok("ok"), free_addr(), free_addr());
    let dir = tempfile::tempdir().unwrap();
    let _rlb = Rlb::with(config(web, stats, &origin, dir.path()))
        .ready_on(web)
        .start();
    let mut client = RawClient::connect(web);
    let old = "X-Old: 1\r\n";
    let cases = [
        ("GET /.git/config", "a.test", "", 403),
        ("GET /x", "a.bad.test:80", "", 404),
        ("GET /api", "a.test", old, 410),
        ("DELETE /api", "a.test", "", 405),
        ("TRACK /x", "a.bad.test", "", 405),
        ("GET /api/late", "a.test", "", 200),
        ("GET /x", "bad.test", "", 200),
        ("HEAD /.git", "a.test", "", 403),
    ];
    for (request, host, fields, status) in cases {
        client.send(format!(
            "{request} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"
        ));
        // On one connection, which a refusal leaves open.
        let head = match request.starts_with("HEAD") {
            true => client.read_head(),
            false => client.read_response().0,
        };
        assert_eq!(head.status(), status, "{request} {host}");
        if status != 200 {
            assert_eq!(head.field("x-rlb-reason"), Some("refused by a route"));
        }
    }
    let denied = cases.iter().filter(|case| case.3 != 200).count() as u64;
    let answered = cases.len() as u64 - denied;
    // A body is not read for nothing: the connection is closed behind the answer.
    client.send("POST /.git HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.read_response().0.status(), 403);
    client.read_end();
    let lines = lines_of(&dir.path().join("access.json"), cases.len() + 1);
    let logged = lines.iter().map(|line| -> serde_json::Value {
        serde_json::from_str(line).expect("an object in each line")
    });
    let refused = logged.filter(|line| line["status"] != 200).inspect(|line| {
        assert_eq!(line["end"], "PR", "{line}");
        assert!(line["backend"].is_null() && line["server"].is_null());
    });
    assert_eq!(refused.count() as u64, denied + 1);
    let socket = dir.path().join("sock");
    let rows = stat(&socket);
    let cell = |server, column| number(&rows, "web", server, column);
    assert_eq!(cell("FRONTEND", "dreq"), denied + 1);
    assert_eq!(cell("FRONTEND", "ereq"), 0);
    assert_eq!(cell("FRONTEND", "req_tot"), cases.len() as u64 + 1);
    assert_eq!(cell("BACKEND", "req_tot"), answered);
    assert_eq!(origin.requests().len() as u64, answered);
    let scrape = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let page = RawClient::connect(stats).send(scrape).read_until_close();
    let metric = format!(
        "haproxy_frontend_requests_denied_total{{proxy=\"web\"}} {}\n",
        denied + 1
    );
    assert!(String::from_utf8_lossy(&page).contains(&metric));
    let explained = ask(&socket, "explain GET http://a.bad.test/x");
    assert!(
        explained.contains("route 4: host *.bad.test\n  refused: answered with 404"),
        "{explained}"
    );
}
