//! Where a container is reached: one address and one port, or the reason why not.
//! Deterministic: the same list gives the same answer, whatever order it came in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::api::{Listed, Network, Port};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    /// The port inside; `None` = the only one.
    pub(crate) port: Option<u16>,
    /// The network, as Docker or as compose calls it; `None` = any that is reached.
    pub(crate) network: Option<&'a str>,
    /// The published port on the engine's host.
    pub(crate) published: bool,
    /// The key that says the port, for the remedy: `rlb.port`.
    pub(crate) port_key: &'a str,
}

/// Where we stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standpoint {
    /// Networks of our own container; `None` = on the host, or the engine is
    /// another host's: whether a network is reached shows when it is tried.
    pub(crate) networks: Option<BTreeSet<String>>,
    /// Where ports published on every address are reached; `None` = unknown.
    pub(crate) host: Option<IpAddr>,
}

/// Where `container` is reached. `all` are the containers of the same engine.
///
/// # Errors
/// Half a sentence with the remedy.
pub(crate) fn address(
    container: &Listed,
    all: &[Listed],
    wanted: &Wanted<'_>,
    from: &Standpoint,
) -> Result<SocketAddr, String> {
    if wanted.published {
        return published(container, wanted, from);
    }
    let mode = &*container.host_config.network_mode;
    match mode {
        "host" => {
            let port = in_the_hosts_network(container, wanted)?;
            let ip = from.host.ok_or(
                "runs in the host's network: set discovery.docker.host_ip to an address of the host",
            )?;
            Ok((ip, port).into())
        }
        "none" => Err("has no network (network_mode none)".to_owned()),
        _ => {
            let owner = match mode.strip_prefix("container:") {
                Some(id) => owner(id, all)?,
                None => container,
            };
            // Its own ports may be exposed by either of the two.
            let port = match port(container, wanted) {
                Err(_) if owner.id != container.id => port(owner, wanted)?,
                port => port?,
            };
            let ip = ip(owner, wanted.network, from)?;
            Ok((ip, port).into())
        }
    }
}

/// The container whose network another one shares.
fn owner<'a>(id: &str, all: &'a [Listed]) -> Result<&'a Listed, String> {
    // Docker writes the whole id, Podman and people may write less, or a name.
    let found = all
        .iter()
        .find(|other| !id.is_empty() && (other.id.starts_with(id) || other.name() == id));
    let short = id.get(..12).unwrap_or(id);
    let owner =
        found.ok_or_else(|| format!("shares the network of {short}, which is not running"))?;
    match owner.host_config.network_mode.starts_with("container:") {
        true => Err(format!(
            "shares the network of {short}, which shares another's"
        )),
        false => Ok(owner),
    }
}

/// The port inside.
fn port(container: &Listed, wanted: &Wanted<'_>) -> Result<u16, String> {
    if let Some(port) = wanted.port {
        return Ok(port);
    }
    let exposed: BTreeSet<u16> = tcp(container).map(|port| port.private_port).collect();
    only(&exposed, "exposed", wanted.port_key)
}

/// Exposed ports say nothing there: the list of such a container is empty.
fn in_the_hosts_network(container: &Listed, wanted: &Wanted<'_>) -> Result<u16, String> {
    let key = wanted.port_key;
    port(container, wanted).map_err(|_| format!("runs in the host's network: set {key}"))
}

fn only(ports: &BTreeSet<u16>, what: &str, key: &str) -> Result<u16, String> {
    match ports.len() {
        0 => Err(format!("no {what} TCP port: set {key}")),
        1 => Ok(ports.first().copied().unwrap_or_default()),
        count => {
            let ports: Vec<_> = ports.iter().take(PORTS_SHOWN).map(u16::to_string).collect();
            let more = if count > PORTS_SHOWN { ", ..." } else { "" };
            let list = ports.join(", ");
            Err(format!(
                "{} {what} ports {list}{more}: set {key}",
                in_words(count)
            ))
        }
    }
}

