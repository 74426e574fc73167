//! What a URL of the page answers, and to whom.

use std::time::{Duration, Instant};

use super::{ANN, Page, cell, client_from, get, listener_from, request};
use crate::support::{PATIENCE, RawClient, Rlb, free_addr, temp_dir, wait_until};

#[test]
fn path_is_a_prefix_here_and_on_a_frontend() {
    let page = Page::with(&[]);
    for (addr, path) in page.places() {
        for (behind, kind, start) in [
            ("", "text/html; charset=utf-8", "<!doctype html>"),
            ("XYZ", "text/html; charset=utf-8", "<!doctype html>"),
            (";csv", "text/plain", "# pxname,svname,"),
            ("/;csv", "text/plain", "# pxname,svname,"),
            (";up;norefresh;csv", "text/plain", "# pxname,svname,"),
            (";json", "application/json", "[[{\"objType\""),
            (";typed", "text/plain", "F.2.0.0.pxname.1:"),
            (";json-schema", "application/json", "{\"$schema\":"),
            (";state", "application/json", "{\"parts\":{"),
        ] {
            let (head, body) = get(addr, &format!("{path}{behind}"), "");
            assert_eq!(head.status(), 200, "{path}{behind}");
            assert_eq!(head.field("content-type"), Some(kind), "{path}{behind}");
            assert_eq!(head.field("cache-control"), Some("no-cache"));
            assert!(body.starts_with(start), "{path}{behind}: {body:.60}");
        }
    }
    assert_eq!(page.get("/").0.field("location"), Some("/haproxy_stats"));
    let (head, body) = page.get("/elsewhere");
    assert_eq!(head.status(), 404);
    assert!(body.contains("/haproxy_stats"));
    // Of the frontend only what is the page's is the page's.
    let (head, _) = get(page.lb.addr(), "/haproxy", "");
    assert_eq!(head.status(), 503, "{}", head.0);
}

#[test]
fn built_in_backends_are_shown_to_nobody() {
    let page = Page::with(&[]);
    get(page.lb.addr(), "/haproxy?stats;csv", "");
    let (_, csv) = page.get("/haproxy_stats;csv");
    assert!(!csv.contains("_stats"), "{csv}");
    assert_eq!(cell(&csv, "www", "FRONTEND", "status"), "OPEN");
    assert!(!page.get("/haproxy_stats").1.contains("_stats:"));
    assert!(!page.get("/metrics").1.contains("_stats:"));
}

#[test]
fn rows_are_chosen_by_options() {
    let page = Page::steered();
    let body = "b=web&s=s2&action=maint";
    request(page.addr, "POST", "/haproxy_stats", ANN, body);
    let csv = |options: &str| get(page.addr, &format!("/haproxy_stats;csv{options}"), ANN).1;
    assert_eq!(cell(&csv(""), "web", "s2", "status"), "MAINT");
    for option in [";up", ";no-maint"] {
        assert!(!csv(option).contains("web,s2,"), "{option}");
        assert!(csv(option).contains("web,s1,"), "{option}");
    }
    for scope in [";scope=WE", "?scope=we"] {
        let scoped = csv(scope);
        assert!(
            scoped.contains("web,") && !scoped.contains("www,"),
            "{scope}"
        );
    }
    // Addresses are for operators of the socket.
    assert_eq!(cell(&csv(""), "web", "s1", "addr"), "");
}

#[test]
fn clients_are_told_to_come_again_where_that_is_asked_for() {
    let page = Page::with(&["refresh = \"7s\""]);
    for kind in [";csv", ";json"] {
        let at = |more: &str| page.get(&format!("/haproxy_stats{kind}{more}")).0;
        assert_eq!(at("").field("refresh"), Some("7"));
        assert_eq!(at(";norefresh").field("refresh"), None);
    }
    // The page is live: a browser must not load it again under its reader's eyes.
    let (head, html) = page.get("/haproxy_stats");
    assert_eq!(head.field("refresh"), None);
    assert!(html.contains("<noscript><meta http-equiv=\"refresh\" content=\"7\">"));
}

