//! What cannot be meant.

use super::*;

#[test]
fn names_that_lead_nowhere() {
    let text = r#"[[frontend]]
name = "web"
bind = ":80"
default_backend = "ndoes"
[[frontend.route]]
host = "a.example"
backend = "db"

[[backend]]
name = "nodes"
[[backend]]
name = "db"
mode = "tcp"
"#;
    assert_eq!(
        refusal(text).render(false),
        r#"error: unknown backend `ndoes`
 --> lb.toml:4:19
  |
4 | default_backend = "ndoes"
  |                   ^^^^^^^ did you mean `nodes`?

error: `db` is in tcp mode, its frontend in http
  --> lb.toml:7:11
   |
 7 | backend = "db"
   |           ^^^^ used in http mode
...
13 | mode = "tcp"
   |        ----- this backend is in tcp mode
   |
   = help: write mode = "http" in the backend, or "tcp" in the frontend

2 problems
"#
    );
}

#[test]
fn what_cannot_stand_together() {
    for (text, expected) in [
        (
            "[[backend]]\nname = \"a\"\n[[listen]]\nname = \"a\"\nbind = \":80\"\n",
            "lb.toml:4:8: two backends are called `a`",
        ),
        (
            "[[backend]]\nname = \"a\"\nserver = [\"10.0.0.1:80\", \"10.0.0.1:80\"]\n",
            "lb.toml:3:26: two servers are called `10.0.0.1:80`",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = [\":80\"]\n[[listen]]\nname = \"b\"\nbind = \"[::]:80\"\n",
            "lb.toml:6:8: two binds listen on the same address",
        ),
        (
            "[[listen]]\nname = \"a\"\nmode = \"tcp\"\nbind = { address = \":80\", defer_accept = \"5s\" }\n",
            "lb.toml:4:27: `defer_accept` would delay or lose such connections",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = { address = \":80\", mode = \"0600\" }\n",
            "lb.toml:3:27: `mode` does not apply to this address",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = { address = \"unix:/x\", nodelay = false }\n",
            "lb.toml:3:31: `nodelay` does not apply to this address",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = { address = \":80\", keepalive = \"1500ms\" }\n",
            "lb.toml:3:39: `keepalive` takes \"off\" or a duration in whole seconds, 1s to 9h",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = []\n",
            "lb.toml:3:8: a frontend listens on at least one address",
        ),
        (
            "[[listen]]\nname = \"a\"\nmode = \"tcp\"\nbind = \":80\"\nroute = { host = \"x\", backend = \"a\" }\n",
            "lb.toml:5:11: `host` is a condition of requests, and tcp mode has none: it routes by sni and alpn",
        ),
        (
            "[[listen]]\nname = \"a\"\nmode = \"tcp\"\nbind = \":80\"\nroute = { backend = \"a\" }\n",
            "lb.toml:5:9: a route without a condition takes every connection",
        ),
        (
            "[[listen]]\nname = \"a\"\nmode = \"tcp\"\nbind = \":80\"\nroute = { sni = \"10.0.0.1\", backend = \"a\" }\n",
            "lb.toml:5:17: `sni` takes a host: \"demo.example.com\" or \"*.example.com\"",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nroute = { sni = \"x\", backend = \"a\" }\n",
            "lb.toml:4:11: `sni` is a condition of tcp mode: http mode routes by host",
        ),
        (
            "[[listen]]\nname = \"a\"\nmode = \"tcp\"\nbind = \":80\"\nroute = { alpn = \"h 2\", backend = \"a\" }\n",
            "lb.toml:5:18: `alpn` takes a protocol of ALPN, such as \"h2\"",
        ),
        (
            "[[listen]]\nname = \"a\"\nmode = \"tcp\"\nbind = { address = \":80\", tls = true }\nroute = { sni = \"x\", backend = \"a\" }\ntls = { certificates = [\"x\"] }\n",
            "lb.toml:4:8: routes of tcp mode look at TLS that is passed through",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nroute = { backend = \"a\" }\n",
            "lb.toml:4:9: a route without a condition takes every request",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nroute = { host = \"x\" }\n",
            "lb.toml:4:9: [[frontend.route]] needs `backend`",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nroute = { host = \"x\", deny = false }\n",
            "lb.toml:4:9: [[frontend.route]] needs `backend`",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nroute = { host = \"x\", deny = 401 }\n",
            "lb.toml:4:30: a request cannot be refused with 401",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nroute = { host = \"x\", deny = 600 }\n",
            "lb.toml:4:30: `deny` takes true, false or a number, 200 to 504",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nroute = { host = \"x\", deny = true, backend = \"a\" }\n",
            "lb.toml:4:23: a route has a `backend`, or it denies",
        ),
        (
            "[[listen]]\nname = \"a\"\nmode = \"tcp\"\nbind = \":80\"\nroute = { sni = \"x\", deny = 403 }\n",
            "lb.toml:5:29: tcp mode has no answer to put a status in",
        ),
        (
            "[[backend]]\nname = \"a\"\nmode = \"tcp\"\ncheck = { path = \"/\" }\n",
            "lb.toml:4:11: a tcp check has no `path`: it only connects",
        ),
        (
            "[[backend]]\nname = \"a\"\nserver = { address = \"10.0.0.1:80\", check = true }\n",
            "lb.toml:3:37: the backend has no check this server could have",
        ),
        (
            "[[backend]]\nname = \"a\"\nserver = { address = \"unix:/x\", check_port = 80 }\n",
            "lb.toml:3:10: half an address for the checks of a Unix socket",
        ),
        (
            "[[backend]]\nname = \"a\"\nserver = { name = \"BACKEND\", address = \"10.0.0.1:80\" }\n",
            "lb.toml:3:19: `name` takes a name of the characters A-Z a-z 0-9 _ . : -",
        ),
        (
            "[global]\nadmin = { bind = \"0.0.0.0:9999\" }\n",
            "lb.toml:2:18: an admin socket has no password: others could reach this one",
        ),
        (
            "[global]\nadmin = { path = \"/x\", bind = \"127.0.0.1:9999\" }\n",
            "lb.toml:2:9: an admin socket has a `path` or a `bind`",
        ),
        (
            "[[backend]]\nname = \"a\"\nsource = {}\n",
            "lb.toml:3:10: a source is named by one key",
        ),
        (
            "[[backend]]\nname = \"a\"\nprotocol = \"h2\"\ncheck = { path = \"/\" }\n",
            "lb.toml:4:11: a tcp check has no `path`: it only connects",
        ),
        (
            "[[backend]]\nname = \"a\"\ncheck = { type = \"grpc\", path = \"/\" }\n",
            "lb.toml:3:26: a grpc check has no `path`: it asks grpc.health.v1.Health for SERVING",
        ),
        (
            "[[backend]]\nname = \"a\"\ncheck = { service = \"x\" }\n",
            "lb.toml:3:11: an http check has no `service`",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = { address = \":443\", tls = true, protocol = \"h2\" }\ntls = { certificates = \"a.pem\" }\nserver = \"10.0.0.1:80\"\n",
            "lb.toml:3:40: with `tls` clients say what they speak",
        ),
        (
            "[[backend]]\nname = \"a\"\ncheck = { expect = [] }\n",
            "lb.toml:3:20: a check expects at least one status code",
        ),
        (
            "[[backend]]\nname = \"a\"\ncheck = { headers = { Host = \"x\" } }\n",
            "lb.toml:3:23: `Host` cannot be a field of a check",
        ),
        ("[[backend]]\n", "lb.toml:1:1: [[backend]] needs `name`"),
    ] {
        assert_eq!(summaries(text), [expected], "{text}");
    }
}

#[test]
fn groups_name_what_is_wrong_with_them() {
    for (keys, expected) in [
        ("missing = 1", "3:1: [backend.groups] needs `weights`"),
        ("weights = {}", "4:11: weights are named by one key"),
        (
            "weights = { file = \"w\", consul_kv_json = \"w\" }",
            "4:25: weights come from one place",
        ),
        (
            "weights.static = { \"0.0.1\" = 0.5 }",
            "4:30: `0.0.1` takes a number, 0 to 1000000",
        ),
        (
            "weights.static = { \"\" = 5 }",
            "4:20: `` cannot be a group",
        ),
        (
            "weights.consul_kv = \"goat/weight\"",
            "4:21: `consul_kv` takes a key with {group} in place of the name",
        ),
        (
            "weights.consul_kv = \"{group}\"",
            "4:21: `consul_kv` takes a key with {group} in place of the name",
        ),
        (
            "weights.consul_kv_json = \"/goat\"",
            "4:26: `consul_kv_json` takes a key",
        ),
        (
            "by = \"version\"\nweights.static = {}",
            "4:6: `by` takes \"tag:word\", \"meta:key\" or \"label:name\"",
        ),
        (
            "by = \"tag:version=\"\nweights.static = {}",
            "4:6: `by` takes \"tag:word\", \"meta:key\" or \"label:name\"",
        ),
    ] {
        let text = format!("[[backend]]\nname = \"a\"\n[backend.groups]\n{keys}\n");
        assert_eq!(summaries(&text), [format!("lb.toml:{expected}")], "{keys}");
    }
}

#[test]
fn the_proxy_protocol_is_accepted_in_binds_and_sent_by_backends() {
    let listen = |bind: &str, more: &str| {
        format!("[[listen]]\nname = \"a\"\nbind = [{{ {bind} }}]\n{more}\n")
    };
    let accepted = |address: &str, value: &str| {
        listen(
            &format!("address = \"{address}\", proxy_protocol = {value}"),
            "",
        )
    };
    let sent = |value: &str| listen("address = \":80\"", &format!("proxy_protocol = {value}"));
    for (text, expected) in [
        (accepted(":80", "\"v2\""), "not a network"),
        (accepted(":80", "{ trusted = [] }"), "proxy_protocol = true"),
        (accepted(":80", "{ trusted = \"10/8\" }"), "a network"),
        (
            accepted("unix:/run/a", "\"10.0.0.0/8\""),
            "the peers of a Unix socket lie in no network",
        ),
        (sent("true"), "\"off\", \"v1\" or \"v2\""),
        (
            sent("\"v3\""),
            "\"off\", \"v1\" or \"v2\"",
        ),
        (
            listen("address = \":80\", accept-proxy = true", ""),
            "proxy_protocol = true",
        ),
        (
            "[[backend]]\nname = \"a\"\nserver = { address = \"10.0.0.1:80\", send-proxy-v2 = true }\n"
                .to_owned(),
            "proxy_protocol = \"v1\" or \"v2\"",
        ),
        (
            listen("address = \":80\", proxyProtocol = { trustedIPs = [\"10.0.0.0/8\"] }", ""),
            "proxy_protocol",
        ),
    ] {
        let errors = refusal(&text);
        assert_eq!(errors.errors().len(), 1, "{errors}");
        let shown = errors.render(false);
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

#[test]
fn logs_and_monitors_say_what_they_take() {
    let listen = "[[listen]]\nname = \"a\"\nbind = \":80\"\nserver = \"10.0.0.1:80\"\n";
    let monitor = |below: &str| {
        format!("{listen}monitor = {{ path = \"/h\", fail_below = {{ {below} }} }}\n")
    };
    for (text, expected) in [
        ("log = \"syslog\"\n".to_owned(), "syslog:/dev/log"),
        ("log = \"file:here\"\n".to_owned(), "file:/var/log/rlb.log"),
        (
            "log = \"syslog:udp:loghost\"\n".to_owned(),
            "syslog:udp:10.0.0.9:514",
        ),
        (
            "[[log]]\ntarget = \"stdout\"\ntag = \"a b\"\n".to_owned(),
            "cannot be a tag",
        ),
        (
            "log = [\"stdout\", \"stdout\"]\n".to_owned(),
            "written twice",
        ),
        (monitor("b = 1"), "unknown backend `b`"),
        (monitor("a = 0"), "1 to 1000000"),
    ] {
        let errors = refusal(&text);
        assert_eq!(errors.errors().len(), 1, "{errors}");
        assert!(errors.render(false).contains(expected), "{errors}");
    }
}

#[test]
fn sources_and_registrations_that_cannot_be_meant_are_refused() {
    for (text, expected) in [
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nsource = [{ consul = \"web\", file = \"x\" }]\n",
            "a source is named by one key",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nsource = [{ file = \"x\", tags = \"v1\" }]\n",
            "`tags` does not filter a file source",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nsource = [{ consul = \"we b\" }]\n",
            "is not a name of Consul",
        ),
        (
            "[[listen]]\nname = \"web\"\nbind = \":80\"\n[[register]]\nconsul = \"lb\"\naddress = \"10.0.0.1:80\"\nfrontend = \"wed\"\n",
            "unknown frontend `wed`",
        ),
        (
            "[discovery.backoff]\nmin = \"1s\"\nmax = \"500ms\"\n",
            "the longest wait is shorter than the first",
        ),
        ("[defaults]\npanic = \"101%\"\n", "\"101%\" is not a share"),
    ] {
        let errors = refusal(text).render(false);
        assert!(errors.contains(expected), "{text}\n{errors}");
    }
}

#[test]
fn steering_without_a_password_is_refused() {
    for text in [
        "[stats]\nbind = \"127.0.0.1:9000\"\nadmin = true\n",
        "[[listen]]\nname = \"w\"\nbind = \":80\"\nserver = \"10.0.0.1:80\"\nstats = { path = \"/s\", admin = true }\n",
    ] {
        let text = refusal(text).render(false);
        assert!(
            text.contains("admin = true needs `auth` or `auth_file`"),
            "{text}"
        );
    }
}

#[test]
fn passwords_others_could_guess_or_read_are_warned_about() {
    let stats = |bind: &str, auth: &str| {
        let text = format!(
            "[[listen]]\nname = \"w\"\nbind = \":80\"\nserver = \"10.0.0.1:80\"\n\
             [stats]\nbind = \"{bind}\"\n{auth}\n"
        );
        warnings(&text)
    };
    let plain = "auth = \"ann:tr0ub4dor\"";
    assert_eq!(stats("127.0.0.1:9000", plain), [""; 0]);
    for (auth, word) in [
        (plain, "plain text"),
        ("auth = \"admin:admin\"", "tries first"),
        ("", "anybody"),
    ] {
        let warnings = stats(":9000", auth);
        assert!(
            warnings.len() == 1 && warnings[0].contains(word),
            "{warnings:?}"
        );
        assert!(!warnings[0].contains("tr0ub4dor"));
    }
    let hash = "auth = \"ann:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\"";
    assert_eq!(stats(":9000", hash), [""; 0]);
}
