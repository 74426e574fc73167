//! `show stat` in all its forms.

use proptest::prelude::*;

use super::testing::{Bench, NOW_MS, named, snapshot};
use super::*;
use crate::state::WorkerId;

fn request(words: &str) -> StatRequest {
    let words: Vec<&str> = words.split_whitespace().collect();
    StatRequest {
        legends: true,
        ..StatRequest::parse(&words).unwrap()
    }
}

fn text(words: &str) -> String {
    stat(&snapshot(), &request(words)).unwrap()
}

/// `proxy/server` of each row.
fn rows(words: &str) -> Vec<String> {
    let text = text(words);
    let row = |line: &str| line.split(',').take(2).collect::<Vec<_>>().join("/");
    text.lines().skip(1).map(row).collect()
}

/// A cell of the row `proxy/server`, found by the header's name.
fn cell(csv: &str, row: &str, column: &str) -> String {
    let mut lines = csv.lines();
    let header = lines.next().unwrap().strip_prefix("# ").unwrap();
    let position = header.split(',').position(|name| name == column).unwrap();
    let start = row.replace('/', ",") + ",";
    let line = lines.find(|line| line.starts_with(&start)).unwrap();
    line.split(',').nth(position).unwrap().to_owned()
}

#[test]
fn rows_stand_in_haproxys_order() {
    assert_eq!(
        rows(""),
        [
            "db/FRONTEND",
            "db/t1",
            "db/BACKEND",
            "www/FRONTEND",
            "web/s1",
            "web/s2",
            "web/s3",
            "web/BACKEND"
        ]
    );
}

#[test]
fn header_and_rows_have_as_many_fields() {
    let text = text("");
    assert!(text.starts_with("# pxname,svname,qcur,"));
    for line in text.lines() {
        assert_eq!(line.matches(',').count(), 120, "{line}");
        assert!(line.ends_with(",-,"), "{line}");
    }
}

#[test]
fn whole_rows_are_haproxys_to_the_column() {
    let text = text("");
    let line = |row: usize| text.lines().nth(row).unwrap();
    // Up to column 61, which every client reads by position.
    let first = |row| line(row).split(',').take(62).collect::<Vec<_>>().join(",");
    assert_eq!(
        first(4),
        "www,FRONTEND,,,0,0,100,11,300,900,0,0,0,,,,,OPEN,,,,,,,,,1,3,0,,,,0,0,0,0,,,,0,29,0,0,1,0,,\
         0,1,30,,,0,0,0,0,,,,,,,"
    );
    assert_eq!(
        first(5),
        "web,s1,0,0,2,7,,27,300,900,,0,,0,0,0,0,UP,10,1,0,0,0,60,0,,1,4,1,,20,,2,7,,7,L7OK,200,4,\
         0,20,0,0,0,0,,,,20,0,0,,,,,0,,,0,0,0,12"
    );
    assert_eq!(
        first(8),
        "web,BACKEND,0,0,2,7,0,28,300,900,0,0,,1,0,0,0,UP,10,1,0,,0,60,0,,1,4,0,,20,,1,7,,7,,,,\
         0,20,0,0,1,0,,,,21,0,0,0,0,0,0,0,,,0,0,0,12"
    );
    assert_eq!(
        first(2),
        "db,t1,0,0,0,0,,0,0,0,,0,,0,0,0,0,DRAIN,1,1,0,,,60,,,1,2,1,,0,,2,0,,0,,,,\
         ,,,,,,,,,,0,0,,,,,-1,,,0,0,0,0"
    );
}

#[test]
fn states_and_checks_are_told() {
    let csv = text("");
    let cells = [
        ("web/s2", "status", "DOWN"),
        ("web/s2", "check_status", "L4CON"),
        ("web/s2", "check_code", ""),
        ("web/s2", "check_duration", "4"),
        ("web/s2", "last_chk", "Connection refused"),
        ("web/s2", "check_desc", "Layer4 connection problem"),
        ("web/s2", "chkfail", "1"),
        ("web/s2", "chkdown", "1"),
        ("web/s2", "downtime", "50"),
        ("web/s2", "lastchg", "50"),
        ("web/s3", "status", "MAINT"),
        ("web/s3", "check_status", ""),
        ("web/s3", "check_rise", ""),
        ("web/s3", "weight", "5"),
        ("web/s1", "check_health", "4"),
        ("web/s1", "addr", "127.0.0.1:1"),
        ("db/t1", "addr", "unix"),
        ("db/t1", "req_tot", ""),
        ("db/FRONTEND", "req_tot", "0"),
        ("db/FRONTEND", "intercepted", ""),
        ("db/BACKEND", "status", "DOWN"),
        ("web/BACKEND", "algo", "roundrobin"),
        ("www/FRONTEND", "conn_tot", "12"),
        ("www/FRONTEND", "dcon", "1"),
        ("www/FRONTEND", "h1sess", "11"),
        ("www/FRONTEND", "h1req", "30"),
        ("web/s1", "srv_icur", "3"),
        ("web/s1", "connect", "6"),
        ("web/s1", "ttime_max", "12"),
    ];
    for (row, column, value) in cells {
        assert_eq!(cell(&csv, row, column), value, "{row} {column}");
    }
}

