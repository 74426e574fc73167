//! What an operator is told.

mod cookies;
mod meaning;

use super::*;

#[test]
fn three_planted_errors_are_all_shown_with_line_and_caret() {
    let text = r#"[[listen]]
name = "web"
bind = "80"
server = ["10.0.0.11:80"]
retires = 3
timeouts = { connect = 5 }
"#;
    assert_eq!(
        refusal(text).render(false),
        r#"error: `address` takes an address: ":80", "10.0.0.1:80", "[::]:80", "unix:/path", "unix:@name" or "fd@3"
 --> lb.toml:3:8
  |
3 | bind = "80"
  |        ^^^^ missing address
  |
  = help: write ":80" or "127.0.0.1:80"

error: unknown key `retires` in [[listen]]
 --> lb.toml:5:1
  |
5 | retires = 3
  | ^^^^^^^ did you mean `retries`?

error: `connect` takes a duration, 1ms to 24d
 --> lb.toml:6:24
  |
6 | timeouts = { connect = 5 }
  |                        ^ a number without a unit
  |
  = help: write "5s" for seconds or "5ms" for milliseconds

3 problems
"#
    );
}

#[test]
fn colour_changes_nothing_but_colour() {
    let errors = refusal("x = 1\n");
    let colored = errors.render(true);
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some(escape) = rest.find('\u{1b}') {
        plain.push_str(&rest[..escape]);
        rest = &rest[escape..];
        rest = &rest[rest.find('m').unwrap() + 1..];
    }
    plain.push_str(rest);
    assert_ne!(colored, plain);
    assert_eq!(plain, errors.render(false));
}

