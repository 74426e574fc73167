//! Whatever the run types can hold can be written, and reads back the same.

use std::collections::HashSet;
use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

mod backends;
mod discovery;
mod frontends;

use self::backends::{backend, server_http2};
use self::discovery::{discovery, source};
use self::frontends::{frontend, path};
use super::print::print;
use super::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_configuration_reads_back_equal(config in configs()) {
        let text = print(&config);
        match Config::parse_with("lb.toml", &text, &|_| None) {
            Ok(loaded) => prop_assert_eq!(loaded.config, config, "{}", text),
            Err(errors) => prop_assert!(false, "{errors}\n{text}"),
        }
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]a-z_.=\"'{},$0-9 \n#]{0,200}") {
        let _ = Config::parse_with("lb.toml", &text, &|_| None).map_err(|errors| errors.render(true));
    }

    #[test]
    fn a_cut_or_scribbled_file_never_panics(
        config in configs(),
        cut in any::<prop::sample::Index>(),
        scribble in any::<prop::sample::Index>(),
        character in prop::char::any(),
    ) {
        let mut text: Vec<char> = print(&config).chars().collect();
        let at = scribble.index(text.len());
        text[at] = character;
        text.truncate(cut.index(text.len()) + 1);
        let text: String = text.into_iter().collect();
        let _ = Config::parse_with("lb.toml", &text, &|_| None).map_err(|errors| errors.render(false));
    }
}

fn configs() -> impl Strategy<Value = Config> {
    let binds = vec((any::<SocketAddr>(), any::<bool>()), 1..3);
    let stats = option::of((binds, frontends::frontend_tls(), page()));
    let parts = (
        global(),
        vec(backend(), 0..4),
        vec(frontend(), 0..4),
        vec(log(), 0..3),
        discovery(),
        (
            stats,
            vec((1_000_u64..3_600_000, 60_000_u64..86_400_000), 0..3),
        ),
    );
    parts.prop_map(
        |(global, mut backends, mut frontends, logs, discovery, (stats, waits))| {
            distinct(&mut backends, |backend| &mut backend.name);
            distinct(&mut frontends, |frontend| &mut frontend.name);
            let mut ports = 1000_u16..;
            for frontend in &mut frontends {
                settle(frontend, &backends, &mut ports);
            }
            let names = frontends.iter().map(|frontend| frontend.name.to_string());
            let register = names.zip(waits).map(|(frontend, (ttl, after))| Register {
                service: "lb".to_owned(),
                address: ([10, 0, 0, 1], ports.next().unwrap()).into(),
                frontend,
                tags: vec!["a=b".to_owned()],
                ttl: Duration::from_millis(ttl),
                deregister_after: Duration::from_millis(after),
            });
            let register = register.collect();
            Config {
                global,
                frontends,
                backends,
                logs: distinct_logs(logs),
                discovery,
                stats: stats.map(|(binds, tls, page)| StatsServer {
                    tls: binds.iter().any(|bind| bind.1).then(|| FrontendTls {
                        alpn: vec![Alpn::Http11],
                        ..tls
                    }),
                    binds: binds
                        .into_iter()
                        .map(|(address, tls)| StatsBind {
                            address: flowless(address),
                            tls,
                        })
                        .collect(),
                    page,
                }),
                register,
                ..Config::default()
            }
        },
    )
}

