//! Frontends, binds and routes as they may be.

use super::*;

pub(super) fn frontend() -> impl Strategy<Value = Frontend> {
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

pub(super) fn frontend_tls() -> impl Strategy<Value = FrontendTls> {
    let auth = prop::sample::select(vec![ClientAuth::Optional, ClientAuth::Required]);
    let alpn = prop::sample::subsequence(vec![Alpn::H2, Alpn::Http11], 0..3);
    (
        vec(path(), 1..3),
        any::<bool>(),
        prop::sample::select(vec![TlsVersion::Tls12, TlsVersion::Tls13]),
        prop::sample::subsequence(grammar::tls::CIPHER_SUITES, 0..9),
        (0_usize..17, alpn),
        option::of((auth, path(), option::of(path()))),
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
                ca_file: auth.as_ref().map(|auth| auth.1.clone()),
                crl_file: auth.and_then(|auth| auth.2),
            },
        )
}

pub(super) fn path() -> impl Strategy<Value = PathBuf> {
    "[a-z/$\u{e9}]{1,9}".prop_map(PathBuf::from)
}

fn client_http2() -> impl Strategy<Value = ClientHttp2> {
    let floods = (prop::array::uniform6(1_u32..1_000), 1_u64..3_600);
    (server_http2(), any::<bool>(), floods).prop_map(|(both, websockets, (counts, per))| {
        ClientHttp2 {
            streams: both.streams,
            window: both.window,
            connection_window: both.connection_window,
            websockets,
            floods: Floods {
                per: Duration::from_secs(per),
                resets: counts[0],
                faults: counts[1],
                pings: counts[2],
                settings: counts[3],
                idle_frames: counts[4],
                continuations: counts[5],
            },
        }
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
    (
        option::of(sni),
        vec("[!-~]{1,9}", 0..3),
        option::of(0_usize..4),
    )
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
        prop_oneof![
            (0_usize..4).prop_map(RouteTo::Backend),
            prop::sample::select(RouteTo::STATUSES).prop_map(RouteTo::Deny),
        ],
    )
        .prop_map(|(host, path_prefix, methods, headers, to)| Route {
            host,
            path_prefix,
            methods,
            headers,
            to,
        })
        .prop_filter("a condition", |route| {
            route.host.is_some()
                || route.path_prefix.is_some()
                || !route.methods.is_empty()
                || !route.headers.is_empty()
        })
}
