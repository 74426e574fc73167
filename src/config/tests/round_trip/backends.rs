//! Backends, servers, checks and groups as they may be.

use super::*;

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

pub(super) fn server_http2() -> impl Strategy<Value = ServerHttp2> {
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

fn sent() -> impl Strategy<Value = ProxyChoice> {
    prop::sample::select(vec![
        ProxyChoice::Inherit,
        ProxyChoice::Off,
        ProxyChoice::Own(ProxyVersion::V1),
        ProxyChoice::Own(ProxyVersion::V2),
    ])
}

pub(super) fn backend() -> impl Strategy<Value = Backend> {
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
            option::of(cookie()),
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
                let cookie = own_waits.3.filter(|_| mode == Mode::Http);
                if cookie.is_some() {
                    for server in servers.iter_mut().filter(|server| !server.backup) {
                        server.cookie = Some(Arc::clone(&server.name));
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
                    cookie,
                    // Lifted from HTTP/1 binds to it, a file would be refused.
                    protocol: Protocol::Http1,
                    http2,
                    tls: limits.2,
                    proxy_protocol: sent.of(None),
                }
            },
        )
}

fn cookie() -> impl Strategy<Value = Cookie> {
    let secure = prop::sample::select(vec![
        CookieSecure::Auto,
        CookieSecure::Always,
        CookieSecure::Never,
    ]);
    let same_site = prop::sample::select(vec![None, Some(SameSite::Lax), Some(SameSite::Strict)]);
    let age = || option::of((1_u64..1_000_000).prop_map(Duration::from_secs));
    (
        "[!#%&*+.A-Z^_`a-z|~-][$A-Z0-9]{0,9}",
        any::<[bool; 4]>(),
        (secure, same_site),
        (option::of("[a-z]{1,9}\\.[a-z]{2}"), "/[a-z/]{0,9}"),
        (age(), age(), age()),
        "[ -~]{0,9}",
    )
        .prop_map(|(name, flags, (secure, same_site), place, ages, key)| {
            let [indirect, nocache, preserve, httponly] = flags;
            Cookie {
                name: name.into(),
                indirect,
                nocache,
                preserve,
                httponly,
                secure,
                same_site,
                domain: place.0.map(Into::into),
                path: place.1.into(),
                max_age: ages.0,
                maxidle: ages.1,
                maxlife: ages.2,
                key: key.into(),
            }
        })
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
