//! Short forms, long forms, defaults, environment.

use super::*;

#[test]
fn the_smallest_file() {
    let text = r#"
[[listen]]
name = "web"
bind = ":80"
server = ["10.0.0.11:80", "10.0.0.12:80"]
"#;
    let server = |text: &str| Server::new(text, ServerAddress::Ip(text.parse().unwrap()));
    let expected = Config {
        global: Global {
            admin: vec![AdminSocket::default()],
            ..Global::default()
        },
        frontends: vec![Frontend {
            binds: vec![Bind::default()],
            default_backend: Some(0),
            ..Frontend::new("web", Mode::Http)
        }],
        backends: vec![Backend {
            servers: vec![server("10.0.0.11:80"), server("10.0.0.12:80")],
            ..Backend::new("web", Mode::Http)
        }],
        ..Config::default()
    };
    assert_eq!(config(text), expected);
    assert_eq!(warnings(text), [""; 0]);
}

#[test]
fn short_and_long_forms_are_the_same() {
    let short = r#"
[global]
admin = "/run/a.sock"
[[listen]]
name = "web"
bind = ":80"
server = "10.0.0.11:80"
check = true
route = { host = "a.example", method = "GET", header = "x-canary", backend = "web" }
source = { file = "nodes.toml" }
forwarded = { trusted = "10.0.0.0/8" }
"#;
    let long = r#"
[global]
workers = "auto"
maxconn = "auto"
[[global.admin]]
path = "/run/a.sock"
mode = "0600"
level = "admin"

[[frontend]]
name = "web"
mode = "http"
default_backend = "web"
maxconn = "auto"
[[frontend.bind]]
address = "*:80"
keepalive = "off"
[[frontend.route]]
host = "A.example"
method = ["GET"]
backend = "web"
[[frontend.route.header]]
name = "X-Canary"
[frontend.forwarded]
trusted = ["10.0.0.0/8"]
port = true
[frontend.limits]
body = "off"

[[backend]]
name = "web"
balance = "roundrobin"
[[backend.server]]
name = "10.0.0.11:80"
address = "10.0.0.11:80"
[[backend.source]]
file = "nodes.toml"
[backend.check]
type = "http"
method = "HEAD"
path = "/"
host = ""
expect = "200-399"
"#;
    assert_eq!(config(short), config(long));
}

#[test]
fn a_check_by_mode() {
    let check = |text: &str| config(text).backends.remove(0).check;
    let of_mode = |mode: &str, check: &str| {
        format!("[[backend]]\nname = \"b\"\nmode = \"{mode}\"\ncheck = {check}\n")
    };
    let http = Check {
        probe: Probe::http(),
        ..Check::default()
    };
    assert_eq!(check(&of_mode("http", "true")), Some(http.clone()));
    assert_eq!(check(&of_mode("tcp", "true")), Some(Check::default()));
    assert_eq!(check(&of_mode("http", "false")), None);
    assert_eq!(check(&of_mode("tcp", "{ type = \"http\" }")), Some(http));
    let slow = check(&of_mode(
        "tcp",
        "{ interval = \"5s\", fast_interval = \"1s\" }",
    ))
    .unwrap();
    let seconds = Duration::from_secs;
    assert_eq!(
        (
            slow.interval,
            slow.fast_interval,
            slow.down_interval,
            slow.timeout
        ),
        (seconds(5), seconds(1), seconds(5), seconds(5))
    );
    let expect = check(&of_mode("http", "{ expect = [200, \"204-206\"] }")).unwrap();
    let Probe::Http { expect, .. } = expect.probe else {
        panic!("not http");
    };
    assert_eq!(expect, [200..=200, 204..=206]);
}

#[test]
fn defaults_fill_whole_values_and_tables_key_by_key() {
    let text = r#"
[defaults]
retries = 1
maxconn = 100
default_backend = "a"
[defaults.timeouts]
client = "1s"
server = "2s"
tunnel = "3s"
[defaults.limits]
head = "8KiB"
[defaults.check]
path = "/health"
interval = "9s"
headers = { X-A = "1", X-B = "2" }
[defaults.forwarded]
trusted = ["10.0.0.0/8"]
via = "edge"

[[frontend]]
name = "web"
bind = ":80"
timeouts = { client = "4s" }
forwarded = { trusted = [], for = "off" }

[[backend]]
name = "a"
timeouts = { connect = "6s", tunnel = "7s" }
check = { rise = 9, headers = { X-B = "3" } }

[[backend]]
name = "b"
retries = 0
check = false
"#;
    let config = config(text);
    let seconds = Duration::from_secs;
    let frontend = &config.frontends[0];
    assert_eq!(frontend.maxconn, Some(100));
    assert_eq!(frontend.default_backend, Some(0));
    assert_eq!(frontend.timeouts.client, seconds(4));
    assert_eq!(frontend.timeouts.tunnel, seconds(3));
    assert_eq!(frontend.limits.head, 8 << 10);
    assert_eq!(frontend.forwarded.trusted, []);
    assert_eq!(frontend.forwarded.via.as_deref(), Some("edge"));
    assert_eq!(frontend.forwarded.for_, ForwardedFor::Off);
    let [a, b] = &config.backends[..] else {
        panic!("not two");
    };
    assert_eq!((a.retries, b.retries), (1, 0));
    assert_eq!(a.timeouts.connect, seconds(6));
    assert_eq!(a.timeouts.server, seconds(2));
    assert_eq!(
        (a.timeouts.tunnel, b.timeouts.tunnel),
        (Some(seconds(7)), None)
    );
    assert_eq!(a.limits.head, 8 << 10);
    let check = a.check.as_ref().unwrap();
    assert_eq!((check.interval, check.rise), (seconds(9), 9));
    let Probe::Http { path, headers, .. } = &check.probe else {
        panic!("not http");
    };
    assert_eq!(path, "/health");
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(headers, &[field("X-B", "3"), field("X-A", "1")]);
    assert_eq!(b.check, None);
}

