//! rlb outside the containers' networks: published ports, of one engine and of two.

use super::{Bench, traffic_while};
use crate::support::docker::endpoint;
use crate::support::real::{self, RealDocker};
use crate::support::{PATIENCE, Rlb, free_addr, wait_until};

#[test]
fn published_ports_of_containers_are_servers() {
    let Some(docker) = real::docker() else { return };
    publish(&docker, "pub-1");
    let hidden = ["run", "-d", "--name", "hidden"];
    docker.docker(hidden.iter().chain(&["--label", "rlb.backend=pub", "web"]));
    let sources = "{ docker = \"web\" }, { docker = \"hidden\" }";
    let lb = before(&docker, &endpoint_list(&[&docker]), sources);
    wait_until(PATIENCE, "the published one", || lb.ask("any") == "pub-1");
    let sources = lb.ctl(&["show", "sources"]);
    assert!(sources.contains("pub-1 127.0.0.1:"), "{sources}");
    assert!(
        sources.contains("left out: hidden: no published TCP port"),
        "{sources}"
    );
}

#[test]
fn two_engines_are_one_set_and_the_lost_one_keeps_its_members() {
    let Some(here) = real::docker() else { return };
    let mut there = here.beside();
    let names = ["web-1", "web-2", "web-3", "web-4", "web-5"];
    for (name, engine) in names.iter().zip([&here, &here, &there, &there, &there]) {
        publish(engine, name);
    }
    let lb = before(
        &here,
        &endpoint_list(&[&here, &there]),
        "{ docker = \"web\" }",
    );
    lb.wait_usable("pub", 5);
    let who = || {
        let mut who: Vec<_> = (0..10).map(|_| lb.ask("any")).collect();
        who.sort();
        who.dedup();
        who
    };
    wait_until(PATIENCE, "all five", || who() == names);

    let met = traffic_while(lb.addr, "any", || {
        there.docker(["stop", "web-3"]);
        lb.wait_usable("pub", 4);
        there.docker(["start", "web-3"]);
        lb.wait_usable("pub", 5);
    });
    assert!(
        met.failed.is_empty() && met.ok > 10,
        "{met:?}\n{}",
        lb.rlb.stderr()
    );
    // Docker's proxies of its ports end with it: their servers fail their checks, and
    // stay members.
    there.go_down();
    wait_until(PATIENCE * 2, "three down", || {
        let text = lb.ctl(&["--raw", "show", "stat"]);
        let rows = text.lines().filter(|row| row.starts_with("pub,web-"));
        rows.filter(|row| row.contains(",DOWN,")).count() == 3
    });
    let sources = lb.ctl(&["show", "sources"]);
    assert!(
        sources.contains("LOST") && sources.contains("5 members"),
        "{sources}"
    );
    let met = traffic_while(lb.addr, "any", || {
        // What is still followed is followed on.
        here.docker(["stop", "web-1"]);
        lb.wait_usable("pub", 1);
        here.docker(["start", "web-1"]);
        lb.wait_usable("pub", 2);
    });
    assert!(
        met.failed.is_empty() && met.ok > 10,
        "{met:?}\n{}",
        lb.rlb.stderr()
    );
    there.come_up();
    lb.wait_usable("pub", 5);
    wait_until(PATIENCE, "all five again", || who() == names);
    // It is asked again more and more seldom.
    wait_until(PATIENCE * 4, "it is found again", || {
        !lb.ctl(&["show", "sources"]).contains("LOST")
    });
}

/// Runs a container of the service `web` whose port is published on the host.
fn publish(docker: &RealDocker, name: &str) {
    let service = "com.docker.compose.service=web";
    // Of our own choice: engines hand out one after the other, each for itself.
    let port = format!("{}:80", free_addr().port());
    let words = ["run", "-d", "-p", &port, "--name", name, "--hostname", name];
    docker.docker(words.iter().chain(&["--label", service, "web"]));
}

fn endpoint_list(engines: &[&RealDocker]) -> String {
    let all = engines
        .iter()
        .map(|engine| format!("{:?}", endpoint(&engine.socket())));
    format!("[{}]", all.collect::<Vec<_>>().join(", "))
}

/// rlb on the host, with the backend `pub` of these sources.
fn before<'a>(docker: &'a RealDocker, endpoints: &str, sources: &str) -> Bench<'a> {
    let (addr, admin) = (free_addr(), docker.socket().with_file_name("admin.sock"));
    let config = format!(
        "[global]\nworkers = 2\nadmin = \"{}\"\n\
         [discovery.docker]\nendpoint = {endpoints}\naddress = \"published\"\n\
         [[listen]]\nname = \"pub\"\nbind = \"{addr}\"\nsource = [{sources}]\n",
        admin.display(),
    );
    let rlb = Rlb::with(config)
        .env("RUST_LOG", "info")
        .ready_on(addr)
        .start();
    Bench {
        docker,
        rlb,
        addr,
        admin,
    }
}
