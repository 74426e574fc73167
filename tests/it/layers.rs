//! Rooms import downwards, and the planes never name each other: the table of
//! the house, held against every `crate::` in the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room, and the rooms it may name.
const ROOMS: &[(&str, &[&str])] = &[
    // Leaf rooms. The model of the configuration is the vocabulary of all others.
    ("config", &[]),
    ("balance", &[]),
    ("state", &[]),
    // Both planes write to it.
    ("log", &["config"]),
    ("tls", &["config"]),
    ("http", &["config"]),
    ("net", &["config", "tls"]),
    // The meeting place.
    ("generation", &["balance", "config", "state", "tls"]),
    // Data.
    (
        "proxy",
        &["config", "generation", "http", "log", "net", "state", "tls"],
    ),
    (
        "worker",
        &[
            "config",
            "generation",
            "log",
            "net",
            "proxy",
            "state",
            "tls",
        ],
    ),
    // Control.
    ("health", &["config", "generation", "net", "state", "tls"]),
    ("discovery", &["config", "generation", "net", "state"]),
    (
        "observe",
        &[
            "config",
            "discovery",
            "generation",
            "health",
            "net",
            "state",
        ],
    ),
    (
        "control",
        &[
            "config",
            "discovery",
            "generation",
            "health",
            "log",
            "net",
            "observe",
            "state",
            "tls",
            "worker",
        ],
    ),
];

/// The mailbox: all that control may know of the other plane.
const MAILBOX: &[&str] = &["Handle", "Order", "SessionRow"];

/// May name everything: the engine joins the planes, benches and fuzz targets look in.
const ABOVE: &[&str] = &["engine", "internal", "lib", "main", "cli", "ctl", "demo"];

#[test]
fn rooms_import_downwards() {
    let mut wrong = BTreeSet::new();
    for room in rooms() {
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert!(ABOVE.contains(&&*room), "src/{room} is not in the table");
            continue;
        };
        for file in sources(&room) {
            let text = fs::read_to_string(&file).unwrap();
            for path in named(&text) {
                let (other, item) = path.split_once("::").unwrap_or((&path, ""));
                let is_mailbox = MAILBOX.contains(&item);
                // Tests may look through the same door as benches and fuzz targets.
                if other == "internal" && is_test(&file) {
                    continue;
                }
                let crosses = room == "control" && other == "worker" && !is_mailbox;
                if other != room && (!allowed.contains(&other) || crosses) {
                    wrong.insert(format!("{}: crate::{path}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_itself_only_looks_down() {
    let position = |room: &str| ROOMS.iter().position(|(name, _)| *name == room);
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        for other in *allowed {
            assert!(position(other) < Some(index), "{room} names {other}");
        }
    }
    // Neither plane names the other, but for the mailbox.
    let allowed = |room: &str| ROOMS[position(room).unwrap()].1;
    for data in ["proxy", "worker"] {
        for control in ["control", "health", "discovery", "observe"] {
            assert!(!allowed(data).contains(&control), "{data} names {control}");
            let to_data = allowed(control).contains(&data);
            assert!(!to_data || (control, data) == ("control", "worker"));
        }
    }
}

#[test]
fn every_form_of_a_path_is_seen() {
    let text = "use crate::net::{a, b};\nuse crate::{state::X, http, worker::{Order, deep::{Y}}};\n\
                fn f() { crate::proxy::Z }\n// crate::control::no\n";
    let named: Vec<_> = named(text).into_iter().collect();
    let expected = [
        "http",
        "net::a",
        "net::b",
        "proxy::Z",
        "state::X",
        "worker::Order",
        "worker::deep",
    ];
    assert_eq!(named, expected);
}

/// What stands directly under src.
fn rooms() -> BTreeSet<String> {
    let entries = fs::read_dir(src())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let stems = entries.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    stems.filter(|name| !name.starts_with('.')).collect()
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All source files of a room.
fn sources(room: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![src().join(room), src().join(format!("{room}.rs"))];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|ext| ext == "rs") && path.exists() {
            files.push(path);
        }
    }
    assert!(!files.is_empty(), "{room}");
    files
}

fn is_test(file: &Path) -> bool {
    file.iter()
        .any(|part| part == "tests" || part == "tests.rs")
}

/// `room::item` for each path under `crate::`, groups taken apart; of a room's
/// own group only the first level counts.
fn named(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    let mut found = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        for path in expand(&code[at + prefix.len()..]) {
            let mut parts = path.split("::").map(str::trim);
            let room = parts.next().unwrap_or_default();
            match parts.next() {
                Some(item) => found.insert(format!("{room}::{item}")),
                None => found.insert(room.to_owned()),
            };
        }
    }
    found
}

/// The paths a use tree starts with: `a::{b, c::{d}}` is a::b and a::c::d.
fn expand(tree: &str) -> Vec<String> {
    let end = tree.find(|c: char| !(c.is_alphanumeric() || "_: ".contains(c)));
    let (head, rest) = tree.split_at(end.unwrap_or(tree.len()));
    let head = head.trim();
    let Some(group) = rest
        .strip_prefix('{')
        .filter(|_| head.is_empty() || head.ends_with("::"))
    else {
        let path = head.split(" as ").next().unwrap_or_default();
        return vec![path.split(' ').next().unwrap_or_default().to_owned()];
    };
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                paths.push(group[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    let paths = paths.into_iter().filter(|path| !path.is_empty());
    paths
        .flat_map(expand)
        .map(|path| format!("{head}{path}"))
        .collect()
}
