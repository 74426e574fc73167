//! Shares of groups from Consul's store.

use super::*;

/// Shares of versions are written key by key, cut off, deleted and written again.
pub(super) fn shares_that_are_half_written_stop_no_traffic(consul: Consul) {
    let (old, new) = (Origin::ok("old"), Origin::ok("new"));
    let listen = |name: &str, weights: &str| {
        format!(
            "[[listen]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nserver = [\
             {{ name = \"old\", address = \"{}\", group = \"v0\" }},\
             {{ name = \"new\", address = \"{}\", group = \"v1\" }}]\n\
             [listen.groups]\nby = \"tag:version\"\nweights.{weights}\n",
            old.addr(),
            new.addr()
        )
    };
    let key = |version: &str| format!("/v1/kv/goat/version={version}/weight");
    let put = |path: &str, value: &str| consul.put(path, value);
    let delete = |path: &str| assert_eq!(consul.ask("DELETE", path, "").0, 200);
    put(&key("v0"), "80");
    put(&key("v1"), "20");
    const JSON: &str = "/v1/kv/goat-shares";
    put(JSON, r#"{"v0": 80, "v1": 20}"#);
    // Whoever writes slowly is waited for this long.
    let lb = Lb::start_whole(&format!(
        "[global]\nworkers = 1\nadmin = \"\"\n[discovery]\ncoalesce = \"500ms\"\n\
         max_delay = \"5s\"\n[discovery.consul]\naddress = \"http://{}\"\nwait = \"10s\"\n{}{}",
        consul.addr(),
        listen("keys", "consul_kv = \"goat/version={group}/weight\""),
        listen("json", "consul_kv_json = \"goat-shares\""),
    ));
    let (keys, json) = (lb.addr_of("keys"), lb.addr_of("json"));
    until_shared(keys, 8, 2);
    until_shared(json, 8, 2);
    served_throughout(&[keys, json], || {
        put(&key("v0"), "100");
        put(&key("v1"), "0");
        put(JSON, r#"{"v0": 100, "v1": 0}"#);
        until_shared_with_others(keys, &["old"]);
        until_shared_with_others(json, &["old"]);
        // In the order that leaves nobody in between.
        put(&key("v0"), "0");
        put(&key("v1"), "100");
        put(JSON, r#"{"v0": 0, "v"#);
        until_shared_with_others(keys, &["new"]);
        put(JSON, r#"{"v0": 0, "v1": 100}"#);
        until_shared_with_others(json, &["new"]);
        // As who empties a folder before it fills it.
        for path in [&*key("v0"), &key("v1"), JSON] {
            delete(path);
        }
        put(&key("v1"), "3");
        put(&key("v0"), "7");
        put(
            JSON,
            r#"{"version=v1": {"weight": 30}, "version=v0": {"weight": 70}}"#,
        );
        until_shared_with_others(keys, &["new", "old"]);
        until_shared_with_others(json, &["new", "old"]);
    });
    until_shared(keys, 7, 3);
    until_shared(json, 7, 3);
    // No number: what was good stays.
    served_throughout(&[keys, json], || {
        put(&key("v0"), "half");
        put(JSON, "");
        dawdle(Duration::from_secs(1));
    });
    until_shared(keys, 7, 3);
    until_shared(json, 7, 3);
    put(&key("v0"), "1");
    put(&key("v1"), "9");
    put(JSON, r#"{"v0": 1, "v1": 9}"#);
    until_shared(keys, 1, 9);
    until_shared(json, 1, 9);
}

/// Waits until of ten requests so many go here and there.
#[track_caller]
fn until_shared(addr: SocketAddr, old: usize, new: usize) {
    let expected = [("new", new), ("old", old)].map(|(name, n)| (name.to_owned(), n));
    let expected = BTreeMap::from(expected);
    wait_until(PATIENCE, &format!("shares {old} to {new}"), || {
        answers(addr, 10) == expected
    });
}
