//! Services that announce sites by their tags: `rlb.host=demo.example.com`.
//!
//! One query follows the list of all services with their tags; only those with a tag
//! of ours get a query on their instances.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::rc::Rc;

use tokio::task::JoinHandle;

use super::health::{parse, read};
use super::{Query, Settings};
use crate::discovery::docker::labels;
use crate::discovery::{Found, LeftOut, Outlet, Provider, SourceId};

/// Watches the list.
pub(super) struct Catalog {
    settings: Settings,
    /// Most services that are looked at.
    most: usize,
}

/// What the watches of the services share.
struct Shared {
    outlet: Outlet,
    /// By service; `None` = it did not answer yet.
    found: RefCell<BTreeMap<String, Option<Found>>>,
    /// Services beyond what may be watched.
    left_out: RefCell<Vec<LeftOut>>,
    /// Each is said once.
    warned: RefCell<HashSet<String>>,
}

/// A watch that ends when this is dropped.
struct Watch(JoinHandle<()>);

impl Catalog {
    pub(super) fn new(settings: Settings, most: usize) -> Self {
        Self { settings, most }
    }
}

impl Provider for Catalog {
    fn plan(&self) -> String {
        format!("catalog {} {:?}", self.most, self.settings)
    }

    fn sources(&self) -> Vec<SourceId> {
        vec![SourceId::sites("consul")]
    }

    fn run(&self, outlets: Vec<Outlet>) -> Pin<Box<dyn Future<Output = ()>>> {
        let (settings, most) = (self.settings.clone(), self.most);
        Box::pin(async move {
            if let [outlet] = &outlets[..] {
                follow(settings, most, outlet).await;
            }
        })
    }
}

async fn follow(settings: Settings, most: usize, outlet: &Outlet) {
    let shared = Rc::new(Shared {
        outlet: outlet.clone(),
        found: RefCell::default(),
        left_out: RefCell::default(),
        warned: RefCell::default(),
    });
    let mut watches: BTreeMap<String, Watch> = BTreeMap::new();
    let mut query = Query::new(settings.clone(), "/v1/catalog/services", false);
    loop {
        let services = match query.next().await {
            Ok(None) => {
                outlet.still();
                continue;
            }
            Ok(Some(answer)) => read("the catalog", answer.body, tagged).await,
            Err(failure) => {
                outlet.failed(failure);
                continue;
            }
        };
        let services = match services {
            Ok(services) => services,
            Err(failure) => {
                query.discard();
                outlet.failed(failure);
                continue;
            }
        };
        let watched: Vec<_> = services.iter().take(most).cloned().collect();
        let why = "not watched: more services than discovery.consul.max_watches";
        let beyond = services
            .iter()
            .skip(most)
            .map(|name| LeftOut::new(name, why));
        shared.left_out.replace(beyond.collect());
        watches.retain(|name, _| watched.contains(name));
        shared
            .found
            .borrow_mut()
            .retain(|name, _| watched.contains(name));
        for name in watched {
            watches.entry(name).or_insert_with_key(|name| {
                shared.found.borrow_mut().insert(name.clone(), None);
                let watch = instances(settings.clone(), name.clone(), Rc::clone(&shared));
                Watch(tokio::task::spawn_local(watch))
            });
        }
        shared.tell();
    }
}

/// Follows the instances of one service.
async fn instances(settings: Settings, service: String, shared: Rc<Shared>) {
    let path = format!("/v1/health/service/{service}");
    let mut query = Query::new(settings, &path, false);
    loop {
        let name = service.clone();
        let found = match query.next().await {
            Ok(None) => continue,
            Ok(Some(answer)) => read(&service, answer.body, move |body| sites(&name, body)).await,
            Err(failure) => Err(failure),
        };
        match found {
            Ok((found, warnings)) => {
                shared.warn(warnings);
                shared
                    .found
                    .borrow_mut()
                    .insert(service.clone(), Some(found));
                shared.tell();
            }
            Err(failure) => {
                query.discard();
                shared.outlet.failed(failure);
            }
        }
    }
}

