//! Overrides and last good sets over a restart.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::harness::{Bench, file, run, until};
use crate::control::{Refusal, WeightChange};
use crate::state::Admin;

fn lb(directory: &Path, state_dir: bool) -> String {
    let state = match state_dir {
        true => format!("state_dir = \"{}\"\n", directory.join("state").display()),
        false => String::new(),
    };
    let nodes = directory.join("nodes.toml");
    format!(
        "[global]\nadmin = \"\"\n{state}[[listen]]\nname = \"web\"\nbind = \"127.0.0.1:0\"\n\
         server = [{{ name = \"s1\", address = \"127.0.0.1:1\", tls = {{ verify = false }} }}, \
         {{ name = \"s2\", address = \"127.0.0.1:2\" }}]\n\
         source = [{{ file = \"{}\" }}]\n",
        nodes.display()
    )
}

/// A directory with a configuration and a server file.
fn files(state_dir: bool) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("lb.toml"), lb(temp.path(), state_dir)).unwrap();
    let nodes = "server = [{ name = \"n1\", address = \"127.0.0.1:3\" }]";
    fs::write(temp.path().join("nodes.toml"), nodes).unwrap();
    temp
}

async fn start(temp: &tempfile::TempDir) -> Bench {
    Bench::start(file(temp.path().join("lb.toml"))).await
}

#[test]
fn overrides_and_last_good_sets_come_back_after_a_restart() {
    run(async {
        let temp = files(true);
        let bench = start(&temp).await;
        let control = &bench.control;
        let weight = WeightChange::Absolute(0);
        control.set_weight("web", "s1", weight).await.unwrap();
        control.set_state("web", "n1", Admin::Maint).await.unwrap();
        control.set_tls("web", "s1", false).await.unwrap();
        control.del_server("web", "s2", None).await.unwrap();
        let rows = control.overrides();
        let saved = temp.path().join("state/state.json");
        until("it is saved", async || {
            fs::read_to_string(&saved).is_ok_and(|text| text.contains("del server web/s2"))
        })
        .await;
        bench.stop().await;
        // The source is away at the start.
        fs::remove_file(temp.path().join("nodes.toml")).unwrap();
        let bench = start(&temp).await;
        assert_eq!(bench.servers(), ["s1", "n1"]);
        assert_eq!(bench.control.overrides(), rows);
        let generation = bench.control.generation();
        let n1 = generation.backends[0].server("n1").unwrap();
        assert_eq!(n1.state.admin(), Admin::Maint);
        let s1 = generation.backends[0].server("s1").unwrap();
        assert!(s1.tls.is_none() && s1.check_tls.is_some());
        bench.control.clear_overrides().await.unwrap();
        // Saved on the way out, without waiting for its time.
        bench.stop().await;
        let bench = start(&temp).await;
        assert_eq!(bench.servers(), ["s1", "s2", "n1"]);
        bench.stop().await;
    });
}

#[test]
fn corrupt_state_is_set_aside_and_the_start_goes_on() {
    run(async {
        let temp = files(true);
        fs::create_dir(temp.path().join("state")).unwrap();
        fs::write(temp.path().join("state/state.json"), "{").unwrap();
        let bench = start(&temp).await;
        assert_eq!(bench.servers(), ["s1", "s2", "n1"]);
        let names = fs::read_dir(temp.path().join("state")).unwrap().flatten();
        let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
        let aside =
            |name: &&std::ffi::OsString| name.to_string_lossy().starts_with("state.json.corrupt-");
        assert!(names.iter().any(|name| aside(&name)), "{names:?}");
        let path = bench.control.save_state().await.unwrap();
        assert_eq!(path, temp.path().join("state/state.json"));
        bench.stop().await;
    });
}

#[test]
fn without_a_directory_nothing_is_kept() {
    run(async {
        let temp = files(false);
        let bench = start(&temp).await;
        bench
            .control
            .del_server("web", "s1", Some(Duration::ZERO))
            .await
            .unwrap();
        let refused = bench.control.save_state().await;
        assert!(matches!(refused, Err(Refusal::Other(_))));
        bench.stop().await;
        let bench = start(&temp).await;
        assert_eq!(bench.servers(), ["s1", "s2", "n1"]);
        bench.stop().await;
    });
}
