//! Files of real directories, written in every way that is in use.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::harness::{Bench, Origin, file, run, until};
use crate::control::{Cause, WeightChange};
use crate::discovery::Condition;

/// A frontend on a free port and a backend with this body.
fn lb(backend: &str) -> String {
    format!(
        "[global]\nadmin = \"\"\n[[frontend]]\nname = \"www\"\nbind = \"127.0.0.1:0\"\n\
         default_backend = \"web\"\n[[backend]]\nname = \"web\"\n{backend}\n"
    )
}

/// Servers of these names.
fn servers(names: &[&str]) -> String {
    let servers = names
        .iter()
        .zip(1..)
        .map(|(name, port)| format!("{{ name = \"{name}\", address = \"127.0.0.1:{port}\" }}"));
    let servers: Vec<_> = servers.collect();
    format!("server = [{}]", servers.join(", "))
}

fn with_nodes(nodes: &Path) -> String {
    lb(&format!("source = [{{ file = \"{}\" }}]", nodes.display()))
}

async fn until_served(bench: &Bench, names: &[&str]) {
    until(&format!("{names:?}"), async || bench.servers() == *names).await;
}

fn asked() -> Cause {
    Cause::Reload("reload".to_owned())
}

#[test]
fn files_written_in_place_and_renamed_over_are_seen() {
    run(async {
        let temp = tempfile::tempdir().unwrap();
        let (main, nodes) = (temp.path().join("lb.toml"), temp.path().join("nodes.toml"));
        fs::write(&nodes, servers(&["n1"])).unwrap();
        fs::write(&main, with_nodes(&nodes)).unwrap();
        let bench = Bench::start(file(main.clone())).await;
        assert_eq!(bench.servers(), ["n1"], "there from the start");
        fs::write(&nodes, servers(&["n1", "n2"])).unwrap();
        until_served(&bench, &["n1", "n2"]).await;
        // As consul-template does: a temporary file beside it, then rename.
        for names in [&["n3"][..], &["n4", "n5"]] {
            let temporary = temp.path().join("nodes.toml123");
            fs::write(&temporary, servers(names)).unwrap();
            fs::rename(&temporary, &nodes).unwrap();
            until_served(&bench, names).await;
        }
        // The configuration itself, and away from the server file.
        fs::write(&main, lb(&servers(&["s1"]))).unwrap();
        until_served(&bench, &["s1"]).await;
        fs::remove_file(&main).unwrap();
        fs::write(&main, with_nodes(&nodes)).unwrap();
        until_served(&bench, &["n4", "n5"]).await;
        let causes: Vec<_> = bench
            .control
            .history()
            .into_iter()
            .map(|r| r.cause)
            .collect();
        assert!(
            causes.contains(&format!("file {}", nodes.display())),
            "{causes:?}"
        );
        bench.stop().await;
    });
}

#[test]
fn symlinks_swapped_as_kubernetes_does_are_seen() {
    run(async {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        let publish = |version: &str, names: &[&str]| {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("lb.toml"), lb(&servers(names))).unwrap();
            symlink(version, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        publish("..v1", &["s1"]);
        symlink("..data/lb.toml", at("lb.toml")).unwrap();
        let bench = Bench::start(file(at("lb.toml"))).await;
        for (version, names) in [("..v2", &["s2"][..]), ("..v3", &["s3", "s4"])] {
            publish(version, names);
            until_served(&bench, names).await;
        }
        fs::remove_dir_all(at("..v1")).unwrap();
        // Behind a link to another directory.
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/lb.toml"), lb(&servers(&["s5"]))).unwrap();
        fs::remove_file(at("lb.toml")).unwrap();
        symlink("elsewhere/lb.toml", at("lb.toml")).unwrap();
        until_served(&bench, &["s5"]).await;
        fs::write(at("elsewhere/lb.toml"), lb(&servers(&["s6"]))).unwrap();
        until_served(&bench, &["s6"]).await;
        bench.stop().await;
    });
}

#[test]
fn file_that_comes_to_a_directory_is_seen() {
    run(async {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("10.toml"), lb(&servers(&["s1"]))).unwrap();
        let bench = Bench::start(file(temp.path().to_owned())).await;
        let more = "[[backend]]\nname = \"more\"\nserver = \"127.0.0.1:9\"\n";
        fs::write(temp.path().join("20.toml"), more).unwrap();
        let backends = || bench.control.generation().backends.len();
        until("two backends", async || backends() == 2).await;
        fs::remove_file(temp.path().join("20.toml")).unwrap();
        until("one backend", async || backends() == 1).await;
        bench.stop().await;
    });
}

