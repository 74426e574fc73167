//! Where what runs differs from what is written, in words.

use std::fmt;

use super::spec::address_text;
use crate::config::ServerAddress;
use crate::state::{Admin, Operational};

/// One value that runs otherwise than it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Whose.
    pub(crate) object: Object,
    /// Which.
    pub(crate) what: &'static str,
    /// As written; `None` = it is not there.
    pub(crate) written: Option<String>,
    /// As set.
    pub(crate) set: String,
    /// Unix time, seconds.
    pub(crate) at: u64,
    /// The words that set it.
    pub(crate) by: String,
}

/// What can be overridden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    /// Backend and server.
    Server(String, String),
    /// Frontend.
    Frontend(String),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(backend, server) => write!(f, "{backend}/{server}"),
            Self::Frontend(frontend) => f.write_str(frontend),
        }
    }
}

impl Difference {
    /// `web/s1: weight 20 in the file, 10 set at run time 3d ago ('clear override web/s1')`.
    pub(crate) fn sentence(&self, now: u64) -> String {
        let Self {
            object, what, set, ..
        } = self;
        let written = match &self.written {
            Some(written) => format!("{written} in the file"),
            None => "not in the file".to_owned(),
        };
        let ago = ago(now.saturating_sub(self.at));
        format!(
            "{object}: {what} {written}, {set} set at run time {ago} ago ('clear override {object}')"
        )
    }
}

/// What a change of the file made of values that are set at run time: those of
/// `after` that were not written so before.
pub(crate) fn newly_written<'a>(
    before: &[Difference],
    after: &'a [Difference],
) -> impl Iterator<Item = &'a Difference> {
    let known: std::collections::HashSet<_> = before
        .iter()
        .map(|d| (d.object.to_string(), d.what, d.written.clone()))
        .collect();
    after
        .iter()
        .filter(move |d| !known.contains(&(d.object.to_string(), d.what, d.written.clone())))
}

/// A duration in its largest unit, as HAProxy says it: `3d`, `2h`, `5m`, `7s`.
pub(crate) fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A value as commands and files write it.
pub(crate) trait Words {
    /// It.
    fn words(&self) -> String;
}

impl Words for u16 {
    fn words(&self) -> String {
        self.to_string()
    }
}

impl Words for u32 {
    fn words(&self) -> String {
        self.to_string()
    }
}

impl Words for Admin {
    fn words(&self) -> String {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
        .to_owned()
    }
}

impl Words for Operational {
    fn words(&self) -> String {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Stopping => "stopping",
        }
        .to_owned()
    }
}

impl Words for ServerAddress {
    fn words(&self) -> String {
        address_text(self)
    }
}

impl Words for bool {
    fn words(&self) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }
}

impl Words for std::net::IpAddr {
    fn words(&self) -> String {
        self.to_string()
    }
}

impl<T: Words> Words for Option<T> {
    fn words(&self) -> String {
        self.as_ref()
            .map_or_else(|| "none".to_owned(), Words::words)
    }
}

impl Words for usize {
    fn words(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(written: Option<&str>) -> Difference {
        Difference {
            object: Object::Server("web".into(), "s1".into()),
            what: "weight",
            written: written.map(str::to_owned),
            set: "10".into(),
            at: 1000,
            by: "set weight web/s1 10".into(),
        }
    }

    #[test]
    fn sentence_names_both_values_and_the_way_back() {
        assert_eq!(
            weight(Some("20")).sentence(1000 + 3 * 86_400 + 5),
            "web/s1: weight 20 in the file, 10 set at run time 3d ago ('clear override web/s1')"
        );
        assert_eq!(
            ["7s", "2m", "5h"],
            [7, 150, 5 * 3600].map(ago).each_ref().map(String::as_str)
        );
    }

    #[test]
    fn only_what_the_file_changed_is_new() {
        let (before, after) = ([weight(Some("20"))], [weight(Some("30"))]);
        assert_eq!(newly_written(&before, &before).count(), 0);
        assert_eq!(newly_written(&before, &after).count(), 1);
        assert_eq!(newly_written(&[], &after).count(), 1);
    }
}