fn tcp(container: &Listed) -> impl Iterator<Item = &Port> {
    let is_tcp = |port: &&Port| matches!(&*port.protocol, "tcp" | "");
    container.ports.iter().filter(is_tcp)
}

/// The port on the engine's host.
fn published(
    container: &Listed,
    wanted: &Wanted<'_>,
    from: &Standpoint,
) -> Result<SocketAddr, String> {
    if container.host_config.network_mode == "host" {
        let port = in_the_hosts_network(container, wanted)?;
        let ip = from.host.ok_or(NO_HOST)?;
        return Ok((ip, port).into());
    }
    // One port may be published more than once, for IPv4 and IPv6 at least.
    let mut public: BTreeMap<u16, Vec<&Port>> = BTreeMap::new();
    for port in tcp(container).filter(|port| port.public_port != 0) {
        public.entry(port.private_port).or_default().push(port);
    }
    let inside = match wanted.port {
        Some(port) => port,
        None => only(
            &public.keys().copied().collect(),
            "published",
            wanted.port_key,
        )?,
    };
    let places = public.get(&inside).ok_or_else(|| {
        format!("port {inside} is not published: publish it, or use address = \"container\"")
    })?;
    let bound = places
        .iter()
        .map(|port| (port.ip.parse::<IpAddr>().ok(), port.public_port));
    // A port bound to one address is reached there; else IPv4 before IPv6.
    let mut bound: Vec<_> = bound.collect();
    bound.sort_by_key(|(ip, port)| {
        let everywhere = ip.is_none_or(|ip| ip.is_unspecified());
        (everywhere, ip.is_some_and(|ip| ip.is_ipv6()), *ip, *port)
    });
    match bound[0] {
        (Some(ip), port)
            if ip.is_loopback() && from.host.is_some_and(|host| !host.is_loopback()) =>
        {
            Err(format!("port {port} is published on {ip} of its host only"))
        }
        (Some(ip), port) if !ip.is_unspecified() => Ok((ip, port).into()),
        (_, port) => Ok((from.host.ok_or(NO_HOST)?, port).into()),
    }
}

/// Its address in the network that is asked for, or in the first one that is reached.
fn ip(container: &Listed, network: Option<&str>, from: &Standpoint) -> Result<IpAddr, String> {
    let networks = &container.network_settings.networks;
    let names = || {
        let names: Vec<_> = networks.keys().map(String::as_str).collect();
        names.join(", ")
    };
    if networks.is_empty() {
        return Err("has no network".to_owned());
    }
    if let Some(wanted) = network {
        // Compose puts its project in front.
        let in_project = container
            .project()
            .map(|project| format!("{project}_{wanted}"));
        let found = networks
            .get_key_value(wanted)
            .or_else(|| networks.get_key_value(&in_project?));
        let (name, network) =
            found.ok_or_else(|| format!("is not in the network {wanted}, but in {}", names()))?;
        if let Some(own) = &from.networks
            && !own.contains(name)
        {
            return Err(format!("this container is not in its network {name}"));
        }
        return ip_in(network).ok_or_else(|| format!("has no address in the network {name}"));
    }
    let shared = |name: &String| from.networks.as_ref().is_none_or(|own| own.contains(name));
    let mut reached = networks.iter().filter(|(name, _)| shared(name)).peekable();
    if reached.peek().is_none() {
        return Err(format!(
            "no network shared with this container: {}",
            names()
        ));
    }
    let mut addresses = reached.filter_map(|(_, network)| ip_in(network));
    addresses
        .next()
        .ok_or_else(|| format!("has no address yet in {}", names()))
}

fn ip_in(network: &Network) -> Option<IpAddr> {
    let parse = |text: &str| {
        text.parse::<IpAddr>()
            .ok()
            .filter(|ip| !ip.is_unspecified())
    };
    parse(&network.ipv4).or_else(|| parse(&network.ipv6))
}

