//! The instances of a service, and what their checks say of them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bytes::Bytes;
use serde::Deserialize;

use super::{Query, Settings};
use crate::config::ConsulSource;
use crate::discovery::{Failure, FailureKind, Found, LeftOut, Member, Outlet, Standing};

/// Watches one service.
#[derive(Debug)]
pub(super) struct Health {
    service: String,
    tags: Vec<String>,
}

/// One instance, as `/v1/health/service/:name` has it. What may be null or
/// missing has a default.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
    #[serde(default)]
    checks: Option<Vec<Check>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    node: String,
    #[serde(default)]
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: u32,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
    #[serde(default)]
    weights: Option<Weights>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: u32,
    warning: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    #[serde(rename = "CheckID")]
    id: String,
    #[serde(default)]
    name: String,
    status: String,
    #[serde(default)]
    notes: String,
    #[serde(default)]
    output: String,
}

impl Health {
    pub(super) fn new(source: &ConsulSource) -> Self {
        Self {
            service: source.service.clone(),
            tags: source.tags.clone(),
        }
    }

    /// Watches until dropped.
    pub(super) async fn watch(self, settings: Settings, outlet: &Outlet) {
        let path = format!("/v1/health/service/{}", self.service);
        let mut query = Query::new(settings, &path, false);
        loop {
            match query.next().await {
                Ok(None) => outlet.still(),
                Ok(Some(answer)) => match self.read(answer.body).await {
                    Ok(found) => outlet.found(found),
                    Err(failure) => {
                        query.discard();
                        outlet.failed(failure);
                    }
                },
                Err(failure) => outlet.failed(failure),
            }
        }
    }

    async fn read(&self, body: Bytes) -> Result<Found, Failure> {
        let tags = self.tags.clone();
        read(&self.service, body, move |body| parse(body, &tags)).await
    }
}

/// What `parse` makes of an answer about `what`.
pub(super) async fn read<T: Send + 'static>(
    what: &str,
    body: Bytes,
    parse: impl FnOnce(&[u8]) -> Result<T, String> + Send + 'static,
) -> Result<T, Failure> {
    // 500 instances are 800 KiB of JSON.
    let parsed = tokio::task::spawn_blocking(move || parse(&body)).await;
    let parsed = parsed.unwrap_or_else(|panic| Err(panic.to_string()));
    parsed.map_err(|why| {
        let message = format!("what Consul says of {what}: {why}");
        Failure::new(FailureKind::Malformed, message)
    })
}

/// The members among the instances of an answer.
pub(super) fn parse(body: &[u8], tags: &[String]) -> Result<Found, String> {
    let entries: Vec<Entry> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut nodes_of: HashMap<String, u32> = HashMap::new();
    for entry in &entries {
        *nodes_of.entry(entry.service.id.clone()).or_default() += 1;
    }
    let mut found = Found::default();
    for entry in entries {
        // An id is unique within its agent alone.
        let id = format!("{}/{}", entry.node.node, entry.service.id);
        let name = match nodes_of.get(&entry.service.id) {
            Some(2..) => format!("{}:{}", entry.node.node, entry.service.id),
            _ => entry.service.id.clone(),
        };
        match member(entry, &id, name, tags) {
            Ok(member) => found.members.push(member),
            Err(why) => found.left_out.push(LeftOut::new(id, why)),
        }
    }
    found.members.sort_by(|a, b| a.id.cmp(&b.id));
    found.left_out.sort();
    Ok(found)
}

fn member(entry: Entry, id: &str, name: String, wanted: &[String]) -> Result<Member, String> {
    let Entry {
        node,
        service,
        checks,
    } = entry;
    let tags = service.tags.unwrap_or_default();
    if let Some(missing) = wanted.iter().find(|wanted| !tags.contains(wanted)) {
        return Err(format!("no tag {missing}"));
    }
    let address = match &*service.address {
        "" => &node.address,
        own => own,
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        return Err(format!(
            "its address {} is not an IP address: register it with one",
            address.escape_debug()
        ));
    };
    let port = match u16::try_from(service.port) {
        Ok(port) if port > 0 => port,
        _ => return Err("it has no port: register it with one".to_owned()),
    };
    let standing = judge(&service.id, &checks.unwrap_or_default());
    let weights = service.weights.unwrap_or(Weights {
        passing: 1,
        warning: 1,
    });
    Ok(Member {
        weight: match standing {
            Standing::Warning(_) => weights.warning,
            _ => weights.passing,
        },
        standing,
        tags,
        labels: service.meta.unwrap_or_default(),
        ..Member::new(id, name, (ip, port).into())
    })
}

/// The worst of its checks, maintenance before all.
fn judge(service: &str, checks: &[Check]) -> Standing {
    let own_maintenance = format!("_service_maintenance:{service}");
    let maintenance =
        |check: &&Check| check.id == "_node_maintenance" || check.id == own_maintenance;
    if let Some(check) = checks.iter().find(maintenance) {
        return Standing::Maintenance(short(&check.notes));
    }
    let why = |check: &Check| {
        let name = if check.name.is_empty() {
            &check.id
        } else {
            &check.name
        };
        match short(&check.output) {
            output if output.is_empty() => short(name),
            output => format!("{}: {output}", short(name)),
        }
    };
    let of = |status: &str| checks.iter().find(|check| check.status == status);
    let unknown = |check: &&Check| !matches!(&*check.status, "passing" | "warning" | "critical");
    if let Some(check) = of("critical") {
        Standing::Bad(why(check))
    } else if let Some(check) = checks.iter().find(unknown) {
        Standing::Bad(format!(
            "check {} is {}",
            short(&check.id),
            short(&check.status)
        ))
    } else if let Some(check) = of("warning") {
        Standing::Warning(why(check))
    } else {
        Standing::Good
    }
}

