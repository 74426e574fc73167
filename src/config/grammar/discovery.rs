//! Names as the sources of servers know them: groups, Consul, DNS, Docker.

use crate::config::address::Fault;
use crate::config::units::quoted;
use crate::config::{GroupBy, KvPattern};

/// The name of a group of servers, as a tag or a key of a store may have it.
pub(crate) fn group(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.len() > 128 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Fault::new(format!("{} is not one", quoted(text)))
            .help("write the version or the colour, such as \"0.0.1\" or \"blue\""));
    }
    Ok(())
}

/// What of a discovered server names its group.
pub(crate) fn group_by(text: &str) -> Result<GroupBy, Fault> {
    let fault = |message: &str| {
        Fault::new(message.to_owned())
            .help("write \"tag:version\" for tags such as version=0.0.1, or \"meta:version\"")
    };
    let (kind, word) = text
        .split_once(':')
        .ok_or_else(|| fault("the kind is missing"))?;
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(fault("the word behind the colon is missing or has blanks"));
    }
    let word = word.to_owned();
    match kind {
        "tag" if word.ends_with('=') => Err(fault("the = of the tag is not part of the word")),
        "tag" => Ok(GroupBy::Tag(word)),
        "meta" => Ok(GroupBy::Meta(word)),
        "label" => Ok(GroupBy::Label(word)),
        _ => Err(fault("the kinds are tag, meta and label")),
    }
}

/// A key of Consul's store.
pub(crate) fn kv_key(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.starts_with('/') || text.ends_with('/') {
        return Err(
            Fault::new("a key of Consul's store neither begins nor ends with \"/\"")
                .help("write it as `consul kv get` takes it, such as \"goat/weights\""),
        );
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new("a key has no control characters"));
    }
    Ok(())
}

/// A key of Consul's store for each group.
pub(crate) fn kv_pattern(text: &str) -> Result<KvPattern, Fault> {
    kv_key(text)?;
    match text.split("{group}").collect::<Vec<_>>()[..] {
        [prefix, suffix] if !prefix.is_empty() => Ok(KvPattern {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        }),
        [_, _] => Err(Fault::new("it would read the whole store")
            .help("put the keys under a path, such as \"goat/version={group}/weight\"")),
        _ => Err(Fault::new("{group} must stand in it once")
            .help("such as \"goat/version={group}/weight\"")),
    }
}

/// A service or datacenter of Consul: Consul itself takes nearly anything, but
/// what stands in a URL and a log stays readable.
pub(crate) fn consul_name(text: &str) -> Result<(), Fault> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 128 || !text.bytes().all(known) {
        return Err(
            Fault::new(format!("{} is not a name of Consul", quoted(text)))
                .help("letters, digits and - _ . as in \"web\" or \"goat-api\""),
        );
    }
    Ok(())
}

/// The same, or nothing.
pub(crate) fn consul_name_or_none(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        Ok(())
    } else {
        consul_name(text)
    }
}

/// A tag of Consul.
pub(crate) fn consul_tag(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        return Err(Fault::new(format!("{} is not a tag", quoted(text))));
    }
    Ok(())
}

/// A name in DNS: labels of letters, digits, - and _ (RFC 1035 2.3.1; services
/// begin with the underscore).
pub(crate) fn dns_name(text: &str) -> Result<(), Fault> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(good);
    if bare.len() > 253 || !bare.split('.').all(is_label) {
        return Err(Fault::new(format!("{} is not one", quoted(text)))
            .help("write \"web.internal\", or \"_http._tcp.web.internal\" of a service"));
    }
    Ok(())
}

/// A service, project or network of Docker.
pub(crate) fn docker_name(text: &str) -> Result<(), Fault> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 255 || !text.bytes().all(known) {
        return Err(
            Fault::new(format!("{} is not a name of Docker", quoted(text)))
                .help("letters, digits and - _ . as in \"web\" or \"demo_front\""),
        );
    }
    Ok(())
}

/// The same, or nothing.
pub(crate) fn docker_name_or_none(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        Ok(())
    } else {
        docker_name(text)
    }
}