fn in_words(count: usize) -> String {
    const WORDS: [&str; 8] = [
        "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ];
    let word = count.checked_sub(2).and_then(|index| WORDS.get(index));
    word.map_or_else(|| count.to_string(), |word| (*word).to_owned())
}

/// Where an engine on the same machine publishes, seen from outside of containers.
pub(crate) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORTS_SHOWN: usize = 8;
const NO_HOST: &str =
    "published on every address of its host: set discovery.docker.host_ip to one of them";

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Wanted<'static> = Wanted {
        port: None,
        network: None,
        published: false,
        port_key: "rlb.port",
    };

    fn container(json: &str) -> Listed {
        serde_json::from_str(json).unwrap()
    }

    fn in_networks(names: &[(&str, &str)]) -> Listed {
        let mut listed = container(
            r#"{"Id":"aa","Names":["/demo-web-1"],"Ports":[{"PrivatePort":80,"Type":"tcp"}],"Labels":{"com.docker.compose.project":"demo"}}"#,
        );
        for (name, ip) in names {
            let network = Network {
                ipv4: (*ip).to_owned(),
                ..Network::default()
            };
            listed
                .network_settings
                .networks
                .insert((*name).to_owned(), network);
        }
        listed
    }

    fn inside(names: &[&str]) -> Standpoint {
        Standpoint {
            networks: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            host: None,
        }
    }

    fn on_host() -> Standpoint {
        Standpoint {
            networks: None,
            host: Some(LOCALHOST),
        }
    }

    fn look(listed: &Listed, wanted: Wanted<'_>, from: &Standpoint) -> Result<String, String> {
        let address = address(listed, std::slice::from_ref(listed), &wanted, from);
        address.map(|address| address.to_string())
    }

    #[test]
    fn the_network_is_one_we_share_and_always_the_same() {
        let web = in_networks(&[("demo_back", "10.1.0.2"), ("demo_front", "10.2.0.2")]);
        for (from, expected) in [
            (on_host(), Ok("10.1.0.2:80")),
            (inside(&["demo_front"]), Ok("10.2.0.2:80")),
            (inside(&["demo_front", "demo_back"]), Ok("10.1.0.2:80")),
            (
                inside(&["other"]),
                Err("no network shared with this container: demo_back, demo_front"),
            ),
        ] {
            let got = look(&web, PLAIN, &from);
            assert_eq!(got.as_deref().map_err(|e| &**e), expected);
        }
    }

    #[test]
    fn a_network_is_named_as_docker_or_as_compose_does() {
        let web = in_networks(&[("demo_back", "10.1.0.2"), ("demo_front", "10.2.0.2")]);
        let named = |network| Wanted {
            network: Some(network),
            ..PLAIN
        };
        assert_eq!(
            look(&web, named("front"), &on_host()).unwrap(),
            "10.2.0.2:80"
        );
        assert_eq!(
            look(&web, named("demo_front"), &on_host()).unwrap(),
            "10.2.0.2:80"
        );
        assert_eq!(
            look(&web, named("side"), &on_host()).unwrap_err(),
            "is not in the network side, but in demo_back, demo_front"
        );
        assert_eq!(
            look(&web, named("front"), &inside(&["demo_back"])).unwrap_err(),
            "this container is not in its network demo_front"
        );
    }

    #[test]
    fn the_port_is_the_only_one_or_named() {
        let ports = |list: &str| {
            container(&format!(
                r#"{{"Id":"aa","Ports":[{list}],"NetworkSettings":{{"Networks":{{"b":{{"IPAddress":"10.0.0.2"}}}}}}}}"#
            ))
        };
        let tcp = |port: u16| format!(r#"{{"PrivatePort":{port},"Type":"tcp"}}"#);
        let udp = r#"{"PrivatePort":53,"Type":"udp"}"#;
        for (list, expected) in [
            (tcp(80), Ok("10.0.0.2:80")),
            // Published twice, exposed once.
            (format!("{},{},{udp}", tcp(80), tcp(80)), Ok("10.0.0.2:80")),
            (
                format!("{},{}", tcp(8080), tcp(80)),
                Err("two exposed ports 80, 8080: set rlb.port"),
            ),
            (udp.to_owned(), Err("no exposed TCP port: set rlb.port")),
        ] {
            let got = look(&ports(&list), PLAIN, &on_host());
            assert_eq!(got.as_deref().map_err(|e| &**e), expected, "{list}");
        }
        let named = Wanted {
            port: Some(9000),
            ..PLAIN
        };
        assert_eq!(
            look(&ports(udp), named, &on_host()).unwrap(),
            "10.0.0.2:9000"
        );
    }

    #[test]
    fn host_none_and_shared_networks() {
        let mode = |mode: &str| {
            container(&format!(
                r#"{{"Id":"aa","HostConfig":{{"NetworkMode":"{mode}"}}}}"#
            ))
        };
        let with_port = Wanted {
            port: Some(80),
            ..PLAIN
        };
        assert_eq!(
            look(&mode("host"), with_port, &on_host()).unwrap(),
            "127.0.0.1:80"
        );
        assert_eq!(
            look(&mode("host"), PLAIN, &on_host()).unwrap_err(),
            "runs in the host's network: set rlb.port"
        );
        let unreached = look(&mode("host"), with_port, &inside(&["demo"])).unwrap_err();
        assert!(unreached.contains("host_ip"), "{unreached}");
        assert_eq!(
            look(&mode("none"), with_port, &on_host()).unwrap_err(),
            "has no network (network_mode none)"
        );
        assert_eq!(
            look(&mode("container:bbbbbbbbbbbbbbbb"), with_port, &on_host()).unwrap_err(),
            "shares the network of bbbbbbbbbbbb, which is not running"
        );
        let owner = in_networks(&[("demo_front", "10.2.0.2")]);
        let sharing = container(r#"{"Id":"cc","HostConfig":{"NetworkMode":"container:aa"}}"#);
        let both = [owner, sharing.clone()];
        let got = address(&sharing, &both, &PLAIN, &on_host()).unwrap();
        assert_eq!(got.to_string(), "10.2.0.2:80");
    }

    #[test]
    fn published_ports_are_reached_on_the_host() {
        let published = Wanted {
            published: true,
            ..PLAIN
        };
        let with = |ports: &str| container(&format!(r#"{{"Id":"aa","Ports":[{ports}]}}"#));
        let everywhere = with(
            r#"{"IP":"::","PrivatePort":80,"PublicPort":32769,"Type":"tcp"},
               {"IP":"0.0.0.0","PrivatePort":80,"PublicPort":32768,"Type":"tcp"},
               {"PrivatePort":443,"Type":"tcp"}"#,
        );
        assert_eq!(
            look(&everywhere, published, &on_host()).unwrap(),
            "127.0.0.1:32768"
        );
        assert!(
            look(&everywhere, published, &inside(&[]))
                .unwrap_err()
                .contains("host_ip")
        );
        let port = Wanted {
            port: Some(443),
            ..published
        };
        assert_eq!(
            look(&everywhere, port, &on_host()).unwrap_err(),
            "port 443 is not published: publish it, or use address = \"container\""
        );
        let one = with(r#"{"IP":"10.9.0.1","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}"#);
        assert_eq!(
            look(&one, published, &inside(&[])).unwrap(),
            "10.9.0.1:8080"
        );
        let remote = Standpoint {
            networks: None,
            host: Some([10, 0, 0, 7].into()),
        };
        let local = with(r#"{"IP":"127.0.0.1","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}"#);
        assert_eq!(
            look(&local, published, &on_host()).unwrap(),
            "127.0.0.1:8080"
        );
        assert_eq!(
            look(&local, published, &remote).unwrap_err(),
            "port 8080 is published on 127.0.0.1 of its host only"
        );
    }

    #[test]
    fn an_ipv6_network_has_an_address_too() {
        let mut web = in_networks(&[]);
        let network = Network {
            ipv6: "fd00::2".into(),
            ..Network::default()
        };
        web.network_settings.networks.insert("six".into(), network);
        assert_eq!(look(&web, PLAIN, &on_host()).unwrap(), "[fd00::2]:80");
    }
}
