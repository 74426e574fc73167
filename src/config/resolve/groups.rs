//! `[backend.groups]`.

use std::sync::Arc;

use super::discovery::beside;
use crate::config::diagnostics::{Diagnostic, Problems};
use crate::config::grammar;
use crate::config::tree::{Reader, Value};
use crate::config::{AllZero, GroupWeights, Groups};

pub(super) fn groups(backend: &Reader<'_>, problems: &Problems) -> Option<Groups> {
    backend.node("groups")?.as_table()?;
    let reader = backend.table("groups");
    // What is missing or of a wrong kind has been reported.
    reader.node("weights")?.as_table()?;
    let weights = weights(&reader.table("weights"), problems)?;
    Some(Groups {
        by: reader.parsed("by", grammar::group_by),
        weights,
        missing: reader.number("missing").unwrap_or(0),
        all_zero: match reader.text("all_zero") {
            Some("equal") => AllZero::Equal,
            _ => AllZero::Refuse,
        },
    })
}

fn weights(reader: &Reader<'_>, problems: &Problems) -> Option<GroupWeights> {
    let mut entries = reader.entries();
    let Some(entry) = entries.next() else {
        let diagnostic = Diagnostic::error("weights are named by one key")
            .help("write weights = { static = { \"0.0.1\" = 80, \"0.0.2\" = 20 } }");
        problems.missing(reader.place(), "", diagnostic);
        return None;
    };
    if let Some(other) = entries.next() {
        problems.at_all(
            &[
                (other.key_place, "and from here".to_owned()),
                (entry.key_place, "from here".to_owned()),
            ],
            Diagnostic::error("weights come from one place"),
        );
        return None;
    }
    let text = entry.node.as_str();
    Some(match entry.key.as_str() {
        "static" => {
            let entries = &entry.node.as_table()?.entries;
            let share = |node: &Value| match node {
                Value::Integer(Some(share)) => u32::try_from(*share).ok(),
                _ => None,
            };
            let shares = entries
                .iter()
                .filter_map(|entry| Some((entry.key.as_str().into(), share(&entry.node.value)?)));
            GroupWeights::Static(Arc::new(shares.collect()))
        }
        "file" => GroupWeights::File(beside(entry.node.place, text?, problems)?),
        "consul_kv" => GroupWeights::ConsulKv(grammar::kv_pattern(text?).ok()?),
        "consul_kv_json" => GroupWeights::ConsulKvJson(text?.to_owned()),
        _ => return None,
    })
}
