//! What is registered, and the keys.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Fault;
use super::wire::Answer;

#[derive(Debug, Default)]
pub(super) struct State {
    /// Of the whole store.
    pub(super) index: u64,
    pub(super) services: BTreeMap<String, Service>,
    /// What blocked queries on a service, or on the list of services, compare with.
    pub(super) touched: BTreeMap<String, u64>,
    pub(super) keys: BTreeMap<String, (String, u64)>,
    pub(super) keys_index: u64,
    pub(super) fault: Option<Fault>,
    pub(super) requests: usize,
    /// Counts restarts and stops: connections of before end.
    pub(super) life: u64,
    pub(super) is_down: bool,
    pub(super) token: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) body: Value,
    /// Of its TTL check, if it has one.
    pub(super) status: Option<&'static str>,
    pub(super) maintenance: bool,
}

impl State {
    fn touch(&mut self, name: &str) {
        self.index += 1;
        self.touched.insert(name.to_owned(), self.index);
        self.touched.insert(String::new(), self.index);
    }

    pub(super) fn register(&mut self, body: &str) -> bool {
        let Ok(mut body) = serde_json::from_str::<Value>(body) else {
            return false;
        };
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        let id = body["ID"].as_str().unwrap_or(&name).to_owned();
        body["ID"] = json!(id);
        let check = body["Check"].clone();
        let initial = match check["Status"].as_str() {
            Some("passing") => "passing",
            _ => "critical",
        };
        let before = self.services.get(&id);
        let status = (!check["TTL"].is_null())
            .then(|| before.and_then(|service| service.status).unwrap_or(initial));
        let maintenance = before.is_some_and(|service| service.maintenance);
        if before.is_some_and(|before| before.body == body) {
            return true;
        }
        self.services.insert(
            id,
            Service {
                body,
                status,
                maintenance,
            },
        );
        self.touch(&name);
        true
    }

    pub(super) fn deregister(&mut self, id: &str) -> bool {
        let Some(service) = self.services.remove(id) else {
            return false;
        };
        self.touch(service.body["Name"].as_str().unwrap_or_default());
        true
    }

    pub(super) fn change(&mut self, id: &str, change: impl FnOnce(&mut Service)) -> bool {
        let Some(service) = self.services.get_mut(id) else {
            return false;
        };
        let before = (service.status, service.maintenance);
        change(service);
        // The same verdict again wakes nobody.
        if before != (service.status, service.maintenance) {
            let name = service.body["Name"].as_str().unwrap_or_default().to_owned();
            self.touch(&name);
        }
        true
    }

    pub(super) fn put_key(&mut self, key: &str, value: &str) -> bool {
        if self.keys.get(key).is_none_or(|(known, _)| known != value) {
            self.index += 1;
            self.keys_index = self.index;
            self.keys
                .insert(key.to_owned(), (value.to_owned(), self.index));
        }
        true
    }

    pub(super) fn delete_key(&mut self, key: &str) -> bool {
        if self.keys.remove(key).is_some() {
            self.index += 1;
            self.keys_index = self.index;
        }
        true
    }

    pub(super) fn read(&self, parts: &[&str]) -> Answer {
        let (index, status, body) = match parts {
            ["health", "service", name] => {
                let of = |service: &&Service| service.body["Name"] == **name;
                let entries = self.services.values().filter(of).map(Service::entry);
                let index = self.touched.get(*name).copied();
                (index, 200, json!(entries.collect::<Vec<_>>()))
            }
            ["catalog", "services"] => {
                let mut names = BTreeMap::from([("consul".to_owned(), Vec::new())]);
                for service in self.services.values() {
                    let name = service.body["Name"].as_str().unwrap_or_default();
                    let tags = service.body["Tags"].as_array().cloned().unwrap_or_default();
                    let known = names.entry(name.to_owned()).or_default();
                    known.extend(
                        tags.into_iter()
                            .filter_map(|t| Some(t.as_str()?.to_owned())),
                    );
                }
                (self.touched.get("").copied(), 200, json!(names))
            }
            ["kv", ..] => {
                let prefix = parts[1..].join("/");
                let under = self.keys.iter().filter(|(key, _)| key.starts_with(&prefix));
                let pairs: Vec<_> = under.map(|(key, (value, _))| pair(key, value)).collect();
                let index = Some(self.keys_index.max(2));
                match pairs.is_empty() {
                    true => (index, 404, Value::Null),
                    false => (index, 200, json!(pairs)),
                }
            }
            _ => (None, 404, Value::Null),
        };
        Answer {
            status,
            index: Some(index.unwrap_or(2)),
            body: if body.is_null() {
                String::new()
            } else {
                body.to_string()
            },
        }
    }
}

impl Service {
    /// As the health endpoint shows it.
    fn entry(&self) -> Value {
        let id = self.body["ID"].as_str().unwrap_or_default();
        let mut checks = vec![json!({
            "CheckID": "serfHealth", "Name": "Serf Health Status", "Status": "passing",
            "Notes": "", "Output": "Agent alive and reachable",
        })];
        if let Some(status) = self.status {
            checks.push(json!({
                "CheckID": format!("service:{id}"), "Name": "Service check",
                "Status": status, "Notes": "", "Output": "",
            }));
        }
        if self.maintenance {
            checks.push(json!({
                "CheckID": format!("_service_maintenance:{id}"),
                "Name": "Service Maintenance Mode", "Status": "critical",
                "Notes": "moving", "Output": "",
            }));
        }
        let weights = match &self.body["Weights"] {
            Value::Null => json!({ "Passing": 1, "Warning": 1 }),
            weights => weights.clone(),
        };
        json!({
            "Node": { "Node": "fake", "Address": "127.0.0.1" },
            "Service": {
                "ID": id, "Service": self.body["Name"], "Tags": self.body["Tags"],
                "Address": self.body["Address"].as_str().unwrap_or_default(),
                "Port": self.body["Port"], "Meta": self.body["Meta"], "Weights": weights,
            },
            "Checks": checks,
        })
    }
}

fn pair(key: &str, value: &str) -> Value {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if value.is_empty() {
        return json!({ "Key": key, "Value": null });
    }
    let mut text = String::new();
    for three in value.as_bytes().chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            match i <= three.len() {
                true => text.push(char::from(LETTERS[(bits >> (18 - 6 * i) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    json!({ "Key": key, "Value": text })
}
