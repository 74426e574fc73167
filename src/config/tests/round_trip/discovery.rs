//! Sources as they may be.

use super::*;

pub(super) fn source() -> impl Strategy<Value = Source> {
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

pub(super) fn discovery() -> impl Strategy<Value = Discovery> {
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