#[test]
fn head_is_get_without_a_body() {
    let page = Page::with(&[]);
    for (addr, path) in page.places() {
        for option in ["", ";csv", ";events"] {
            let text =
                format!("HEAD {path}{option} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let mut client = RawClient::connect(addr);
            let head = client.send(text).read_head();
            assert_eq!(head.status(), 200, "{path}{option}");
            assert_eq!(client.read_until_close(), b"", "{path}{option}");
        }
    }
}

#[test]
fn other_methods_are_named_those_that_work() {
    let page = Page::with(&[]);
    for (addr, path) in page.places() {
        for method in ["DELETE", "PUT", "OPTIONS"] {
            let (head, _) = request(addr, method, path, "", "");
            assert_eq!(head.status(), 405, "{method}");
            assert_eq!(head.field("allow"), Some("GET, HEAD, POST"));
        }
    }
    let (head, _) = request(page.addr, "POST", "/metrics", "", "");
    assert_eq!(head.field("allow"), Some("GET, HEAD"));
}

#[test]
fn accounts_keep_others_out_of_everything() {
    let hash = "bob:$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
    let page = Page::with(&[&format!("auth = [\"ann:secret\", \"{hash}\"]")]);
    let bob = "Authorization: Basic Ym9iOkhlbGxvIHdvcmxkIQ==\r\n";
    let wrong = "Authorization: Basic YW5uOndyb25n\r\n";
    for (addr, path) in page.places() {
        for target in [
            path.to_owned(),
            format!("{path};csv"),
            format!("{path};events"),
        ] {
            let (head, body) = get(addr, &target, "");
            assert_eq!(head.status(), 401, "{target}");
            let realm = head.field("www-authenticate").unwrap();
            assert!(
                realm.starts_with("Basic realm=\"rlb statistics\""),
                "{realm}"
            );
            assert!(!body.contains("web"), "{body}");
        }
        let csv = format!("{path};csv");
        for who in [ANN, bob] {
            assert_eq!(get(addr, &csv, who).0.status(), 200);
        }
        let before = Instant::now();
        assert_eq!(get(addr, &csv, wrong).0.status(), 401);
        assert!(
            before.elapsed() >= Duration::from_secs(1),
            "a guess is slow"
        );
        // The connection is kept.
        let mut client = RawClient::connect(addr);
        let asks = |who| format!("GET {csv} HTTP/1.1\r\nHost: x\r\n{who}\r\n");
        assert_eq!(client.send(asks("")).read_response().0.status(), 401);
        assert_eq!(client.send(asks(ANN)).read_response().0.status(), 200);
    }
    assert_eq!(get(page.addr, "/metrics", "").0.status(), 401);
    assert_eq!(get(page.addr, "/metrics", ANN).0.status(), 200);
}

#[test]
fn htpasswd_file_is_taken_as_apache_writes_it() {
    let dir = temp_dir();
    let file = dir.path().join("htpasswd");
    let hash = bcrypt::hash("secret", 5).unwrap();
    std::fs::write(&file, format!("# who\nann:{hash}\n")).unwrap();
    let page = Page::with(&[&format!("auth_file = \"{}\"", file.display())]);
    assert_eq!(get(page.addr, "/haproxy_stats;csv", "").0.status(), 401);
    assert_eq!(get(page.addr, "/haproxy_stats;csv", ANN).0.status(), 200);
    // A second time without the hash: 5 is some milliseconds, so this only shows that
    // it is let in, not how.
    assert_eq!(get(page.addr, "/haproxy_stats;csv", ANN).0.status(), 200);
}

#[test]
fn wrong_files_and_steering_for_all_are_refused_at_the_start() {
    let dir = temp_dir();
    let path = dir.path().join("lb.toml");
    let check = |stats: &str| {
        let listen = "[[listen]]\nname = \"w\"\nbind = \"127.0.0.1:0\"\nserver = \"127.0.0.1:9\"\n";
        std::fs::write(&path, format!("{listen}[stats]\n{stats}\n")).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_rlb"))
            .args(["check", "-f"])
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), text)
    };
    let (ok, text) = check("bind = \"127.0.0.1:9000\"\nadmin = true");
    assert!(!ok && text.contains("needs `auth`"), "{text}");
    let (ok, text) = check("bind = \"127.0.0.1:9000\"\nauth_file = \"none\"");
    assert!(!ok && text.contains("No such file"), "{text}");
    std::fs::write(dir.path().join("old"), "ann:$apr1$abc$def\n").unwrap();
    let (ok, text) = check("bind = \"127.0.0.1:9000\"\nauth_file = \"old\"");
    assert!(
        !ok && text.contains("line 1") && text.contains("htpasswd -B"),
        "{text}"
    );
    let (ok, text) = check("bind = \":9000\"\nauth = \"admin:admin\"");
    assert!(ok && text.contains("everybody tries first"), "{text}");
}