fn log() -> impl Strategy<Value = Log> {
    let target = prop_oneof![
        Just(LogTarget::Stdout),
        Just(LogTarget::Stderr),
        "/[a-z$ ]{1,20}".prop_map(|path| LogTarget::File(path.into())),
        "/[a-z$ ]{1,20}".prop_map(|path| LogTarget::SyslogUnix(path.into())),
        ("[a-z][a-z.-]{0,9}", 1_u16..)
            .prop_map(|(host, port)| LogTarget::SyslogUdp(format!("{host}:{port}"))),
        any::<SocketAddr>().prop_map(|to| {
            let to = SocketAddr::new(to.ip(), to.port().max(1));
            LogTarget::SyslogUdp(to.to_string())
        }),
    ];
    let what = prop::sample::select(vec![LogWhat::Access, LogWhat::Events]);
    let format = prop::sample::select(vec![LogFormat::Haproxy, LogFormat::Json]);
    let tag = "[A-Za-z0-9_./-]{1,32}";
    (target, what, format, tag, any::<bool>(), 64_usize..8193).prop_map(
        |(target, what, format, tag, only_errors, uri_max)| Log {
            target,
            what,
            format,
            tag,
            only_errors,
            uri_max,
        },
    )
}

fn distinct_logs(logs: Vec<Log>) -> Vec<Log> {
    let mut distinct: Vec<Log> = Vec::new();
    for log in logs {
        let same = |other: &Log| (&other.target, other.what) == (&log.target, log.what);
        if !distinct.iter().any(same) {
            distinct.push(log);
        }
    }
    distinct
}

/// Makes what was drawn at random hang together: modes agree, addresses are
/// listened on once.
fn settle(frontend: &mut Frontend, backends: &[Backend], ports: &mut impl Iterator<Item = u16>) {
    let mode = frontend.mode;
    frontend.stats = frontend.stats.take().filter(|_| mode == Mode::Http);
    let fits = |index: usize| backends.get(index).is_some_and(|b| b.mode == mode);
    frontend.default_backend = frontend.default_backend.filter(|index| fits(*index));
    frontend
        .routes
        .retain(|route| mode == Mode::Http && route.to.backend().is_none_or(fits));
    // A bind that ends TLS has nothing to pass through.
    let passes = mode == Mode::Tcp && !frontend.binds.iter().any(|bind| bind.tls);
    frontend
        .passed
        .retain(|route| passes && route.backend.is_none_or(fits));
    if let Some(monitor) = &mut frontend.monitor {
        monitor
            .fail_below
            .retain(|(index, _)| *index < backends.len());
    }
    if mode == Mode::Tcp {
        frontend.monitor = None;
    }
    if mode == Mode::Tcp {
        frontend.redirect_https = None;
    }
    // Without such a bind there is no such table.
    let is_used = frontend.binds.iter().any(|bind| bind.tls);
    frontend.tls = frontend.tls.take().filter(|_| is_used);
    for bind in &mut frontend.binds {
        let port = ports.next().unwrap();
        match &mut bind.address {
            BindAddress::Ip(address) => address.set_port(port),
            BindAddress::Any(any) => *any = port,
            BindAddress::Unix(path) => path.push(port.to_string()),
            BindAddress::Abstract(name) => name.push_str(&port.to_string()),
            BindAddress::Fd(number) => *number = i32::from(port),
        }
        if mode == Mode::Tcp {
            bind.defer_accept = None;
        }
    }
}

/// Zones of a v6 address cannot be written.
fn flowless(address: SocketAddr) -> BindAddress {
    BindAddress::Ip(SocketAddr::new(address.ip(), address.port()))
}

fn page() -> impl Strategy<Value = Stats> {
    let secret = prop_oneof![
        "[ -~]{1,9}".prop_map(Secret::Plain),
        "[./A-Za-z0-9]{53}".prop_map(|hash| Secret::Bcrypt(format!("$2y$05${hash}"))),
        "[./A-Za-z0-9]{9}".prop_map(|hash| Secret::ShaCrypt(format!("$6$salt${hash}"))),
    ];
    let is_plain = |secret: &Secret| match secret {
        Secret::Plain(text) => !text.starts_with(['$', '{']),
        _ => true,
    };
    (
        "/[a-z?;]{0,9}",
        option::of((account(), secret.prop_filter("not a hash", is_plain))),
        option::of("/[a-z$]{1,9}".prop_map(PathBuf::from)),
        any::<bool>(),
        option::of((1_u64..3_600).prop_map(Duration::from_secs)),
        option::of("/[a-z]{0,9}"),
    )
        .prop_map(|(path, one, auth_file, admin, refresh, metrics)| {
            let account = one.map(|(name, secret)| Account { name, secret });
            Stats {
                path,
                admin: admin && (account.is_some() || auth_file.is_some()),
                accounts: account.into_iter().collect(),
                auth_file,
                refresh,
                metrics,
            }
        })
}

