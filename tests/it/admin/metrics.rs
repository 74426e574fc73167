//! `show metrics`: Prometheus' text format.

use super::Running;

#[test]
fn every_line_of_metrics_parses() {
    let rlb = Running::two_backends();
    let text = rlb.ask("show metrics");
    for name in [
        "haproxy_process_",
        "haproxy_frontend_",
        "haproxy_backend_",
        "haproxy_server_",
        "rlb_generation_id",
    ] {
        assert!(samples(&text).any(|(is, _)| is.starts_with(name)), "{name}");
    }
    let weight = samples(&text).find(|(name, labels)| {
        *name == "haproxy_server_weight" && labels == &[("proxy", "web"), ("server", "s1")]
    });
    assert!(weight.is_some(), "{text}");

    let servers = rlb.ask("show metrics server no-maint metrics=-haproxy_server_weight");
    assert!(samples(&servers).next().is_some());
    assert!(samples(&servers).all(|(name, _)| name.starts_with("haproxy_server_")));
    assert!(!servers.contains("haproxy_server_weight"));
}

/// Name and labels of every line that is no comment.
fn samples(text: &str) -> impl Iterator<Item = (&str, Vec<(&str, &str)>)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| sample(line).unwrap_or_else(|| panic!("{line:?}")))
}

/// `name{label="value",...} value`; braces only around labels.
fn sample(line: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let (series, value) = line.rsplit_once(' ')?;
    value.parse::<f64>().ok()?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let is_name = |name: &str| {
        let mut letters = name.chars();
        letters.next().is_some_and(|c| c.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let pairs = labels.split_terminator(',').map(|label| {
        let (label, value) = label.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        is_name(label).then_some((label, value))
    });
    is_name(name).then_some((name, pairs.collect::<Option<_>>()?))
}