#[test]
fn legends_are_for_operators() {
    let words = StatRequest::default();
    let csv = stat(&snapshot(), &words).unwrap();
    assert_eq!(cell(&csv, "web/s1", "addr"), "");
    assert_eq!(cell(&csv, "web/BACKEND", "algo"), "");
}

#[test]
fn filters_choose_rows() {
    assert_eq!(rows("web 4 -1"), ["web/s1", "web/s2", "web/s3"]);
    assert_eq!(rows("4 4 2"), ["web/s2"]);
    assert_eq!(rows("#4 2 -1"), ["web/BACKEND"]);
    assert_eq!(rows("-1 1 -1"), ["db/FRONTEND", "www/FRONTEND"]);
    assert_eq!(rows("-1 3 -1").len(), 4);
    assert_eq!(rows("domain proxy web 4 1"), ["web/s1"]);
    assert_eq!(rows("web 4").len(), 8, "half a filter is none");
    assert_eq!(rows("nonsense").len(), 8);
    assert!(rows("77 -1 -1").is_empty());
    assert_eq!(
        rows("up"),
        [
            "db/FRONTEND",
            "db/t1",
            "db/BACKEND",
            "www/FRONTEND",
            "web/s1",
            "web/BACKEND"
        ]
    );
    assert_eq!(rows("no-maint").len(), 7);
    assert_eq!(
        stat(&snapshot(), &request("none 4 -1")),
        Err("No such proxy.")
    );
    assert_eq!(
        StatRequest::parse(&["domain", "foo"]),
        Err("Invalid statistics domain.")
    );
    let scoped = StatRequest {
        scope: "WE".into(),
        ..StatRequest::default()
    };
    assert_eq!(stat(&snapshot(), &scoped).unwrap().lines().count(), 5);
}

#[test]
fn hidden_servers_are_counted_in_the_backends_status() {
    assert_eq!(cell(&text("up"), "web/BACKEND", "status"), "UP (1/3)");
    assert_eq!(cell(&text("no-maint"), "web/BACKEND", "status"), "UP (1/3)");
}

#[test]
fn typed_form_leaves_out_what_is_empty() {
    let typed = text("web 4 1 typed");
    let lines: Vec<&str> = typed.lines().collect();
    assert_eq!(lines[0], "S.4.1.0.pxname.1:KNSV:str:web");
    assert!(lines.contains(&"S.4.1.4.scur.1:MGPV:u32:2"));
    assert!(lines.contains(&"S.4.1.7.stot.1:MCPV:u64:27"));
    assert!(lines.contains(&"S.4.1.19.act.1:SGPV:u32:1"));
    assert!(lines.contains(&"S.4.1.38.check_duration.1:MDPV:u64:4"));
    assert!(lines.contains(&"S.4.1.55.lastsess.1:MAPV:s32:0"));
    assert!(!typed.contains(".slim.") && !typed.contains(".agent_status."));
    assert!(text("web 2 -1 typed").contains("B.4.0.19.act.1:MGPV:u32:1\n"));
    let described = text("web 4 1 typed desc");
    assert!(described.starts_with("S.4.1.0.pxname.1:KNSV:str:web:\"Name of the proxy\"\n"));
}

#[test]
fn json_is_an_array_of_rows_of_cells() {
    let json: serde_json::Value = serde_json::from_str(&text("json")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 8);
    let expected = serde_json::json!({
        "objType": "Server",
        "proxyId": 4,
        "id": 1,
        "field": {"pos": 4, "name": "scur"},
        "processNum": 1,
        "tags": {"origin": "Metric", "nature": "Gauge", "scope": "Process"},
        "value": {"type": "u32", "value": 2},
    });
    assert!(json[4].as_array().unwrap().contains(&expected));
}

#[test]
fn backend_counts_what_its_servers_and_those_that_left_did() {
    let mut bench = Bench::new();
    let (backend, server) = {
        let backend = &bench.generation.backends[0];
        (
            std::sync::Arc::clone(backend),
            std::sync::Arc::clone(&backend.servers[0]),
        )
    };
    let mut desired =
        crate::generation::testing::desired(Vec::new(), vec![(*backend.config).clone()]);
    desired.members[0].remove(0);
    bench.generation = bench.generation.next(&desired, 2).0;
    let departing = [Departing {
        backend: &backend,
        server: &server,
        cut_in_ms: Some(1500),
    }];
    let mut samples = std::mem::take(&mut bench.samples);
    let mut view = bench.view();
    view.departing = &departing;
    let draining = Snapshot::take(&view, &mut samples);
    let csv = stat(&draining, &request("")).unwrap();
    assert_eq!(cell(&csv, "web/BACKEND", "stot"), "28");
    assert_eq!(cell(&csv, "web/BACKEND", "scur"), "2");
    assert!(!csv.contains("web,s1,"), "its row is gone");
    let row = DrainRow {
        backend: "web".into(),
        server: "s1".into(),
        left: 2,
        cut_in_ms: Some(1500),
    };
    assert_eq!(draining.drains, [row]);
    // Drained: its totals are folded into the backend's own.
    let own = backend.state.counters.slot(WorkerId(usize::MAX));
    for slot in server.state.counters.iter() {
        own.absorb(slot);
    }
    let folded = Snapshot::take(&bench.view(), &mut samples);
    let csv = stat(&folded, &request("")).unwrap();
    assert_eq!(cell(&csv, "web/BACKEND", "stot"), "28");
    assert_eq!(cell(&csv, "web/s2", "sid"), "2", "numbers stay");
}