/// The first line of what others wrote, without what a terminal would obey.
fn short(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let clean = line.chars().filter(|c| !c.is_control());
    clean.take(WHY_MAX).collect()
}

/// Characters of a check's output that are kept: they are shown in a row.
const WHY_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(service: &str, checks: &str) -> String {
        format!(
            r#"{{"Node":{{"Node":"n1","Address":"10.0.0.1"}},"Service":{service},"Checks":{checks}}}"#
        )
    }

    fn one(service: &str, checks: &str, tags: &[&str]) -> Result<Member, String> {
        let body = format!("[{}]", entry(service, checks));
        let tags: Vec<_> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let mut found = parse(body.as_bytes(), &tags).unwrap();
        match found.members.pop() {
            Some(member) => Ok(member),
            None => Err(found.left_out.pop().unwrap().why),
        }
    }

    const WEB: &str = r#"{"ID":"web-1","Service":"web","Tags":["php","v1"],"Address":"","Port":80,
        "Meta":null,"Weights":{"Passing":3,"Warning":2}}"#;

    #[test]
    fn an_instance_is_a_member() {
        let member = one(WEB, "[]", &["php"]).unwrap();
        assert_eq!((&*member.id, &*member.name), ("n1/web-1", "web-1"));
        assert_eq!(member.address, "10.0.0.1:80".parse().unwrap());
        assert_eq!((member.weight, member.standing), (3, Standing::Good));
        assert_eq!(member.tags, ["php", "v1"]);
        // An agent of another age leaves out what it does not know.
        let bare = r#"{"ID":"a","Service":"a","Tags":null,"Address":"::1","Port":1}"#;
        let member = one(bare, "null", &[]).unwrap();
        assert_eq!(member.address, "[::1]:1".parse().unwrap());
        assert_eq!(member.weight, 1);
    }

    #[test]
    fn checks_are_judged_here() {
        let check = |id: &str, status: &str| {
            format!(
                r#"{{"CheckID":"{id}","Name":"disk","Status":"{status}","Notes":"moving","Output":"full\nvery"}}"#
            )
        };
        let judged = |checks: &[(&str, &str)]| {
            let checks: Vec<_> = checks
                .iter()
                .map(|(id, status)| check(id, status))
                .collect();
            let member = one(WEB, &format!("[{}]", checks.join(",")), &[]).unwrap();
            (member.standing, member.weight)
        };
        let why = || "disk: full".to_owned();
        let good = ("serfHealth", "passing");
        assert_eq!(judged(&[good]), (Standing::Good, 3));
        assert_eq!(
            judged(&[good, ("c", "warning")]),
            (Standing::Warning(why()), 2)
        );
        assert_eq!(
            judged(&[good, ("c", "warning"), ("d", "critical")]),
            (Standing::Bad(why()), 3)
        );
        for id in ["_node_maintenance", "_service_maintenance:web-1"] {
            assert_eq!(
                judged(&[("c", "critical"), (id, "critical")]).0,
                Standing::Maintenance("moving".to_owned())
            );
        }
        let other = judged(&[("_service_maintenance:web-2", "critical")]).0;
        assert_eq!(other, Standing::Bad(why()));
        assert!(matches!(judged(&[("c", "burning")]).0, Standing::Bad(_)));
    }

    #[test]
    fn what_is_left_out_says_why() {
        assert_eq!(
            one(WEB, "[]", &["production"]).unwrap_err(),
            "no tag production"
        );
        let named = WEB.replace(r#""Address":"""#, r#""Address":"web.example""#);
        assert!(
            one(&named, "[]", &[])
                .unwrap_err()
                .contains("not an IP address")
        );
        let portless = WEB.replace("80", "0");
        assert!(one(&portless, "[]", &[]).unwrap_err().contains("no port"));
    }

    #[test]
    fn an_id_that_two_nodes_share_is_named_with_its_node() {
        let other = entry(WEB, "[]").replace("n1", "n2");
        let body = format!("[{other},{}]", entry(WEB, "[]"));
        let found = parse(body.as_bytes(), &[]).unwrap();
        let names: Vec<_> = found.members.iter().map(|m| (&*m.id, &*m.name)).collect();
        assert_eq!(names, [("n1/web-1", "n1:web-1"), ("n2/web-1", "n2:web-1")]);
    }

    #[test]
    fn what_is_not_an_answer_is_an_error() {
        for body in ["", "[", "{}", "[{}]", "null", "[]x"] {
            assert!(parse(body.as_bytes(), &[]).is_err(), "{body}");
        }
        assert_eq!(parse(b"[]", &[]).unwrap(), Found::default());
    }
}