#[test]
fn known_passwords_are_named_on_the_page_where_others_reach_it() {
    let port = free_addr().port();
    let config = |bind: &str| {
        format!(
            "[global]\nadmin = \"\"\n[stats]\nbind = \"{bind}:{port}\"\nauth = \"admin:admin\"\n\
             [[listen]]\nname = \"w\"\nbind = \"127.0.0.1:0\"\nserver = \"127.0.0.1:9\"\n"
        )
    };
    let admin = "Authorization: Basic YWRtaW46YWRtaW4=\r\n";
    let addr = ([127, 0, 0, 1], port).into();
    let said = |html: &str| html.contains("everybody tries first");
    let mut rlb = Rlb::with(config("0.0.0.0")).ready_on(addr).start();
    assert!(said(&rlb.stderr()));
    assert!(said(&get(addr, "/haproxy_stats", admin).1));
    rlb.signal(rustix::process::Signal::TERM);
    rlb.wait_exit();
    let rlb = Rlb::with(config("127.0.0.1")).ready_on(addr).start();
    assert!(!said(&get(addr, "/haproxy_stats", admin).1));
    assert!(!said(&rlb.stderr()));
}

#[test]
fn document_runs_nothing_but_its_own() {
    let page = Page::with(&[]);
    let (head, html) = page.get("/haproxy_stats");
    let policy = head.field("content-security-policy").unwrap();
    let (_, nonce) = policy.split_once("script-src 'nonce-").unwrap();
    let nonce = nonce.split('\'').next().unwrap();
    assert_eq!(nonce.len(), 32);
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let elements = html.matches("<script").count() + html.matches("<style").count();
    assert_eq!(
        html.matches(&format!("nonce=\"{nonce}\"")).count(),
        elements
    );
    let other = page.get("/haproxy_stats").0;
    assert!(
        !other
            .field("content-security-policy")
            .unwrap()
            .contains(nonce)
    );
    assert_eq!(head.field("x-frame-options"), Some("DENY"));
}

#[test]
fn who_takes_gzip_gets_it() {
    let page = Page::with(&[]);
    let text = "GET /haproxy_stats HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n";
    let (head, zipped) = RawClient::connect(page.addr).send(text).read_response();
    assert_eq!(head.field("content-encoding"), Some("gzip"));
    let mut html = String::new();
    let mut decoder = flate2::read::GzDecoder::new(&zipped[..]);
    std::io::Read::read_to_string(&mut decoder, &mut html).unwrap();
    assert!(html.ends_with("</html>\n"));
    assert!(zipped.len() * 3 < html.len());
    assert_eq!(page.get("/haproxy_stats").0.field("content-encoding"), None);
}

#[test]
fn metrics_are_haproxys_and_some_of_our_own() {
    let page = Page::with(&[]);
    let (head, text) = page.get("/metrics");
    assert_eq!(
        head.field("content-type"),
        Some("text/plain; version=0.0.4")
    );
    for line in [
        "haproxy_process_nbthread 1",
        "haproxy_server_weight{proxy=\"web\",server=\"s1\"} 10",
        "haproxy_frontend_status{proxy=\"www\",state=\"UP\"} 1",
        "rlb_changes_total 1",
        "rlb_worker_sessions{worker=\"0\"} 0",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}");
    }
    let (_, text) = page.get("/metrics?scope=server&metrics=haproxy_server_weight");
    assert_eq!(text.lines().count(), 4, "{text}");
    // A frontend's /metrics are its servers'.
    assert_eq!(get(page.lb.addr(), "/metrics", "").0.status(), 503);
}

#[test]
fn events_tell_everything_and_then_what_changed() {
    let page = Page::steered();
    for (addr, path) in page.places() {
        let mut client = RawClient::connect(addr);
        client.send(format!(
            "GET {path};events HTTP/1.1\r\nHost: x\r\n{ANN}\r\n"
        ));
        let head = client.read_head();
        assert_eq!(head.field("content-type"), Some("text/event-stream"));
        let mut seen = String::new();
        let mut until = |what: &str| {
            wait_until(PATIENCE, what, || {
                let size = usize::from_str_radix(&client.read_line(), 16).unwrap();
                seen += &String::from_utf8(client.read_bytes(size)).unwrap();
                client.read_bytes(2);
                seen.contains(what)
            });
            std::mem::take(&mut seen)
        };
        let all = until("event: all");
        assert!(
            all.contains("\"layout\":[") && all.contains("\"s:3:1\":{"),
            "{all}"
        );
        let change = until("event: change");
        assert!(!change.contains("\"layout\""), "{change}");
        request(addr, "POST", path, ANN, "b=web&s=s1&action=drain");
        until("\"class\":\"drain\"");
        request(addr, "POST", path, ANN, "b=web&s=s1&action=ready");
    }
}