#[test]
fn no_admin_socket_but_by_default() {
    assert_eq!(config("").global.admin, [AdminSocket::default()]);
    assert_eq!(config("global = { admin = \"\" }").global.admin, []);
    assert_eq!(config("global = { admin = [] }").global.admin, []);
}

#[test]
fn sections_keep_the_order_of_the_file() {
    let text = r#"
[[listen]]
name = "a"
bind = ":1"
[[backend]]
name = "b"
[[frontend]]
name = "c"
bind = ":2"
default_backend = "b"
[[listen]]
name = "d"
bind = ":3"
"#;
    let config = config(text);
    let frontends: Vec<_> = config
        .frontends
        .iter()
        .map(|f| (&*f.name, f.default_backend))
        .collect();
    let backends: Vec<_> = config.backends.iter().map(|b| &*b.name).collect();
    assert_eq!(frontends, [("a", Some(0)), ("c", Some(1)), ("d", Some(2))]);
    assert_eq!(backends, ["a", "b", "d"]);
}

#[test]
fn the_environment_is_expanded_and_never_repeated() {
    let environment = |name: &str| match name {
        "WORKERS" => Some("3".to_owned()),
        "PIN" => Some("true".to_owned()),
        "PORT" => Some("8080".to_owned()),
        "SECRET" => Some("hunter2".to_owned()),
        _ => None,
    };
    let text = r#"
[global]
workers = "${WORKERS}"
pin = "${PIN}"
[[listen]]
name = "web"
bind = "127.0.0.1:${PORT}"
server = "${SERVER:-10.0.0.1:80}"
check = { headers = { Authorization = "$$ ${SECRET}" } }
"#;
    let loaded = Config::parse_with("lb.toml", text, &environment).unwrap();
    assert_eq!(loaded.config.global.workers, Some(3));
    assert!(loaded.config.global.pin);
    assert_eq!(&*loaded.config.backends[0].servers[0].name, "10.0.0.1:80");
    let Some(Probe::Http { headers, .. }) =
        loaded.config.backends[0].check.clone().map(|c| c.probe)
    else {
        panic!("not http");
    };
    assert_eq!(headers[0].1, "$ hunter2");
    let mut expanded = loaded.expanded;
    expanded.sort();
    assert_eq!(expanded, ["3", "8080", "hunter2", "true"]);

    let bad =
        "[global]\nuser = \"a/${SECRET}\"\nworkers = \"${SECRET}\"\ngroup = \"x ${MISSING} ${\"\n";
    let errors = Config::parse_with("lb.toml", bad, &environment).unwrap_err();
    assert_eq!(
        errors.render(false),
        r#"error: `user` takes a name or number, "" for none
 --> lb.toml:2:8
  |
2 | user = "a/${SECRET}"
  |        ^^^^^^^^^^^^^ what the environment makes of this is not one

error: `workers` takes "auto" or a number, 1 to 1024
 --> lb.toml:3:11
  |
3 | workers = "${SECRET}"
  |           ^^^^^^^^^^^ what the environment makes of this is not one

error: the environment has no `MISSING`
 --> lb.toml:4:12
  |
4 | group = "x ${MISSING} ${"
  |            ^^^^^^^^^^ not set
  |
  = help: a default is written ${MISSING:-default}

error: unclosed reference to the environment
 --> lb.toml:4:23
  |
4 | group = "x ${MISSING} ${"
  |                       ^^ no `}` follows
  |
  = help: a `$` that stands for itself is written $$

4 problems
"#
    );
}

#[test]
fn a_server_file_has_servers_alone() {
    let parse = |text| parse_servers("nodes.toml", text, &|_| None);
    let servers = parse(
        "server = [\n  { name = \"n1\", address = \"10.0.0.11:80\", weight = 10 },\n  \"10.0.0.12:80\",\n]\n",
    )
    .unwrap();
    assert_eq!(servers.len(), 2);
    assert_eq!((&*servers[0].name, servers[0].weight), ("n1", 10));
    assert_eq!(&*servers[1].name, "10.0.0.12:80");
    assert_eq!(parse("server = []").unwrap(), []);
    let errors = parse("servers = []\n").unwrap_err();
    let said: Vec<_> = errors.errors().iter().map(Diagnostic::summary).collect();
    assert_eq!(
        said,
        [
            "nodes.toml:1:1: a server file needs `server`",
            "nodes.toml:1:1: unknown key `servers` in a server file",
        ]
    );
    assert!(parse("server = [\"10.0.0.1:80\", \"10.0.0.1:80\"]").is_err());
}

#[test]
fn embedded_configurations() {
    let config = Config::embedded("127.0.0.1:0", &["10.0.0.1:80", "unix:/run/$$x"]).unwrap();
    assert_eq!(config.global.admin, []);
    assert_eq!(
        config.backends[0].servers[1].address,
        ServerAddress::Unix("/run/$$x".into())
    );
    assert!(Config::embedded("nowhere", &[]).is_err());
}
