//! Whatever the run types can hold can be written, and reads back the same.

use std::collections::HashSet;
use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

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
    let stats = option::of((vec(any::<SocketAddr>(), 1..3), page()));
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
                stats: stats.map(|(binds, page)| StatsServer {
                    binds: binds.into_iter().map(flowless).collect(),
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
        .retain(|route| mode == Mode::Http && fits(route.backend));
    // A bind that ends TLS has nothing to pass through.
    let passes = mode == Mode::Tcp && !frontend.binds.iter().any(|bind| bind.tls);
    frontend
        .passed
        .retain(|route| passes && fits(route.backend));
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

fn frontend() -> impl Strategy<Value = Frontend> {
    let limits = (
        64_usize..61_440,
        1_024_usize..61_440,
        1_usize..257,
        option::of(0_u64..1 << 40),
    );
    (
        (
            name(),
            mode(),
            vec(bind(), 1..4),
            (vec(route(), 0..3), vec(tls_route(), 0..3)),
        ),
        (
            option::of(1_usize..1_000_000),
            option::of(0_usize..4),
            any::<u32>(),
            option::of(monitor()),
        ),
        [
            wait(1),
            wait(1),
            wait(1),
            wait(1),
            wait(1),
            wait(1),
            wait(1),
        ],
        limits,
        (forwarded(), frontend_tls(), option::of(redirect())),
        (client_http2(), option::of(page())),
    )
        .prop_map(
            |(itself, counts, waits, limits, (forwarded, tls, redirect), (http2, stats))| {
                Frontend {
                    name: itself.0,
                    mode: itself.1,
                    binds: itself.2,
                    routes: itself.3.0,
                    passed: itself.3.1,
                    maxconn: counts.0,
                    default_backend: counts.1,
                    keep_alive_requests: counts.2,
                    discovered_routes: false,
                    monitor: counts.3,
                    timeouts: ClientTimeouts {
                        client: waits[0],
                        http_request: waits[1],
                        keep_alive: waits[2],
                        tunnel: waits[3],
                        half_closed: waits[4],
                        tls_handshake: waits[5],
                        client_hello: waits[6],
                    },
                    limits: RequestLimits {
                        uri: limits.0,
                        head: limits.1,
                        headers: limits.2,
                        body: limits.3,
                    },
                    forwarded,
                    tls: Some(tls),
                    redirect_https: redirect,
                    http2,
                    stats,
                }
            },
        )
}

fn redirect() -> impl Strategy<Value = RedirectHttps> {
    let code = prop::sample::select(vec![301, 302, 303, 307, 308]);
    (code, 1_u16..).prop_map(|(code, port)| RedirectHttps { code, port })
}

fn frontend_tls() -> impl Strategy<Value = FrontendTls> {
    let auth = prop::sample::select(vec![ClientAuth::Optional, ClientAuth::Required]);
    let alpn = prop::sample::subsequence(vec![Alpn::H2, Alpn::Http11], 0..3);
    (
        vec(path(), 1..3),
        any::<bool>(),
        prop::sample::select(vec![TlsVersion::Tls12, TlsVersion::Tls13]),
        prop::sample::subsequence(grammar::CIPHER_SUITES, 0..9),
        (0_usize..17, alpn),
        option::of((auth, path())),
    )
        .prop_map(
            |(certificates, strict_sni, min_version, suites, (tickets, alpn), auth)| FrontendTls {
                certificates,
                strict_sni,
                alpn,
                min_version,
                cipher_suites: suites.into_iter().map(str::to_owned).collect(),
                tickets,
                client_auth: auth.as_ref().map_or(ClientAuth::Off, |auth| auth.0),
                ca_file: auth.map(|auth| auth.1),
            },
        )
}

fn server_tls() -> impl Strategy<Value = ServerTls> {
    let host = || option::of("[a-z]{1,9}(\\.[a-z]{1,9})?".prop_map(Arc::from));
    let pair = option::of((path(), option::of(path())));
    (option::of(path()), any::<bool>(), host(), host(), pair).prop_map(
        |(ca_file, verify, sni, host, pair)| ServerTls {
            ca_file: ca_file.filter(|_| verify),
            verify,
            sni,
            host,
            key: pair.as_ref().and_then(|pair| pair.1.clone()),
            certificate: pair.map(|pair| pair.0),
            alpn: Vec::new(),
        },
    )
}

fn path() -> impl Strategy<Value = PathBuf> {
    "[a-z/$\u{e9}]{1,9}".prop_map(PathBuf::from)
}

fn client_http2() -> impl Strategy<Value = ClientHttp2> {
    let floods = (prop::array::uniform6(1_u32..1_000), 1_u64..3_600);
    (server_http2(), floods).prop_map(|(both, (counts, per))| ClientHttp2 {
        streams: both.streams,
        window: both.window,
        connection_window: both.connection_window,
        floods: Floods {
            per: Duration::from_secs(per),
            resets: counts[0],
            faults: counts[1],
            pings: counts[2],
            settings: counts[3],
            idle_frames: counts[4],
            continuations: counts[5],
        },
    })
}

fn server_http2() -> impl Strategy<Value = ServerHttp2> {
    let ping = option::of((1_u64..3_600).prop_map(Duration::from_secs));
    (
        1_u32..10_001,
        16_384_u32..1 << 30,
        65_536_u32..1 << 30,
        ping,
    )
        .prop_map(|(streams, window, connection_window, ping)| ServerHttp2 {
            streams,
            window,
            connection_window,
            ping,
        })
}

fn monitor() -> impl Strategy<Value = Monitor> {
    let fail_below = option::of((0_usize..4, 1_usize..1_000_000));
    let path = "/[a-z]{0,9}";
    (path, fail_below).prop_map(|(path, fail_below)| Monitor {
        path,
        fail_below: fail_below.into_iter().collect(),
    })
}

fn forwarded() -> impl Strategy<Value = Forwarded> {
    let for_ = prop::sample::select(vec![
        ForwardedFor::Append,
        ForwardedFor::Replace,
        ForwardedFor::Off,
    ]);
    let port = prop_oneof![
        Just(ForwardedPort::Off),
        Just(ForwardedPort::Local),
        (1_u16..).prop_map(ForwardedPort::Fixed),
    ];
    let flags = any::<[bool; 3]>();
    let fields = (option::of(token()), option::of(token()));
    (for_, port, flags, vec(network(), 0..3), fields).prop_map(
        |(for_, port, flags, trusted, fields)| Forwarded {
            for_,
            proto: flags[0],
            port,
            host: flags[1],
            trusted,
            rfc7239: flags[2],
            via: fields.0,
            request_id: fields.1,
        },
    )
}

fn network() -> impl Strategy<Value = Network> {
    (any::<IpAddr>(), any::<prop::sample::Index>()).prop_map(|(ip, prefix)| {
        let address = ip.to_canonical();
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = u8::try_from(prefix.index(usize::from(bits) + 1)).unwrap();
        let address = match address {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4((ip.to_bits() & mask).into())
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6((ip.to_bits() & mask).into())
            }
        };
        Network { address, prefix }
    })
}

fn accepted() -> impl Strategy<Value = AcceptProxy> {
    prop_oneof![
        Just(AcceptProxy::Off),
        Just(AcceptProxy::Always),
        vec(network(), 1..3).prop_map(AcceptProxy::From),
    ]
}

fn sent() -> impl Strategy<Value = ProxyChoice> {
    prop::sample::select(vec![
        ProxyChoice::Inherit,
        ProxyChoice::Off,
        ProxyChoice::Own(ProxyVersion::V1),
        ProxyChoice::Own(ProxyVersion::V2),
    ])
}

fn bind() -> impl Strategy<Value = Bind> {
    let of_address = prop_oneof![
        any::<IpAddr>().prop_map(|ip| BindAddress::Ip(SocketAddr::new(ip, 0))),
        Just(BindAddress::Any(0)),
        "/[a-z$ ]{1,20}x".prop_map(|path| BindAddress::Unix(path.into())),
        "[a-z/]{1,20}".prop_map(BindAddress::Abstract),
        Just(BindAddress::Fd(3)),
    ];
    let tcp = (
        any::<bool>(),
        option::of((1_u64..32_400).prop_map(Duration::from_secs)),
        option::of((1_u64..61).prop_map(Duration::from_secs)),
        option::of("[a-z0-9]{1,15}"),
    );
    let unix = (
        option::of(0_u32..0o1000),
        option::of(account()),
        option::of(account()),
    );
    let protocol = prop::sample::select(vec![
        BindProtocol::Http1,
        BindProtocol::Http2,
        BindProtocol::Both,
    ]);
    (
        of_address,
        1_u32..65_536,
        tcp,
        unix,
        (protocol, any::<bool>(), accepted()),
    )
        .prop_map(|(address, backlog, tcp, unix, (protocol, tls, accepted))| {
            let mut bind = Bind {
                address,
                // With TLS it is agreed on by ALPN.
                protocol: if tls { BindProtocol::Http1 } else { protocol },
                tls,
                proxy_protocol: accepted,
                ..Bind::default()
            };
            let is_unix = matches!(
                bind.address,
                BindAddress::Unix(_) | BindAddress::Abstract(_)
            );
            if is_unix && bind.proxy_protocol != AcceptProxy::Off {
                // Its peers have no address.
                bind.proxy_protocol = AcceptProxy::Always;
            }
            if !matches!(bind.address, BindAddress::Fd(_)) {
                bind.backlog = backlog;
            }
            match bind.address {
                BindAddress::Ip(_) | BindAddress::Any(_) | BindAddress::Fd(_) => {
                    (bind.nodelay, bind.keepalive, bind.defer_accept) = (tcp.0, tcp.1, tcp.2);
                    if !matches!(bind.address, BindAddress::Fd(_)) {
                        bind.interface = tcp.3;
                    }
                }
                BindAddress::Unix(_) => (bind.socket_mode, bind.user, bind.group) = unix,
                BindAddress::Abstract(_) => {}
            }
            bind
        })
}

fn tls_route() -> impl Strategy<Value = TlsRoute> {
    let sni = prop_oneof![
        "[a-z][a-z0-9-]{0,8}(\\.[a-z]{1,5}){0,2}".prop_map(HostMatch::Exact),
        "(\\.[a-z0-9-]{1,8}){1,3}".prop_map(HostMatch::Suffix),
    ];
    (option::of(sni), vec("[!-~]{1,9}", 0..3), 0_usize..4)
        .prop_map(|(sni, alpn, backend)| TlsRoute { sni, alpn, backend })
        .prop_filter("a condition", |route| {
            route.sni.is_some() || !route.alpn.is_empty()
        })
}

fn route() -> impl Strategy<Value = Route> {
    let host = prop_oneof![
        "[a-z0-9-]{1,8}(\\.[a-z]{1,5}){0,2}".prop_map(HostMatch::Exact),
        "(\\.[a-z0-9-]{1,8}){1,3}".prop_map(HostMatch::Suffix),
    ];
    let header =
        ("[a-z-]{1,9}", option::of(value())).prop_map(|(name, value)| HeaderMatch { name, value });
    (
        option::of(host),
        option::of("/[!-\"$->@-~]{0,9}"),
        vec("[A-Z]{1,7}", 0..3),
        vec(header, 0..3),
        0_usize..4,
    )
        .prop_map(|(host, path_prefix, methods, headers, backend)| Route {
            host,
            path_prefix,
            methods,
            headers,
            backend,
        })
        .prop_filter("a condition", |route| {
            route.host.is_some()
                || route.path_prefix.is_some()
                || !route.methods.is_empty()
                || !route.headers.is_empty()
        })
}

fn source() -> impl Strategy<Value = Source> {
    let file = "[a-z/$\u{e9}]{1,9}".prop_map(|path| Source::File(path.into()));
    let consul = ("[a-z][a-z0-9_.-]{0,9}", vec("[a-z=\u{e9}\"]{1,9}", 0..3));
    let consul = consul.prop_map(|(service, tags)| Source::Consul(ConsulSource { service, tags }));
    let docker = (
        "[a-z][a-z0-9_.-]{0,9}",
        option::of("[a-z][a-z0-9_-]{0,9}"),
        option::of(1_u16..),
        option::of("[a-z][a-z0-9_-]{0,9}"),
        vec("[a-z=\u{e9}\"]{1,9}", 0..3),
    );
    let docker = docker.prop_map(|(service, project, port, network, tags)| {
        Source::Docker(DockerSource {
            service,
            project,
            port,
            network,
            tags,
        })
    });
    let record = prop_oneof![
        (1_u16..).prop_map(DnsRecord::A),
        (1_u16..).prop_map(DnsRecord::Aaaa),
        Just(DnsRecord::Srv),
    ];
    let dns = ("[a-z_][a-z0-9_-]{0,9}(\\.[a-z]{1,5}){0,3}\\.?", record)
        .prop_map(|(name, record)| Source::Dns(DnsSource { name, record }));
    prop_oneof![file, consul, docker, dns]
}

fn api_address() -> impl Strategy<Value = ApiAddress> {
    prop_oneof![
        ("[a-z][a-z0-9.-]{0,9}[a-z]", 1_u16..)
            .prop_map(|(host, port)| ApiAddress::Http(host, port)),
        ("[a-z][a-z0-9.-]{0,9}[a-z]", 1_u16..)
            .prop_map(|(host, port)| ApiAddress::Https(host, port)),
        "/[a-z/]{1,9}".prop_map(|path| ApiAddress::Unix(path.into())),
    ]
}

fn docker() -> impl Strategy<Value = Docker> {
    let choices = (
        prop_oneof![
            Just(DockerAddress::Container),
            Just(DockerAddress::Published)
        ],
        prop_oneof![Just(DockerExpose::Labelled), Just(DockerExpose::All)],
        prop_oneof![
            Just(DockerHealth::NotUnhealthy),
            Just(DockerHealth::RequireHealthy),
            Just(DockerHealth::Ignore),
        ],
        vec(
            prop_oneof![
                Just(DockerConvention::Rlb),
                Just(DockerConvention::Interlock),
                Just(DockerConvention::Registrator),
            ],
            0..3,
        ),
    );
    let rest = (
        vec(api_address(), 0..3),
        option::of("[a-z/$\u{e9}]{1,9}".prop_map(PathBuf::from)),
        option::of(any::<IpAddr>()),
        option::of("[a-z][a-z0-9_-]{0,9}"),
        any::<bool>(),
        1_000_u64..3_600_000,
        1_000_u64..86_400_000,
    );
    (choices, rest).prop_map(|(choices, rest)| Docker {
        is_written: true,
        endpoints: rest.0,
        cert_path: rest.1,
        address: choices.0,
        host_ip: rest.2,
        network: rest.3,
        expose: choices.1,
        health: choices.2,
        early_drain: rest.4,
        stop_grace: Duration::from_millis(rest.5),
        resync: Duration::from_millis(rest.6),
        conventions: choices.3,
    })
}

fn discovery() -> impl Strategy<Value = Discovery> {
    let path = || option::of("[a-z/$\u{e9}]{1,9}".prop_map(PathBuf::from));
    let waits = (
        0_u64..60_000,
        0_u64..60_000,
        0_u64..86_400_000,
        1_000_u64..86_400_000,
    );
    let backoff = (10_u64..1_000, 1_000_u64..60_000);
    let consul = (
        (
            option::of(api_address()),
            path(),
            path(),
            option::of("[a-z0-9-]{1,9}"),
        ),
        (any::<bool>(), 1_000_u64..600_000, 1_usize..10_000),
    );
    let server = (any::<IpAddr>(), 1_u16..).prop_map(|(ip, port)| SocketAddr::new(ip, port));
    let dns = (
        vec(server, 0..3),
        prop::sample::select(vec![DnsTransport::Udp, DnsTransport::Tcp]),
        (100_u64..1_000, 1_000_u64..3_600_000, 0_u64..86_400_000),
    );
    let drawn = (waits, backoff, consul, dns, docker());
    drawn.prop_map(|(waits, backoff, (places, counts), dns, docker)| {
        let ms = Duration::from_millis;
        Discovery {
            coalesce: ms(waits.0),
            max_delay: ms(waits.1),
            empty_hold: ms(waits.2),
            stale_warn: ms(waits.3),
            backoff: Backoff {
                min: ms(backoff.0),
                max: ms(backoff.1),
            },
            consul: Consul {
                address: places.0,
                token_file: places.1,
                ca_file: places.2,
                datacenter: places.3,
                stale: counts.0,
                wait: ms(counts.1),
                max_watches: counts.2,
                expose: if counts.0 {
                    Expose::Tagged
                } else {
                    Expose::Named
                },
            },
            docker,
            dns: Dns {
                servers: dns.0,
                transport: dns.1,
                ttl: Ttl {
                    min: ms(dns.2.0),
                    max: ms(dns.2.1),
                },
                hold_nx: ms(dns.2.2),
            },
        }
    })
}

fn backend() -> impl Strategy<Value = Backend> {
    (
        (name(), mode(), vec(server(), 0..5), option::of(check())),
        vec(source(), 0..3),
        (
            0_u32..101,
            0_usize..1_000_000,
            any::<bool>(),
            0_u32..100_000_001,
        ),
        (
            option::of(wait(0)),
            (0_u64..86_401).prop_map(Duration::from_secs),
            option::of(groups()),
        ),
        (wait(1), wait(1), wait(1), option::of(wait(1)), wait(1)),
        (1_024_usize..61_440, 1_usize..257, option::of(server_tls())),
        (server_http2(), sent()),
    )
        .prop_map(
            |(itself, sources, counts, own_waits, waits, limits, (http2, sent))| {
                let (name, mode, mut servers, check) = itself;
                distinct(&mut servers, |server| &mut server.name);
                if check.is_none() {
                    for server in &mut servers {
                        server.check = server.check.filter(|check| !check);
                    }
                }
                Backend {
                    name,
                    mode,
                    balance: Balance::RoundRobin,
                    retries: counts.0,
                    servers,
                    sources,
                    check_discovered: check.is_some() || counts.2,
                    panic: (counts.0 % 101) as u8,
                    check,
                    timeouts: ServerTimeouts {
                        connect: waits.0,
                        server: waits.1,
                        pool_idle: waits.2,
                        tunnel: waits.3,
                    },
                    limits: ResponseLimits {
                        head: limits.0,
                        headers: limits.1,
                    },
                    pool_max: counts.1,
                    server_maxconn: counts.3,
                    maxqueue: counts.1 + 1,
                    queue_timeout: waits.4,
                    observe_connect: counts.2,
                    drain_timeout: own_waits.0,
                    retry_after: own_waits.1,
                    groups: own_waits.2,
                    // Lifted from HTTP/1 binds to it, a file would be refused.
                    protocol: Protocol::Http1,
                    http2,
                    tls: limits.2,
                    proxy_protocol: sent.of(None),
                }
            },
        )
}

fn groups() -> impl Strategy<Value = Groups> {
    let word = || "[!-<>-~]{0,8}[!-9;<>-~]";
    let by = prop_oneof![
        word().prop_map(GroupBy::Tag),
        word().prop_map(GroupBy::Meta),
        word().prop_map(GroupBy::Label),
    ];
    let shares = prop::collection::btree_map(group(), 0_u32..1_000_001, 0..4);
    let weights = prop_oneof![
        ("[a-z]{1,9}/", "(/[a-z$=]{1,9})?")
            .prop_map(|(prefix, suffix)| KvPattern { prefix, suffix })
            .prop_map(GroupWeights::ConsulKv),
        "[a-z=$/]{0,9}[a-z]".prop_map(|key| GroupWeights::ConsulKvJson(format!("k{key}"))),
        "[a-z/$]{0,9}[a-z]".prop_map(|path| GroupWeights::File(path.into())),
        shares.prop_map(|shares| GroupWeights::Static(shares.into())),
    ];
    let all_zero = prop::sample::select(vec![AllZero::Refuse, AllZero::Equal]);
    (option::of(by), weights, 0_u32..1_000_001, all_zero).prop_map(
        |(by, weights, missing, all_zero)| Groups {
            by,
            weights,
            missing,
            all_zero,
        },
    )
}

fn group() -> impl Strategy<Value = Arc<str>> {
    "[!-~]{1,9}".prop_map(Arc::from)
}

fn server() -> impl Strategy<Value = Server> {
    let address = prop_oneof![
        (any::<IpAddr>(), 1_u16..)
            .prop_filter("one address", |(ip, _)| !ip.is_unspecified())
            .prop_map(|(ip, port)| ServerAddress::Ip(SocketAddr::new(ip, port))),
        "/[a-z$ ]{1,20}".prop_map(|path| ServerAddress::Unix(path.into())),
        "[a-z/ ]{1,20}".prop_map(ServerAddress::Abstract),
        ("[a-z][a-z0-9-]{0,9}(\\.[a-z]{1,5}){0,3}", 1_u16..)
            .prop_map(|(name, port)| ServerAddress::Name(name, port)),
    ];
    let check = (
        option::of(any::<bool>()),
        option::of((1_u16.., any::<IpAddr>())),
    );
    let tls = prop_oneof![
        Just(TlsChoice::Backend),
        Just(TlsChoice::Off),
        server_tls().prop_map(|tls| TlsChoice::Own(Box::new(tls))),
    ];
    (
        name(),
        address,
        (0_u16..257, option::of(group())),
        (any::<[bool; 2]>(), option::of(0_u32..100_000_001)),
        (check, tls, sent()),
    )
        .prop_map(
            |(name, address, (weight, group), (flags, maxconn), ((check, check_at), tls, sent))| {
                Server {
                    maxconn,
                    tls,
                    proxy_protocol: sent,
                    weight,
                    group,
                    backup: flags[0],
                    disabled: flags[1],
                    check,
                    check_port: check_at.map(|(port, _)| port),
                    check_address: check_at.map(|(_, ip)| ip),
                    ..Server::new(name, address)
                }
            },
        )
}

fn check() -> impl Strategy<Value = Check> {
    let status = (200_u16..600, 200_u16..600).prop_map(|(a, b)| a.min(b)..=a.max(b));
    let headers = prop::collection::btree_map("[xX][a-zA-Z-]{1,9}", value(), 0..3);
    let grpc = ("[a-zA-Z0-9.]{0,9}", option::of("[a-z]{1,9}(:[0-9]{1,4})?"));
    let grpc = grpc.prop_map(|(service, host)| Probe::Grpc { service, host });
    let http = (
        "[A-Z]{1,6}",
        "/[!-\"$-~]{0,9}",
        option::of("[a-z]{1,9}(:[0-9]{1,4})?"),
        headers,
        vec(status, 1..4),
    )
        .prop_map(|(method, path, host, headers, expect)| Probe::Http {
            protocol: Protocol::Http1,
            method,
            path,
            host,
            headers: headers.into_iter().collect(),
            expect,
        });
    (
        prop_oneof![Just(Probe::Tcp), grpc, http],
        [wait(1), wait(1), wait(1), wait(1)],
        1_u32..1_001,
        1_u32..1_001,
        any::<bool>(),
        sent(),
    )
        .prop_map(|(probe, waits, rise, fall, tls, sent)| Check {
            tls,
            proxy_protocol: sent,
            probe,
            interval: waits[0],
            fast_interval: waits[1],
            down_interval: waits[2],
            timeout: waits[3],
            rise,
            fall,
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
