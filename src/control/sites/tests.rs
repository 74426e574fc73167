use super::*;
use crate::control::sources::Found;
use crate::generation::testing::{backend, frontend};

fn member(id: &str, backend: &str, hosts: &[&str], since: u64) -> Member {
    let site = Site {
        backend: backend.to_owned(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        since,
        ..Site::default()
    };
    Member {
        site: Some(Box::new(site)),
        ..Member::new(id, format!("demo-{id}"), ([10, 0, 0, 1], 80).into())
    }
}

fn sources(members: &[Member]) -> Sources {
    let mut sources = Sources::default();
    let found = members.iter().map(|m| Found::discovered("docker", m));
    sources.set(SourceId::sites("docker"), found.collect());
    sources
}

fn file() -> Config {
    let mut open = frontend("web", &[80], None);
    open.discovered_routes = true;
    let closed = frontend("other", &[81], None);
    Config {
        frontends: vec![open, closed],
        ..Config::default()
    }
}

fn extend(config: Config, members: &[Member]) -> Extended {
    let mut sites = Sites::default();
    sites.update(&sources(members), |_| false);
    sites.extend(&Arc::new(config))
}

/// `host path -> backend`, in order.
fn routes(config: &Config, frontend: usize) -> Vec<String> {
    let routes = config.frontends[frontend].routes.iter();
    let text = routes.map(|route| {
        let host = match &route.host {
            Some(HostMatch::Exact(host)) => host.clone(),
            Some(HostMatch::Suffix(suffix)) => format!("*{suffix}"),
            None => "*".to_owned(),
        };
        let path = route.path_prefix.as_deref().unwrap_or_default();
        let backend = route.to.backend().expect("none denies here");
        format!("{host}{path} -> {}", config.backends[backend].name)
    });
    text.collect()
}

fn told(extended: &Extended) -> Vec<String> {
    let conflicts = extended.conflicts.iter();
    conflicts.map(|c| format!("{}: {}", c.who, c.why)).collect()
}

#[test]
fn a_host_makes_a_backend_and_its_route_where_routes_are_taken() {
    let members = [
        member("web-1", "a_b", &["a.b"], 1),
        member("web-2", "a_b", &["a.b", "c.d"], 2),
    ];
    let extended = extend(file(), &members);
    assert_eq!(routes(&extended.config, 0), ["a.b -> a_b", "c.d -> a_b"]);
    assert!(routes(&extended.config, 1).is_empty());
    assert!(extended.conflicts.is_empty());
    let made = &extended.config.backends[0];
    let sources = sources(&members);
    let servers = sources
        .of(made)
        .map(|found| found.settings().name.to_string());
    assert_eq!(servers.collect::<Vec<_>>(), ["demo-web-1", "demo-web-2"]);
}

#[test]
fn exact_hosts_come_before_wild_ones_and_long_paths_before_short() {
    let mut api = member("4", "api", &["a.b"], 4);
    api.site.as_mut().unwrap().path_prefix = Some("/api".into());
    let members = [
        member("1", "all", &["*"], 1),
        member("2", "wild", &["*.b"], 2),
        member("3", "one", &["a.b"], 3),
        api,
    ];
    assert_eq!(
        routes(&extend(file(), &members).config, 0),
        ["a.b/api -> api", "a.b -> one", "*.b -> wild", "* -> all"]
    );
}

#[test]
fn a_written_route_wins() {
    let mut config = file();
    config.backends.push(backend("nodes", Vec::new()));
    config.frontends[0].routes.push(Route {
        host: Some(HostMatch::Exact("a.b".into())),
        path_prefix: None,
        methods: Vec::new(),
        headers: Vec::new(),
        to: RouteTo::Backend(0),
    });
    let extended = extend(config, &[member("web-1", "site", &["a.b", "c.d"], 1)]);
    assert_eq!(routes(&extended.config, 0), ["a.b -> nodes", "c.d -> site"]);
    assert_eq!(
        told(&extended),
        ["site (demo-web-1): a.b leads to nodes, as written"]
    );
}

#[test]
fn of_two_the_older_has_the_host() {
    let (young, old) = (
        member("y", "a-young", &["a.b"], 9),
        member("o", "old", &["a.b"], 3),
    );
    let extended = extend(file(), &[young.clone(), old.clone()]);
    assert_eq!(routes(&extended.config, 0), ["a.b -> old"]);
    assert_eq!(
        told(&extended),
        ["a-young (demo-y): a.b leads to old, as announced earlier"]
    );
    // Whoever is there keeps it, also against one that says it is older.
    let config = Arc::new(file());
    let mut sites = Sites::default();
    sites.update(&sources(std::slice::from_ref(&young)), |_| false);
    sites.update(&sources(&[young, old.clone()]), |_| false);
    assert_eq!(routes(&sites.extend(&config).config, 0), ["a.b -> a-young"]);
    sites.update(&sources(&[old]), |_| false);
    assert_eq!(routes(&sites.extend(&config).config, 0), ["a.b -> old"]);
}

#[test]
fn a_written_backend_takes_only_members_of_its_own_kind() {
    let mut config = file();
    config.backends.push(backend("nodes", Vec::new()));
    let joining = [member("web-1", "nodes", &["a.b"], 1)];
    let extended = extend(config.clone(), &joining);
    assert_eq!(
        told(&extended),
        [
            "nodes (demo-web-1): the backend nodes is written, and has no docker source: call yours otherwise"
        ]
    );
    assert!(routes(&extended.config, 0).is_empty());
    assert_eq!(
        sources(&joining).of(&extended.config.backends[0]).count(),
        0
    );
    config.backends[0]
        .sources
        .push(Source::Docker(config::DockerSource {
            service: "web".into(),
            project: None,
            port: None,
            network: None,
            tags: Vec::new(),
        }));
    let extended = extend(config, &joining);
    assert_eq!(routes(&extended.config, 0), ["a.b -> nodes"]);
    assert_eq!(
        sources(&joining).of(&extended.config.backends[0]).count(),
        1
    );
}

#[test]
fn a_backend_goes_when_its_last_server_has_drained() {
    let config = Arc::new(file());
    let mut sites = Sites::default();
    sites.update(&sources(&[member("1", "a_b", &["a.b"], 1)]), |_| false);
    // Its last server leaves with this change: it has not begun to drain.
    sites.update(&sources(&[]), |_| false);
    let extended = sites.extend(&config);
    assert_eq!(extended.config.backends.len(), 1);
    assert!(routes(&extended.config, 0).is_empty());
    sites.update(&sources(&[]), |_| true);
    assert_eq!(sites.leaving().collect::<Vec<_>>(), ["a_b"]);
    sites.update(&sources(&[]), |_| false);
    assert!(Arc::ptr_eq(&sites.extend(&config).config, &config));
}

#[test]
fn checks_and_balance_of_a_site() {
    let with = |check: Option<SiteCheck>, interval: Option<u64>, balance: Option<&str>| {
        let mut one = member("1", "a_b", &["a.b"], 1);
        let site = one.site.as_mut().unwrap();
        site.check = check;
        site.check_interval_ms = interval;
        site.balance = balance.map(str::to_owned);
        let extended = extend(file(), &[one]);
        (extended.config.backends[0].clone(), told(&extended))
    };
    let (plain, _) = with(None, None, None);
    assert!(plain.check.is_none() && plain.check_discovered);
    let (off, _) = with(Some(SiteCheck::Off), Some(500), None);
    assert!(off.check.is_none() && !off.check_discovered);
    let (http, _) = with(Some(SiteCheck::Http("/up".into())), Some(500), None);
    let check = http.check.unwrap();
    assert_eq!(
        (check.interval, check.timeout),
        (Duration::from_millis(500), Duration::from_millis(500))
    );
    assert!(
        matches!(check.probe, Probe::Http { path, method, .. } if path == "/up" && method == "GET")
    );
    let (tcp, _) = with(None, Some(500), None);
    assert_eq!(tcp.check.unwrap().probe, Probe::Tcp);
    let (_, told) = with(None, None, Some("leastconn"));
    assert_eq!(
        told,
        ["a_b (demo-1): balance leastconn is not there; roundrobin is used"]
    );
}
