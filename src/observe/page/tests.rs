use super::*;
use crate::observe::testing::{Bench, snapshot};

fn parsed(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn parts(state: &State) -> serde_json::Value {
    parsed(&state.whole())["parts"].clone()
}

#[test]
fn every_row_is_a_part_of_its_own() {
    let parts = parts(&State::of(&snapshot(), &Facts::default()));
    let keys: Vec<&str> = parts
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "b:2", "b:4", "f:2", "f:3", "head", "layout", "s:2:1", "s:4:1", "s:4:2", "s:4:3",
    ];
    assert_eq!(keys, expected);
    assert_eq!(parts["head"]["node"], "lb1");
    assert_eq!(parts["layout"][0]["name"], "db");
    let classes = ["s:2:1", "s:4:1", "s:4:2", "s:4:3"].map(|key| parts[key]["class"].clone());
    assert_eq!(classes, ["drain", "up", "down", "maint"]);
    let reason = parts["s:4:2"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("Layer"), "{reason}");
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let mut bench = Bench::new();
    let before = State::of(&bench.snapshot(), &Facts::default());
    let same = parsed(&before.since(&before));
    assert_eq!(same["parts"].as_object().unwrap().len(), 0);
    let sections = vec![Section {
        key: "drains",
        title: "Draining",
        columns: &["server"],
        rows: vec![vec!["web/s9".to_owned()]],
    }];
    let facts = Facts {
        sections,
        ..Facts::default()
    };
    let after = State::of(&bench.snapshot(), &facts);
    let there = parsed(&after.since(&before));
    assert_eq!(there["parts"]["t:0:drains"]["rows"][0][0], "web/s9");
    assert_eq!(there["parts"].as_object().unwrap().len(), 1);
    let gone = parsed(&before.since(&after));
    assert_eq!(gone["gone"], serde_json::json!(["t:0:drains"]));
}

#[test]
fn operators_words_stand_beside_the_state() {
    let mut facts = Facts::default();
    let by = "set server web/s3 state maint".to_owned();
    facts.reasons.insert("web/s3".to_owned(), by);
    let parts = parts(&State::of(&snapshot(), &facts));
    assert_eq!(
        parts["s:4:3"]["reason"],
        "in maintenance: set server web/s3 state maint"
    );
}

#[test]
fn document_is_filled_and_nothing_in_it_ends_a_script() {
    let state = State::of(&snapshot(), &Facts::default());
    let settings = Settings {
        path: "/s\"><script>".to_owned(),
        scope: "</script><b>".to_owned(),
        ..Settings::default()
    };
    let document = Document {
        nonce: "abc",
        settings: &settings,
        node: "<lb1>",
        state: &state,
        trails: &Trails::default(),
    };
    let html = document.html();
    assert!(!html.contains("{{") && !html.contains("<lb1>"));
    assert!(html.contains("&lt;lb1&gt;"));
    let scripts = html.matches("<script").count();
    assert_eq!(scripts, html.matches("</script>").count());
    assert_eq!(
        html.matches("<script>").count(),
        0,
        "each carries the nonce"
    );
    assert!(Document::policy("abc").contains("script-src 'nonce-abc'"));
}

#[test]
fn document_fetches_nothing_from_elsewhere() {
    for text in [
        include_str!("page.html"),
        include_str!("page.css"),
        include_str!("page.js"),
    ] {
        for foreign in ["http://", "https://", "url(", "@import", "//cdn"] {
            let allowed = "http://www.w3.org/2000/svg";
            assert!(!text.replace(allowed, "").contains(foreign), "{foreign}");
        }
        // The policy refuses both.
        assert!(!text.contains(" style=\"") && !text.contains(" onclick="));
    }
}