#[test]
fn cleared_counters_begin_at_zero_and_the_workers_never_know() {
    let mut bench = Bench::new();
    bench.with_samples(|samples, view| samples.clear_maxima(view));
    let csv = stat(&bench.snapshot(), &request("")).unwrap();
    assert_eq!(cell(&csv, "web/s1", "rate_max"), "0");
    assert_eq!(
        cell(&csv, "web/s1", "smax"),
        "2",
        "what runs is a maximum too"
    );
    assert_eq!(cell(&csv, "web/s1", "stot"), "27");
    bench.with_samples(|samples, view| samples.clear_all(view));
    let slot = bench.generation.backends[0].servers[0]
        .state
        .counters
        .slot(WorkerId(1));
    slot.sessions.add(3);
    let csv = stat(&bench.snapshot(), &request("")).unwrap();
    for (row, column, value) in [
        ("web/s1", "stot", "3"),
        ("web/s1", "bin", "0"),
        ("web/s1", "scur", "2"),
        ("web/s2", "chkfail", "0"),
        ("web/s2", "chkdown", "0"),
        ("web/s2", "downtime", "50"),
        ("web/BACKEND", "stot", "3"),
        ("web/BACKEND", "econ", "0"),
        ("www/FRONTEND", "conn_tot", "0"),
        ("www/FRONTEND", "hrsp_2xx", "0"),
    ] {
        assert_eq!(cell(&csv, row, column), value, "{row} {column}");
    }
    let server = std::sync::Arc::clone(&bench.generation.backends[0].servers[0]);
    bench.with_samples(|samples, view| samples.clear_server(view, &server));
    let csv = stat(&bench.snapshot(), &request("")).unwrap();
    assert_eq!(cell(&csv, "web/s1", "stot"), "0");
    assert_eq!(cell(&csv, "web/BACKEND", "stot"), "3");
}

#[test]
fn closed_frontends_say_why() {
    let mut bench = Bench::new();
    let id = bench.generation.frontends[1].state.id;
    let mut samples = std::mem::take(&mut bench.samples);
    let view = View {
        paused: &[id],
        ..bench.view()
    };
    let csv = stat(&Snapshot::take(&view, &mut samples), &request("")).unwrap();
    assert_eq!(cell(&csv, "www/FRONTEND", "status"), "PAUSED");
    assert_eq!(cell(&csv, "db/FRONTEND", "status"), "OPEN");
    bench.process.stopping = true;
    let csv = stat(&Snapshot::take(&bench.view(), &mut samples), &request("")).unwrap();
    assert_eq!(cell(&csv, "www/FRONTEND", "status"), "STOP");
    assert_eq!(bench.view().now_ms, NOW_MS);
}

/// Fields of a CSV line as a reader of RFC 4180 finds them.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let last = fields.last_mut().unwrap();
        match c {
            '"' if !quoted && last.is_empty() => quoted = true,
            '"' if quoted && chars.peek() == Some(&'"') => last.extend(chars.next()),
            '"' if quoted => quoted = false,
            ',' if !quoted => fields.push(String::new()),
            c => last.push(c),
        }
    }
    fields
}

proptest! {
    #[test]
    fn every_line_has_equal_fields_whatever_names(proxy in ".*", server in ".*") {
        let snapshot = named(&proxy, &server);
        let csv = stat(&snapshot, &StatRequest::default()).unwrap();
        let lines: Vec<&str> = csv.split_terminator('\n').collect();
        prop_assert_eq!(lines.len(), 9);
        let clean = |name: &str| name.replace(char::is_control, " ");
        for line in &lines[1..] {
            let fields = fields(line);
            prop_assert_eq!(fields.len(), 121);
            prop_assert_eq!(&fields[0], &clean(&proxy));
        }
        prop_assert_eq!(&fields(lines[2])[1], &clean(&server));
    }

    /// Names that may be written need no quotes: clients split at each comma.
    #[test]
    fn ordinary_names_are_never_quoted(name in "[A-Za-z0-9_.:-]{1,40}") {
        let csv = stat(&named(&name, &name), &StatRequest::default()).unwrap();
        prop_assert!(!csv.contains('"'));
        for line in csv.lines() {
            prop_assert_eq!(line.matches(',').count(), 120);
        }
    }
}
