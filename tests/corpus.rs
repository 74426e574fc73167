//! Replays the seeds and findings of `fuzz/` in an ordinary run.

use std::fs;
use std::path::Path;

use rlb::internal::{admin, config, http, proxy_header};

#[test]
fn fuzz_corpus_replays_clean() {
    let targets = [
        ("request_head", http::request_head as fn(&[u8])),
        ("response_head", http::response_head),
        ("chunked", http::chunked),
        ("differential", http::differential),
        ("config", config::file),
        ("admin_line", admin::line),
        ("proxy_header", proxy_header::header),
    ];
    for (target, check) in targets {
        let files = replay(target, check);
        assert!(files > 0, "{target} has no corpus");
    }
}

fn replay(target: &str, check: fn(&[u8])) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = fs::read_dir(&corpus).unwrap();
    files
        .map(|file| {
            let path = file.unwrap().path();
            // Shown only when the check panics.
            println!("{}", path.display());
            check(&fs::read(path).unwrap());
        })
        .count()
}