#[test]
fn bad_server_file_keeps_the_last_set_and_an_empty_one_means_none() {
    run(async {
        let temp = tempfile::tempdir().unwrap();
        let (main, nodes) = (temp.path().join("lb.toml"), temp.path().join("nodes.toml"));
        fs::write(&nodes, servers(&["n1"])).unwrap();
        fs::write(&main, with_nodes(&nodes)).unwrap();
        let bench = Bench::start(file(main.clone())).await;
        for bad in [
            "server = [",
            "server = [{ adress = \"10.0.0.1:80\" }]",
            "[x]",
        ] {
            fs::write(&nodes, bad).unwrap();
            let report = bench.control.reload(asked()).await.unwrap();
            assert!(
                report.warnings[0].contains("the last good set stays"),
                "{report:?}"
            );
            assert_eq!(bench.servers(), ["n1"]);
        }
        fs::remove_file(&nodes).unwrap();
        let report = bench.control.reload(asked()).await.unwrap();
        assert!(report.warnings[0].contains("cannot read"), "{report:?}");
        assert_eq!(bench.servers(), ["n1"]);
        let [row] = &bench.control.sources()[..] else {
            panic!("one source");
        };
        assert_eq!(row.source, format!("file:{}", nodes.display()));
        assert_eq!((row.state, row.members.len()), (Condition::Lost, 1));
        let error = row.error.as_deref().unwrap_or_default();
        assert!(error.starts_with("cannot read"), "{row:?}");
        // Who follows the files may have seen them too.
        assert!(
            row.changes_total == 1 && row.errors_total["local"] >= 4,
            "{row:?}"
        );
        for names in [&[][..], &["n2"], &[]] {
            fs::write(&nodes, servers(names)).unwrap();
            until_served(&bench, names).await;
        }
        let row = || bench.control.sources().swap_remove(0);
        until("no members", async || row().members.is_empty()).await;
        assert_eq!(row().state, Condition::Up);
        assert!(row().error.is_none() && row().age.is_some(), "{:?}", row());
        // Of no use any more.
        fs::write(&main, lb(&servers(&["s1"]))).unwrap();
        bench.control.reload(asked()).await.unwrap();
        until("no row", async || bench.control.sources().is_empty()).await;
        bench.stop().await;
    });
}

#[test]
fn server_file_that_is_being_written_is_not_taken_for_empty() {
    run(async {
        let temp = tempfile::tempdir().unwrap();
        let (main, nodes) = (temp.path().join("lb.toml"), temp.path().join("nodes.toml"));
        fs::write(&nodes, servers(&["n1"])).unwrap();
        fs::write(&main, with_nodes(&nodes)).unwrap();
        let bench = Bench::start(file(main)).await;
        // Emptied, and written a moment later.
        fs::write(&nodes, "").unwrap();
        let (report, ()) = tokio::join!(bench.control.reload(asked()), async {
            tokio::task::yield_now().await;
            fs::write(&nodes, servers(&["n1", "n2"])).unwrap();
        });
        assert_eq!(report.unwrap().changed, ["web/n2 added"]);
        let history = bench.control.history();
        assert!(
            history.iter().all(|row| !row.summary.contains("removed")),
            "{history:?}"
        );
        bench.stop().await;
    });
}

