//! The text is read back by a checker that knows the format.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::observe::testing::{Bench, named, snapshot};
use crate::observe::{Departing, View};

/// Values by name and labels; panics where the format is broken.
fn parse(text: &str) -> HashMap<String, f64> {
    let mut values = HashMap::new();
    let mut ended = HashSet::new();
    let mut family = String::new();
    let mut is_histogram = false;
    let mut lines = text.lines().peekable();
    assert!(text.is_empty() || text.ends_with('\n'));
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, about) = help.split_once(' ').unwrap();
            assert!(!about.is_empty(), "{line}");
            assert!(ended.insert(name.to_owned()), "{name} stands twice");
            family = name.to_owned();
            let kind = lines.next().unwrap();
            let kind = kind.strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
            is_histogram = kind == "histogram";
            assert!(
                lines.peek().is_some_and(|line| line.starts_with(name)),
                "{name} is empty"
            );
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let behind = name.strip_prefix(&*family).unwrap_or(name);
        match is_histogram {
            true => assert!(["_bucket", "_sum", "_count"].contains(&behind), "{line}"),
            false => assert_eq!(behind, "", "{line}"),
        }
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "{line}"
        );
        check_labels(&series[name.len()..]);
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite(), "{line}");
        assert!(
            values.insert(series.to_owned(), value).is_none(),
            "{series} stands twice"
        );
    }
    values
}

/// `{a="b",c="\"d\\"}` or nothing.
fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let mut rest = labels.strip_prefix('{').unwrap();
    loop {
        let (name, tail) = rest.split_once("=\"").unwrap();
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        let mut chars = tail.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (_, '\\') => assert!(matches!(chars.next().unwrap().1, '\\' | '"' | 'n')),
                (end, '"') => break end,
                _ => {}
            }
        };
        match &tail[end + 1..] {
            "}" => return,
            more => rest = more.strip_prefix(',').unwrap(),
        }
    }
}

#[test]
fn everything_is_well_formed_and_means_what_it_says() {
    let values = parse(&prometheus(&snapshot(), &Selection::default()));
    let expected = [
        ("haproxy_process_nbthread", 2.0),
        ("haproxy_process_max_connections", 500.0),
        ("haproxy_process_start_time_seconds", 1_700_000_000.25),
        ("haproxy_process_node{node=\"lb1\"}", 1.0),
        ("haproxy_frontend_status{proxy=\"www\",state=\"UP\"}", 1.0),
        ("haproxy_frontend_status{proxy=\"www\",state=\"DOWN\"}", 0.0),
        (
            "haproxy_frontend_http_responses_total{proxy=\"www\",code=\"2xx\"}",
            29.0,
        ),
        ("haproxy_frontend_sessions_total{proxy=\"www\"}", 11.0),
        ("haproxy_backend_status{proxy=\"web\",state=\"UP\"}", 1.0),
        ("haproxy_backend_status{proxy=\"db\",state=\"DOWN\"}", 1.0),
        ("haproxy_backend_active_servers{proxy=\"web\"}", 1.0),
        (
            "haproxy_backend_agg_server_status{proxy=\"web\",state=\"MAINT\"}",
            1.0,
        ),
        (
            "haproxy_backend_agg_server_status{proxy=\"web\",state=\"UP\"}",
            1.0,
        ),
        (
            "haproxy_backend_agg_check_status{proxy=\"web\",state=\"L4CON\"}",
            1.0,
        ),
        (
            "haproxy_server_status{proxy=\"web\",server=\"s1\",state=\"UP\"}",
            1.0,
        ),
        (
            "haproxy_server_status{proxy=\"web\",server=\"s2\",state=\"DOWN\"}",
            1.0,
        ),
        (
            "haproxy_server_status{proxy=\"web\",server=\"s3\",state=\"MAINT\"}",
            1.0,
        ),
        (
            "haproxy_server_status{proxy=\"db\",server=\"t1\",state=\"DRAIN\"}",
            1.0,
        ),
        (
            "haproxy_server_check_status{proxy=\"web\",server=\"s1\",state=\"L7OK\"}",
            1.0,
        ),
        (
            "haproxy_server_check_code{proxy=\"web\",server=\"s1\"}",
            200.0,
        ),
        (
            "haproxy_server_check_duration_seconds{proxy=\"web\",server=\"s1\"}",
            0.004,
        ),
        (
            "haproxy_server_total_time_average_seconds{proxy=\"web\",server=\"s1\"}",
            0.012,
        ),
        (
            "haproxy_server_idle_connections_current{proxy=\"web\",server=\"s1\"}",
            3.0,
        ),
        ("rlb_generation_age_seconds", 60.0),
        ("rlb_worker_late_max_seconds{worker=\"0\"}", 0.003),
        ("rlb_panics_total", 0.0),
    ];
    for (series, value) in expected {
        assert_eq!(values.get(series), Some(&value), "{series}");
    }
    for (series, value) in &values {
        let states = series.contains("_status{") && !series.contains("_agg_");
        assert!(!states || *value == 0.0 || *value == 1.0, "{series}");
    }
    let absent = [
        "haproxy_server_check_code{proxy=\"web\",server=\"s3\"}",
        "haproxy_frontend_http_responses_total{proxy=\"db\",code=\"2xx\"}",
        "haproxy_server_limit_sessions{proxy=\"web\",server=\"s1\"}",
    ];
    for series in absent {
        assert!(!values.contains_key(series), "{series}");
    }
}

#[test]
fn names_with_odd_characters_are_escaped() {
    let snapshot = named("a\"b\\c\nd,{}", "=\"x\"}");
    let mut snapshot = snapshot;
    // One name for all would be one series for all.
    snapshot.proxies.truncate(1);
    let values = parse(&prometheus(&snapshot, &Selection::default()));
    let key = "haproxy_frontend_current_sessions{proxy=\"a\\\"b\\\\c\\nd,{}\"}";
    assert!(values.contains_key(key), "{values:?}");
}

#[test]
fn scopes_and_filters_leave_out() {
    let names = |query: &str| -> HashSet<String> {
        let values = parse(&prometheus(&snapshot(), &Selection::parse(query)));
        values
            .into_keys()
            .map(|series| series.split('{').next().unwrap().to_owned())
            .collect()
    };
    assert!(
        names("scope=server")
            .iter()
            .all(|name| name.starts_with("haproxy_server_"))
    );
    assert!(names("scope=").is_empty());
    assert_eq!(
        names("metrics=haproxy_server_status"),
        HashSet::from(["haproxy_server_status".to_owned()])
    );
    let text = prometheus(&snapshot(), &Selection::parse("scope=server&no-maint"));
    assert!(!text.contains("s3") && text.contains("s2"));
}

#[test]
fn servers_that_left_under_one_name_are_one_series() {
    let bench = Bench::new();
    let backend = &bench.generation.backends[0];
    let one = |cut_in_ms| Departing {
        backend,
        server: &backend.servers[0],
        cut_in_ms,
    };
    let departing = [one(Some(5)), one(None)];
    let view = View {
        departing: &departing,
        ..bench.view()
    };
    let snapshot = Snapshot::take(&view, &mut crate::observe::Samples::default());
    let values = parse(&prometheus(&snapshot, &Selection::parse("scope=rlb")));
    assert_eq!(
        values["rlb_drain_sessions{proxy=\"web\",server=\"s1\"}"],
        4.0
    );
}
