use super::*;

#[test]
fn bind_forms() {
    for (text, expected) in [
        (":80", BindAddress::Any(80)),
        ("*:80", BindAddress::Any(80)),
        ("0.0.0.0:80", BindAddress::Ip("0.0.0.0:80".parse().unwrap())),
        ("[::]:80", BindAddress::Ip("[::]:80".parse().unwrap())),
        (
            "127.0.0.1:0",
            BindAddress::Ip("127.0.0.1:0".parse().unwrap()),
        ),
        ("unix:/run/x", BindAddress::Unix("/run/x".into())),
        ("unix:@x", BindAddress::Abstract("x".to_owned())),
        ("fd@3", BindAddress::Fd(3)),
    ] {
        assert_eq!(bind(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn refused_binds_say_what_to_write() {
    for (text, help) in [
        ("80", "write \":80\" or \"127.0.0.1:80\""),
        ("10.0.0.1", "write \"10.0.0.1:80\""),
        ("::1", "write \"[::1]:80\""),
        ("[::1]", "write \"[::1]:80\""),
        ("2001:db8::1:zz", "write \"[2001:db8::1]:80\""),
        ("web:80", "write \":80\" for every address of this machine"),
        (
            "web",
            "write the address and the port, for example \":80\" for every address",
        ),
        ("unix:x", "a Unix socket's path begins with \"/\""),
        (
            "fd@1",
            "numbers begin at 3: 0, 1 and 2 are stdin, stdout and stderr",
        ),
    ] {
        assert_eq!(
            bind(text).unwrap_err().help.as_deref(),
            Some(help),
            "{text}"
        );
    }
    assert!(bind(":70000").is_err());
    assert!(bind(":+80").is_err());
    assert!(bind(&format!("unix:/{}", "x".repeat(107))).is_err());
}

#[test]
fn server_forms() {
    let ip = |text: &str| ServerAddress::Ip(text.parse().unwrap());
    for (text, expected, name) in [
        ("10.0.0.1:80", ip("10.0.0.1:80"), "10.0.0.1:80"),
        ("[::1]:80", ip("[::1]:80"), "::1:80"),
        (
            "unix:/run/x.sock",
            ServerAddress::Unix("/run/x.sock".into()),
            "unix:_run_x.sock",
        ),
        (
            "unix:@x",
            ServerAddress::Abstract("x".to_owned()),
            "unix:_x",
        ),
        (
            "db-1.internal:5432",
            ServerAddress::Name("db-1.internal".to_owned(), 5432),
            "db-1.internal:5432",
        ),
    ] {
        let address = server(text).unwrap();
        assert_eq!(address, expected, "{text}");
        assert_eq!(server_name(&address), name);
    }
    for (text, message) in [
        ("http://10.0.0.1:80/", "a server is an address, not a URL"),
        ("10.0.0.1:0", "\"0\" is not a port: they are 1 to 65535"),
        ("10.0.0.1", "missing port"),
        ("10.0.0.256:80", "\"10.0.0.256\" is not an IP address"),
        (
            "0.0.0.0:80",
            "0.0.0.0 means every address: a server is one address",
        ),
    ] {
        assert_eq!(server(text).unwrap_err().message, message, "{text}");
    }
}

#[test]
fn api_forms() {
    let http = |host: &str, port| Some(ApiAddress::Http(host.to_owned(), port));
    for (text, expected) in [
        ("", None),
        ("consul:8500", http("consul", 8500)),
        ("http://127.0.0.1:8500", http("127.0.0.1", 8500)),
        ("http://127.0.0.1:8500/", http("127.0.0.1", 8500)),
        ("http://[::1]:8500", http("::1", 8500)),
        ("tcp://docker:2375", http("docker", 2375)),
        ("consul.internal", http("consul.internal", 80)),
        (
            "https://consul",
            Some(ApiAddress::Https("consul".into(), 443)),
        ),
        (
            "unix:///run/c.sock",
            Some(ApiAddress::Unix("/run/c.sock".into())),
        ),
        (
            "unix:/run/c.sock",
            Some(ApiAddress::Unix("/run/c.sock".into())),
        ),
    ] {
        assert_eq!(api_or_none(text).unwrap(), expected, "{text}");
    }
    for text in [
        "consul:0",
        "http://",
        "a b:80",
        "http://consul/v1",
        "unix:run",
    ] {
        assert!(api_or_none(text).is_err(), "{text}");
    }
}

#[test]
fn networks() {
    let net = |text: &str| network(text).unwrap();
    assert!(net("10.0.0.0/8").contains("10.1.2.3".parse().unwrap()));
    assert_eq!(net("::ffff:10.0.0.0/104"), net("10.0.0.0/8"));
    assert_eq!(net("10.0.0.1"), net("10.0.0.1/32"));
    assert!(net("::/0").contains("2001:db8::1".parse().unwrap()));
    assert_eq!(
        network("10.0.0.1/8").unwrap_err().help.unwrap(),
        "did you mean \"10.0.0.0/8\"?"
    );
    assert!(network("10.0.0.0/33").is_err());
    assert!(network("lan").is_err());
}

#[test]
fn names() {
    assert!(name("web-1.a:b_C").is_ok());
    assert_eq!(
        name("my web").unwrap_err().help.unwrap(),
        "did you mean \"my_web\"?"
    );
    assert!(name("").is_err());
    assert!(server_name_written("BACKEND").is_err());
}