#[test]
fn syntax_errors_do_not_hide_what_comes_after() {
    let text = r#"[[listen]]
name = "web"
option forwardfor
bind =
server = ["10.0.0.11:80"]
retries = "3"
[defaults
retries = -1
[global]
pin = 1
"#;
    assert_eq!(
        summaries(text),
        [
            "lb.toml:3:8: key with no value",
            "lb.toml:4:7: a value is missing",
            "lb.toml:6:11: `retries` takes a number, 0 to 100",
            "lb.toml:7:10: unclosed table",
            "lb.toml:10:7: `pin` takes true or false",
        ]
    );
    assert!(
        refusal(text)
            .render(false)
            .contains("[defaults.forwarded] for")
    );
}

#[test]
fn a_key_given_twice_shows_both_places() {
    for (text, expected) in [
        (
            "[global]\npin = true\nworkers = 1\npin = false\n",
            "error: `pin` is given twice
 --> lb.toml:4:1
  |
2 | pin = true
  | --- first given here
3 | workers = 1
4 | pin = false
  | ^^^ again",
        ),
        (
            "[[backend]]\nname = \"a\"\nserver = [{ name = \"n\", address = \"10.0.0.1:80\" }]\nname = \"b\"\n",
            "error: `name` is given twice
 --> lb.toml:4:1
  |
2 | name = \"a\"
  | ---- first given here
3 | server = [{ name = \"n\", address = \"10.0.0.1:80\" }]
4 | name = \"b\"
  | ^^^^ again",
        ),
        (
            "[[backend]]\nname = \"a\"\nserver = [{ name = \"n\", name = \"m\", address = \"10.0.0.1:80\" }]\n",
            "error: `name` is given twice
 --> lb.toml:3:25
  |
3 | server = [{ name = \"n\", name = \"m\", address = \"10.0.0.1:80\" }]
  |             ----        ^^^^ again
  |             |
  |             first given here",
        ),
        (
            "[global]\npin = true\n\n[global] # more\npin = true\n",
            "error: [global] # more is given twice
 --> lb.toml:4:2
  |
1 | [global]
  | -------- first given here
...
4 | [global] # more
  |  ^^^^^^ again",
        ),
    ] {
        assert_eq!(refusal(text).errors()[0].render(false), expected);
    }
}

#[test]
fn what_is_not_built_is_said_to_be_planned() {
    for text in [
        "[[backend]]\nname = \"a\"\nbalance = \"leastconn\"\n",
        "[[backend]]\nname = \"a\"\nserver = { address = \"10.0.0.1:80\", slow_start = \"10s\" }\n",
    ] {
        let errors = refusal(text);
        assert_eq!(errors.errors().len(), 1, "{errors}");
        assert!(
            errors.render(false).contains("not in this version yet"),
            "{errors}"
        );
    }
}

#[test]
fn foreign_words_are_answered_in_ours() {
    for (text, expected) in [
        (
            "[[backend]]\nname = \"a\"\nhttpchk = \"GET /\"\n",
            "`httpchk` of HAProxy: write check = { method = \"HEAD\", path = \"/\" } in the backend",
        ),
        (
            "[defaults]\n\"timeout connect\" = \"5s\"\n",
            "`timeout connect` of HAProxy: write connect = \"5s\" in [defaults.timeouts]",
        ),
        (
            "[defaults]\n\"timeout queue\" = \"5s\"\n",
            "`timeout queue` of HAProxy: write queue = \"5s\" in [defaults.timeouts]",
        ),
        (
            "[[backend]]\nname = \"a\"\nserver = { address = \"10.0.0.1:80\", maxqueue = 9 }\n",
            "`maxqueue` of HAProxy: write maxqueue in the backend",
        ),
        (
            "[[frontend]]\nname = \"a\"\nbind = \":80\"\nlisten = 80\n",
            "`listen` of nginx: write bind = \":80\"",
        ),
        (
            "[entryPoints.web]\naddress = \":80\"\n",
            "`entryPoints` of Traefik: write [[frontend]] with name and bind",
        ),
        (
            "[http.routers.web]\nrule = \"Host(`a`)\"\n",
            "write mode = \"http\" or \"tcp\"",
        ),
        (
            "[[listen]]\nname = \"a\"\nbind = \":80\"\nuse_backend api if is_api\n",
            "`use_backend` of HAProxy: write [[frontend.route]]",
        ),
        (
            "[[frontend]]\nname = \"a\"\nbind = \":80\"\nconnect = \"5s\"\n",
            "`connect` is a key of timeouts, [backend.timeouts]",
        ),
        (
            "[[frontend]]\nname = \"a\"\nbind = \":80\"\nserver = \"10.0.0.1:80\"\n",
            "`server` is a key of [[backend]], [[listen]], timeouts",
        ),
        (
            "[frontend.web]\nbind = \":80\"\n",
            "several are written [[frontend]] with name = \"web\"",
        ),
        (
            "[[frontend]]\nname = \"a\"\nbind = \":80\"\n[[frontend.route]]\npath = \"/a\"\n",
            "did you mean `path_prefix`?",
        ),
        (
            "[[log]]\ntarget = \"stdout\"\nformat = \"httplog\"\n",
            "the format is haproxy unless it says json",
        ),
    ] {
        let errors = refusal(text).render(false);
        assert!(errors.contains(expected), "{errors}");
    }
}

#[test]
fn a_whole_file_of_haproxy_is_one_problem() {
    let text = "global\n    maxconn 4000\n\ndefaults\n    mode http\n    timeout connect 5s\n\nfrontend web\n    bind :80\n    default_backend nodes\n\nbackend nodes\n    server s1 10.0.0.1:80 check inter 2s\n";
    assert_eq!(
        refusal(text).render(false),
        r#"error: lb.toml is a configuration of HAProxy; rlb reads TOML
 --> lb.toml:1:1
  |
1 | global
  | ^^^^^^ a section of HAProxy
  |
  = help: it cannot be converted in this version yet
  = help: the smallest file of rlb:
          [[listen]]
          name = "web"
          bind = ":80"
          server = ["10.0.0.11:80", "10.0.0.12:80"]

1 problem
"#
    );
    let nginx = "events {}\nhttp {\n    upstream web {\n        server 10.0.0.1:80;\n    }\n    server {\n        listen 80;\n        location / {\n            proxy_pass http://web;\n        }\n    }\n}\n";
    assert_eq!(
        summaries(nginx),
        ["lb.toml:2:1: lb.toml is a configuration of nginx; rlb reads TOML"]
    );
}

#[test]
fn warnings_do_not_refuse() {
    let text = r#"[[frontend]]
name = "web"
bind = ":80"

[[listen]]
name = "db"
mode = "tcp"
bind = ":5432"
pool_max = 1
check = true
server = [{ address = "10.0.0.1:5432", check = false, check_port = 8008 }]

[[backend]]
name = "spare"
check = true
"#;
    assert_eq!(
        warnings(text),
        [
            "lb.toml:2:8: no backend: every request is answered with 503",
            "lb.toml:9:1: `pool_max` has no effect in tcp mode",
            "lb.toml:10:1: this check never runs",
            "lb.toml:11:55: `check_port` of a check that never runs",
            "lb.toml:14:8: nothing leads to the backend `spare`",
            "lb.toml:15:1: this check never runs",
        ]
    );
    assert_eq!(
        warnings(""),
        ["lb.toml:1:1: no [[frontend]] and no [[listen]]: nothing is served"]
    );
}

#[test]
fn thousands_of_problems_are_counted_and_not_all_shown() {
    let text = "[[backend]]\nname = \"x\"\nserver = [\n".to_owned()
        + &"  \"10.0.0.1\",\n".repeat(5_000)
        + "]\n";
    let errors = refusal(&text);
    assert_eq!(errors.errors().len(), 5_000);
    let shown = errors.render(false);
    assert!(shown.ends_with("5000 problems, the first 100 shown\n"));
    assert_eq!(shown.matches("error: ").count(), 100);
}
