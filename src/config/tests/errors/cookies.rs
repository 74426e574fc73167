//! Cookies that keep nobody, or the wrong ones.

use super::*;

fn listen(cookie: &str) -> String {
    format!("[[listen]]\nname = \"w\"\nbind = \":80\"\nserver = \"10.0.0.1:80\"\n{cookie}\n")
}

#[test]
fn two_servers_of_one_cookie_are_shown_with_both_places() {
    let text = r#"[[listen]]
name = "w"
bind = ":80"
cookie = "SRV"
[[listen.server]]
address = "10.0.0.1:80"
cookie = "a"
[[listen.server]]
address = "10.0.0.2:80"
cookie = "a"
"#;
    assert_eq!(
        refusal(text).render(false),
        r#"error: two servers have the cookie `a`
  --> lb.toml:10:10
   |
 7 | cookie = "a"
   |          --- first given here
...
10 | cookie = "a"
   |          ^^^ again
   |
   = help: without one a server gets a value of its own

1 problem
"#
    );
}

#[test]
fn what_cannot_be_a_cookie_is_refused() {
    for (cookie, expected) in [
        (
            "cookie = \"a b\"",
            "lb.toml:5:10: `name` takes the name of a cookie",
        ),
        (
            "cookie = \"$a\"",
            "lb.toml:5:10: `name` takes the name of a cookie",
        ),
        ("cookie = { mode = \"rewrite\" }", "not in this version yet"),
        (
            "cookie = { name = \"__Secure-S\" }",
            "lb.toml:5:12: browsers take a cookie of this prefix only if it is Secure",
        ),
        (
            "cookie = { name = \"__Host-S\", secure = true, domain = \"a.example\" }",
            "lb.toml:5:12: browsers take a `__Host-` cookie only without domain",
        ),
        (
            "cookie = { same_site = \"none\", secure = false }",
            "lb.toml:5:12: browsers take no cookie with SameSite=None that is not Secure",
        ),
        (
            "cookie = { domain = \"*.a.example\" }",
            "`domain` takes a domain",
        ),
        ("cookie = { path = \"app\" }", "`path` takes a path"),
        (
            "cookie = { max_age = \"100ms\" }",
            "`max_age` takes a duration in whole seconds",
        ),
    ] {
        let problems = summaries(&listen(cookie));
        assert!(
            problems.len() == 1 && problems[0].contains(expected),
            "{cookie}: {problems:?}"
        );
    }
    for value in ["", "a b", "a;b", "a,b", "a|b", "\\\"a\\\"", "\u{e4}"] {
        let server = format!("{{ address = \"10.0.0.1:80\", cookie = \"{value}\" }}");
        let text = listen("cookie = true").replace("\"10.0.0.1:80\"", &server);
        let problems = summaries(&text);
        assert!(
            problems.len() == 1 && problems[0].contains("`cookie` takes the value of a cookie"),
            "{value}: {problems:?}"
        );
    }
}

#[test]
fn a_cookie_without_effect_is_warned_about() {
    let tcp = listen("mode = \"tcp\"\ncookie = \"SRV\"");
    assert_eq!(
        warnings(&tcp),
        ["lb.toml:6:1: `cookie` has no effect in tcp mode"]
    );
    let server = "{ address = \"10.0.0.1:80\", cookie = \"a\" }";
    let alone = listen("").replace("\"10.0.0.1:80\"", server);
    let expected = ["lb.toml:4:37: this `cookie` has no effect"];
    assert_eq!(warnings(&alone), expected);
    assert_eq!(warnings(&listen("cookie = true")), [""; 0]);
    // What is meant for others is nothing to a backend of tcp mode.
    let defaults = "[defaults]\ncookie = \"SRV\"\n".to_owned() + &listen("mode = \"tcp\"");
    assert_eq!(warnings(&defaults), [""; 0]);
    let off = "[defaults]\ncookie = \"SRV\"\n".to_owned() + &listen("cookie = false");
    let loaded = Config::parse_with("lb.toml", &off, &|_| None).unwrap();
    assert_eq!(loaded.config.backends[0].cookie, None);
}

#[test]
fn haproxys_words_lead_to_the_key() {
    for word in ["appsession", "dynamic-cookie-key", "sticky", "stick"] {
        let text = listen(&format!("{word} = \"SRV\""));
        let said = refusal(&text).render(false);
        assert!(said.contains("cookie = "), "{said}");
    }
}