fn distinct<T>(items: &mut [T], name: impl Fn(&mut T) -> &mut Arc<str>) {
    let mut seen = HashSet::new();
    for (index, item) in items.iter_mut().enumerate() {
        let name = name(item);
        if !seen.insert(Arc::clone(name)) {
            *name = format!("{index}-{index}").into();
            seen.insert(Arc::clone(name));
        }
    }
}

fn global() -> impl Strategy<Value = Global> {
    (
        option::of(1_usize..1024),
        any::<bool>(),
        option::of(1_usize..1_000_000),
        admins(),
        option::of("/[a-z$]{1,9}".prop_map(PathBuf::from)),
        (
            wait(0),
            short_wait(),
            short_wait(),
            short_wait(),
            short_wait(),
        ),
        (0_usize..1_000_000, 1_usize..65_536, 1_usize..1_000_001),
        (option::of(account()), option::of(account())),
    )
        .prop_map(
            |(workers, pin, maxconn, admin, state_dir, waits, counts, accounts)| Global {
                workers,
                pin,
                maxconn,
                admin,
                state_dir,
                drain_timeout: waits.0,
                drain_delay: waits.1,
                close_idle_after: waits.2,
                worker_stall: waits.3,
                ready_timeout: waits.4,
                pipes_max: counts.0,
                accept_budget: counts.1,
                tls_handshakes_max: counts.2,
                user: accounts.0,
                group: accounts.1,
            },
        )
}

fn admins() -> impl Strategy<Value = Vec<AdminSocket>> {
    let level = prop::sample::select(vec![
        AdminLevel::User,
        AdminLevel::Operator,
        AdminLevel::Admin,
    ]);
    let unix = (
        "/[a-z ]{0,20}x".prop_map(|path| AdminAddress::Unix(path.into())),
        0_u32..0o1000,
        option::of(account()),
        option::of(account()),
    );
    let tcp = any::<SocketAddr>().prop_map(|address| {
        let address = AdminAddress::Tcp(SocketAddr::new(address.ip(), address.port()));
        (address, AdminSocket::default().mode, None, None)
    });
    vec((prop_oneof![unix, tcp], level), 0..3).prop_map(|sockets| {
        let mut seen = Vec::new();
        sockets
            .into_iter()
            .map(|((address, mode, user, group), level)| AdminSocket {
                address,
                mode,
                user,
                group,
                level,
            })
            .filter(|socket| {
                let is_new = !seen.contains(&socket.address);
                seen.push(socket.address.clone());
                is_new
            })
            .collect()
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Http, Mode::Tcp])
}

fn name() -> impl Strategy<Value = Arc<str>> {
    "[A-Za-z0-9_.:-]{1,9}".prop_map(Arc::from)
}

fn account() -> impl Strategy<Value = String> {
    "[a-z0-9$_-]{1,9}"
}

fn token() -> impl Strategy<Value = String> {
    "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,9}"
}

/// A field's value: quotes, backslashes, dollars and blanks inside.
fn value() -> impl Strategy<Value = String> {
    "[!-~]([ \t!-~]{0,9}[!-~])?"
}

/// From `least` to 24 days; many of them without a round unit.
fn wait(least: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![least..5_000, least..2_073_600_001].prop_map(Duration::from_millis)
}

fn short_wait() -> impl Strategy<Value = Duration> {
    (0_u64..3_600_001).prop_map(Duration::from_millis)
}
