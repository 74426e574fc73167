//! The values under a prefix of the KV store.

use std::collections::BTreeMap;
use std::pin::pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::{Query, Settings};
use crate::config;
use crate::discovery::http::Answer;
use crate::discovery::{Failure, FailureKind};

/// Follows the values under a prefix until dropped.
#[derive(Debug)]
pub(crate) struct KvWatch {
    state: watch::Receiver<Kv>,
    task: JoinHandle<()>,
}

/// What is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kv {
    /// Whole keys and their values; a value that is not UTF-8 is left out. `None` =
    /// nothing was heard yet. An error leaves it as it was.
    pub(crate) values: Option<BTreeMap<String, String>>,
    /// Why the last try failed.
    pub(crate) error: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    key: String,
    /// Base64; null is empty.
    value: Option<String>,
}

/// Values that may still be half of what somebody writes.
struct Unsettled {
    values: BTreeMap<String, String>,
    since: Instant,
    at: Instant,
}

impl KvWatch {
    /// Watches `prefix` (or one key) as `[discovery.consul]` says. Needs a local
    /// runtime.
    pub(crate) fn start(discovery: &config::Discovery, prefix: &str) -> Self {
        let (sender, state) = watch::channel(Kv::default());
        let settings = Settings::of(discovery);
        let task = tokio::task::spawn_local(follow(settings, prefix.to_owned(), sender));
        Self { state, task }
    }

    /// Waits until that is something else than when it was asked for last.
    pub(crate) async fn changed(&mut self) -> Kv {
        if self.state.changed().await.is_err() {
            // Only a panic ends the task; what it found last stays.
            std::future::pending::<()>().await;
        }
        self.state.borrow_and_update().clone()
    }
}

impl Drop for KvWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The first map goes out at once. Of a later one the first sight may be half
/// written (two puts are two changes): it goes out when nothing more came for a
/// moment.
async fn follow(settings: Settings, prefix: String, out: watch::Sender<Kv>) {
    let (coalesce, max_delay) = (settings.coalesce, settings.max_delay);
    let path = format!("/v1/kv/{}?recurse=", encode(&prefix));
    let mut query = Query::new(settings, &path, true);
    let mut unsettled: Option<Unsettled> = None;
    loop {
        let heard = {
            let mut next = pin!(query.next());
            loop {
                let due = unsettled.as_ref().map(|unsettled| unsettled.at);
                let settled = async {
                    match due {
                        Some(due) => sleep_until(due).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    heard = &mut next => break heard,
                    () = settled => send(&out, unsettled.take().map(|u| u.values)),
                }
            }
        };
        let values = match heard {
            Ok(None) => {
                send(&out, None);
                continue;
            }
            Ok(Some(answer)) => read(answer, &prefix).await.inspect_err(|_| query.discard()),
            Err(failure) => Err(failure),
        };
        let values = match values {
            Ok(values) => values,
            Err(failure) => {
                out.send_if_modified(|kv| {
                    let is_other = kv.error.as_ref() != Some(&failure);
                    kv.error = Some(failure);
                    is_other
                });
                continue;
            }
        };
        if out.borrow().values.is_none() {
            send(&out, Some(values));
            continue;
        }
        let now = Instant::now();
        let since = unsettled.map_or(now, |before| before.since);
        let at = (now + coalesce).min(since + max_delay);
        unsettled = Some(Unsettled { values, since, at });
    }
}

/// A good answer; `None` = as it was.
fn send(out: &watch::Sender<Kv>, values: Option<BTreeMap<String, String>>) {
    out.send_if_modified(|kv| {
        let mut is_other = kv.error.take().is_some();
        if values.is_some() && kv.values != values {
            kv.values = values;
            is_other = true;
        }
        is_other
    });
}

async fn read(answer: Answer, prefix: &str) -> Result<BTreeMap<String, String>, Failure> {
    if answer.status == http::StatusCode::NOT_FOUND {
        // No key there, which is an answer and has an index.
        return Ok(BTreeMap::new());
    }
    let parsed = tokio::task::spawn_blocking(move || parse(&answer.body)).await;
    let parsed = parsed.unwrap_or_else(|panic| Err(panic.to_string()));
    parsed.map_err(|why| {
        let message = format!("the values under {prefix}: {why}");
        Failure::new(FailureKind::Malformed, message)
    })
}

fn parse(body: &Bytes) -> Result<BTreeMap<String, String>, String> {
    let pairs: Vec<Pair> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut values = BTreeMap::new();
    for Pair { key, value } in pairs {
        // Folders end in a slash and hold nothing.
        if key.ends_with('/') {
            continue;
        }
        let bytes = STANDARD.decode(value.unwrap_or_default());
        let bytes = bytes.map_err(|error| format!("{key}: not base64: {error}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            values.insert(key, text);
        }
    }
    Ok(values)
}

/// What may not stand in a path as it is (RFC 3986 3.3).
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~/=:@!$'()*+,;".contains(&byte) => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_folders_passed_over() {
        let body = r#"[{"Key":"goat/","Value":null},{"Key":"goat/a","Value":null},
            {"Key":"goat/version=0.0.1/weight","Value":"ODA="},{"Key":"goat/raw","Value":"/w=="}]"#;
        let expected = [("goat/a", ""), ("goat/version=0.0.1/weight", "80")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(parse(&body.into()).unwrap(), BTreeMap::from(expected));
        for body in [
            "",
            "{}",
            r#"[{"Key":"a","Value":"*"}]"#,
            r#"[{"Key":"a","Value":"A"}]"#,
        ] {
            assert!(parse(&body.into()).is_err(), "{body}");
        }
    }

    #[test]
    fn prefixes_are_encoded() {
        assert_eq!(
            encode("goat/version=0.0.1/weight"),
            "goat/version=0.0.1/weight"
        );
        assert_eq!(encode("a b?c#%"), "a%20b%3Fc%23%25");
    }
}