#[test]
fn listeners_are_bounded_and_a_slow_one_delays_nobody() {
    let page = Page::with(&[]);
    let mut many: Vec<RawClient> = (0..32)
        .map(|number| listener_from(2 + number % 2, page.addr))
        .collect();
    let (head, _) = page.get("/haproxy_stats;events");
    assert_eq!(head.status(), 503);
    assert!(head.field("retry-after").is_some());
    // None of them reads, and the page answers.
    assert_eq!(page.get("/haproxy_stats;csv").0.status(), 200);
    many.pop();
    wait_until(PATIENCE, "one more may look", || {
        let mut client = RawClient::connect(page.addr);
        client.send("GET /haproxy_stats;events HTTP/1.1\r\nHost: x\r\n\r\n");
        client.read_head().status() == 200
    });
}

#[test]
fn one_address_cannot_take_all_connections() {
    let page = Page::with(&[]);
    let mut held: Vec<RawClient> = (0..24)
        .map(|_| {
            let mut client = client_from(2, page.addr);
            // Asks, and does not read.
            client.send("GET /haproxy_stats HTTP/1.1\r\nHost: x\r\n\r\n");
            client
        })
        .collect();
    // Who is refused is told so as long as it has not asked yet.
    let (answer, _) = client_from(2, page.addr).read_end();
    assert!(answer.starts_with(b"HTTP/1.1 429 "));
    let refused = || {
        let mut client = client_from(2, page.addr);
        client.try_send("GET /haproxy_stats;csv HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        !client.read_end().0.starts_with(b"HTTP/1.1 200 ")
    };
    assert!(refused());
    // Others come in.
    assert_eq!(page.get("/haproxy_stats;csv").0.status(), 200);
    held.pop();
    wait_until(PATIENCE, "a place is free again", || !refused());
}

#[test]
fn reload_changes_the_page_and_closes_it() {
    let (addr, other) = (free_addr(), free_addr());
    let web = free_addr();
    let config = |stats: &str| {
        format!(
            "[global]\nadmin = \"\"\n[[listen]]\nname = \"w\"\nbind = \"{web}\"\nserver = \"127.0.0.1:9\"\n{stats}"
        )
    };
    let stats = |addr, keys: &str| config(&format!("[stats]\nbind = \"{addr}\"\n{keys}\n"));
    let rlb = Rlb::with(stats(addr, "")).ready_on(addr).start();
    let mut kept = RawClient::connect(addr);
    let ask = "GET /haproxy_stats;csv HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(kept.send(ask).read_response().0.status(), 200);
    rlb.reload(&stats(addr, "auth = \"ann:secret\""));
    assert_eq!(kept.send(ask).read_response().0.status(), 401, "at once");
    rlb.reload(&stats(other, "path = \"/p\""));
    assert_eq!(get(other, "/p;csv", "").0.status(), 200);
    assert!(!crate::support::answers(addr));
    rlb.reload(&config(""));
    assert!(!crate::support::answers(other));
    // On the frontend, and away again.
    let listed = config("").replace("server =", "stats = \"/s\"\nserver =");
    rlb.reload(&listed);
    assert_eq!(get(web, "/s;csv", "").0.status(), 200);
    rlb.reload(&config(""));
    assert_eq!(get(web, "/s;csv", "").0.status(), 503);
}

#[test]
fn a_successor_shows_the_page_and_nobody_is_refused_meanwhile() {
    let dir = temp_dir();
    let (web, stats) = (free_addr(), free_addr());
    let socket = dir.path().join("admin.sock");
    let config = format!(
        "[global]\nworkers = 1\nadmin = \"{}\"\n[stats]\nbind = \"{stats}\"\n\
         [[listen]]\nname = \"web\"\nbind = \"{web}\"\nserver = \"127.0.0.1:9\"\nstats = \"/s\"\n",
        socket.display()
    );
    let mut old = Rlb::with(&config).ready_on(stats).start();
    let pid = |addr, target: &str| {
        let (head, state) = get(addr, target, "");
        assert_eq!(head.status(), 200, "{}: {state}", head.0);
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        state["parts"]["head"]["pid"].as_i64().unwrap()
    };
    let of = |rlb: &Rlb| i64::from(rlb.pid().as_raw_nonzero().get());
    assert_eq!(pid(stats, "/haproxy_stats;state"), of(&old));
    let new = Rlb::with(&config).arg("--takeover").arg(&socket).start();
    wait_until(PATIENCE, "the page is the successor's", || {
        pid(stats, "/haproxy_stats;state") == of(&new)
    });
    old.wait_exit();
    for _ in 0..10 {
        assert_eq!(pid(stats, "/haproxy_stats;state"), of(&new));
        assert_eq!(pid(web, "/s;state"), of(&new));
    }
}