impl Shared {
    /// Says what all of them have, once each has answered: half of it would take
    /// servers away.
    fn tell(&self) {
        let found = self.found.borrow();
        if found.values().any(Option::is_none) {
            return;
        }
        let mut all = Found::default();
        for found in found.values().flatten() {
            all.members.extend(found.members.iter().cloned());
            all.left_out.extend(found.left_out.iter().cloned());
        }
        all.left_out.extend(self.left_out.borrow().iter().cloned());
        self.outlet.found(all);
    }

    fn warn(&self, warnings: Vec<String>) {
        for warning in warnings {
            if self.warned.borrow().len() < WARNINGS_MAX
                && self.warned.borrow_mut().insert(warning.clone())
            {
                tracing::warn!("{warning}");
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The services that have a tag of ours, by name.
fn tagged(body: &[u8]) -> Result<Vec<String>, String> {
    let services: BTreeMap<String, Option<Vec<String>>> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let ours = |tags: &Vec<String>| tags.iter().any(|tag| tag.starts_with(labels::PREFIX));
    // What does not fit into a path as it is is nobody's service name.
    let plain = |name: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        name.bytes().all(known)
    };
    let tagged = services
        .into_iter()
        .filter(|(name, tags)| plain(name) && tags.as_ref().is_some_and(ours));
    Ok(tagged.map(|(name, _)| name).collect())
}

/// The instances that announce a site, and what was not understood.
fn sites(service: &str, body: &[u8]) -> Result<(Found, Vec<String>), String> {
    let all = parse(body, &[])?;
    let mut found = Found {
        members: Vec::new(),
        left_out: all.left_out,
    };
    let mut warnings = Vec::new();
    for mut member in all.members {
        let pairs = member.tags.iter().filter_map(|tag| tag.split_once('='));
        let reading = labels::read(pairs);
        warnings.extend(
            reading
                .warnings
                .into_iter()
                .map(|w| format!("consul service {service}: {w}")),
        );
        let announced = match (reading.refused, reading.announced.into_iter().next()) {
            (Some(why), _) => Err(why),
            (None, None) => Err("no rlb.host and no rlb.backend tag".to_owned()),
            (None, Some(announced)) => Ok(announced),
        };
        match announced {
            Ok(announced) => {
                member.site = Some(Box::new(announced.site(service, 0)));
                if let Some(weight) = announced.weight {
                    member.weight = u32::from(weight);
                }
                member.tier = u16::from(announced.backup);
                found.members.push(member);
            }
            Err(why) => found.left_out.push(LeftOut::new(&member.id, why)),
        }
    }
    Ok((found, warnings))
}

/// Warnings that are remembered: tags are others' to write.
const WARNINGS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_services_with_a_tag_of_ours_are_looked_at() {
        let body = br#"{"consul":[],"web":["php","rlb.host=a.example"],"x":null,"a/b":["rlb.enable=true"]}"#;
        assert_eq!(tagged(body).unwrap(), ["web"]);
        assert!(tagged(b"[]").is_err());
    }

    #[test]
    fn tags_make_sites_instance_by_instance() {
        let entry = |id: &str, tags: &str| {
            format!(
                r#"{{"Node":{{"Node":"n","Address":"10.0.0.1"}},"Service":{{"ID":"{id}","Service":"web","Tags":{tags},"Port":80}},"Checks":[]}}"#
            )
        };
        let body = format!(
            "[{},{},{},{}]",
            entry("a", r#"["rlb.host=demo.example.com","rlb.weight=5","v1"]"#),
            entry("b", r#"["v1"]"#),
            entry("c", r#"["rlb.host=a b"]"#),
            entry("d", r#"["rlb.backend=nodes","rlb.hots=x"]"#),
        );
        let (found, warnings) = sites("web", body.as_bytes()).unwrap();
        let [a, d] = &found.members[..] else {
            panic!("{found:?}")
        };
        let site = a.site.as_ref().unwrap();
        assert_eq!((&*site.backend, a.weight), ("demo_example_com", 5));
        assert_eq!(site.hosts, ["demo.example.com"]);
        assert_eq!(d.site.as_ref().unwrap().backend, "nodes");
        let left_out: Vec<_> = found.left_out.iter().map(|l| &*l.who).collect();
        assert_eq!(left_out, ["n/b", "n/c"]);
        assert!(
            warnings[0].contains("did you mean rlb.host?"),
            "{warnings:?}"
        );
    }
}