#[test]
fn bad_configuration_is_refused_with_all_that_is_wrong() {
    run(async {
        let temp = tempfile::tempdir().unwrap();
        let main = temp.path().join("lb.toml");
        let good = lb(&servers(&["s1"]));
        fs::write(&main, &good).unwrap();
        let bench = Bench::start(file(main.clone())).await;
        let before = bench.control.generation().id;
        let bad = "retires = 3\npool_max = -1\nserver = \"127.0.0.1:9\"";
        fs::write(&main, lb(bad)).unwrap();
        let refused = bench.control.reload(asked()).await.unwrap_err();
        assert!(
            refused.contains("retires") && refused.contains("pool_max"),
            "{refused}"
        );
        assert!(refused.contains("retries"), "a suggestion: {refused}");
        assert_eq!(bench.servers(), ["s1"]);
        // A bind that another has.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let other = lb(&servers(&["s2"])).replace("127.0.0.1:0", &address);
        fs::write(&main, other).unwrap();
        let refused = bench.control.reload(asked()).await.unwrap_err();
        assert!(refused.contains(&address), "{refused}");
        assert_eq!(bench.servers(), ["s1"]);
        fs::write(&main, &good).unwrap();
        let report = bench.control.reload(asked()).await.unwrap();
        assert!(report.changed.is_empty(), "{report:?}");
        assert_eq!(
            bench.control.generation().id,
            before,
            "nothing was published"
        );
        bench.stop().await;
    });
}

#[test]
fn reload_says_what_changed_what_is_overridden_and_what_needs_a_restart() {
    run(async {
        let temp = tempfile::tempdir().unwrap();
        let main = temp.path().join("lb.toml");
        fs::write(&main, lb(&servers(&["s1", "s2"]))).unwrap();
        let bench = Bench::start(file(main.clone())).await;
        let control = &bench.control;
        let ten = WeightChange::Absolute(10);
        control.set_weight("web", "s1", ten).await.unwrap();
        let text =
            lb(&servers(&["s1", "s3"])).replace("name = \"s1\",", "name = \"s1\", weight = 20,");
        let text = text.replace("[global]", "[global]\nworkers = 7\ndrain_timeout = \"5s\"");
        fs::write(&main, text).unwrap();
        let report = control.reload(asked()).await.unwrap();
        let changed = [
            "global: drain_timeout",
            "web/s2 removed",
            "web/s1: settings",
            "web/s3 added",
        ];
        assert_eq!(report.changed, changed);
        assert_eq!(
            report.warnings,
            ["web/s1: weight 20 in the file, 10 set at run time 0s ago ('clear override web/s1')"]
        );
        assert_eq!(report.needs_restart, ["global.workers"]);
        let again = control.reload(asked()).await.unwrap();
        assert_eq!(again.changed, [""; 0]);
        assert_eq!(again.warnings, report.warnings);
        assert_eq!(again.needs_restart, ["global.workers"]);
        control.clear_override("web", "s1").await.unwrap();
        assert_eq!(control.generation().backends[0].servers[0].weight, 20);
        bench.stop().await;
    });
}

#[test]
fn frontends_and_binds_come_and_go_with_the_file() {
    run(async {
        let temp = tempfile::tempdir().unwrap();
        let main = temp.path().join("lb.toml");
        let origin = Origin::new("a").await;
        let good = lb(&format!("server = \"{}\"", origin.address));
        fs::write(&main, &good).unwrap();
        let bench = Bench::start(file(main.clone())).await;
        let control = &bench.control;
        let before = bench.address();
        let more =
            "[[frontend]]\nname = \"more\"\nbind = \"127.0.0.1:0\"\ndefault_backend = \"web\"\n";
        fs::write(&main, good.clone() + more).unwrap();
        let report = control.reload(asked()).await.unwrap();
        assert_eq!(report.changed, ["frontend more added"]);
        assert_eq!(control.addresses().len(), 2);
        // Another mode is another frontend, whose socket must be opened anew.
        let tcp = good.replace("name = \"www\"", "name = \"www\"\nmode = \"tcp\"");
        let tcp = tcp.replace("name = \"web\"", "name = \"web\"\nmode = \"tcp\"");
        fs::write(&main, tcp).unwrap();
        control.reload(asked()).await.unwrap();
        assert_eq!(control.addresses().len(), 1);
        assert_ne!(bench.address(), before);
        assert_eq!(bench.answers(2).await, ["a", "a"]);
        bench.stop().await;
    });
}
