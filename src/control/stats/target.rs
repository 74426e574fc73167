//! What a URL of the page asks for (HAProxy's manual, "stats uri").

use crate::config::Stats;
use crate::observe::Form;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The document.
    Page,
    /// Its tables, as `show stat`.
    Table(Form),
    /// What the JSON of the tables looks like.
    Schema,
    /// All parts of the page, as JSON.
    State,
    /// The same, and what changes, as server-sent events.
    Events,
    /// Prometheus.
    Metrics,
    /// Nothing that is here.
    Nothing,
}

/// A URL, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) wanted: Wanted,
    /// Hide servers that are DOWN.
    pub(super) up: bool,
    /// Hide servers in maintenance.
    pub(super) no_maint: bool,
    /// Do not tell the client to come again.
    pub(super) norefresh: bool,
    /// Only proxies whose name contains this.
    pub(super) scope: &'a str,
    /// What came of a form.
    pub(super) outcome: Option<&'a str>,
    /// Behind the question mark, for the metrics.
    pub(super) query: &'a str,
}

/// HAProxy's limit for a scope.
const SCOPE_MAX: usize = 64;

impl<'a> Target<'a> {
    /// Reads path and query. The path of the page is a prefix; options follow it in
    /// any order, and what is not known is not looked at.
    pub(super) fn parse(text: &'a str, page: &Stats) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let mut target = Self {
            wanted: Wanted::Nothing,
            up: false,
            no_maint: false,
            norefresh: false,
            scope: "",
            outcome: None,
            query,
        };
        if page.metrics.as_deref() == Some(path) {
            target.wanted = Wanted::Metrics;
        } else if let Some(options) = text.strip_prefix(&*page.path) {
            target.wanted = Wanted::Page;
            for option in options.split([';', '?', '&']) {
                target.option(option);
            }
        }
        target
    }

    fn option(&mut self, option: &'a str) {
        match option {
            "csv" => self.wanted = Wanted::Table(Form::Plain),
            "json" => self.wanted = Wanted::Table(Form::Json),
            "json-schema" => self.wanted = Wanted::Schema,
            "typed" => self.wanted = Wanted::Table(Form::Typed),
            "state" => self.wanted = Wanted::State,
            "events" => self.wanted = Wanted::Events,
            "up" => self.up = true,
            "no-maint" => self.no_maint = true,
            "norefresh" => self.norefresh = true,
            _ => match option.split_once('=') {
                Some(("scope", scope)) if scope.len() <= SCOPE_MAX => self.scope = scope,
                Some(("st", code)) => self.outcome = Some(code),
                _ => {}
            },
        }
    }

    /// Where a form is answered to: the same view, with its outcome.
    pub(super) fn back(&self, page: &Stats, code: &str) -> String {
        let mut back = page.path.clone();
        for (is_set, option) in [
            (self.up, ";up"),
            (self.no_maint, ";no-maint"),
            (self.norefresh, ";norefresh"),
        ] {
            if is_set {
                back.push_str(option);
            }
        }
        if !self.scope.is_empty() {
            back.push_str(";scope=");
            back.push_str(self.scope);
        }
        back.push_str(";st=");
        back.push_str(code);
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str) -> Stats {
        Stats {
            path: path.to_owned(),
            metrics: Some("/metrics".to_owned()),
            ..Stats::default()
        }
    }

    #[test]
    fn path_is_a_prefix_and_options_follow_in_any_order() {
        let page = page("/haproxy_stats");
        for (text, wanted) in [
            ("/haproxy_stats", Wanted::Page),
            ("/haproxy_statsXYZ", Wanted::Page),
            ("/haproxy_stats/;csv", Wanted::Table(Form::Plain)),
            ("/haproxy_stats;csv;norefresh", Wanted::Table(Form::Plain)),
            ("/haproxy_stats;norefresh;json", Wanted::Table(Form::Json)),
            ("/haproxy_stats;typed", Wanted::Table(Form::Typed)),
            ("/haproxy_stats;json-schema", Wanted::Schema),
            ("/haproxy_stats?;csv", Wanted::Table(Form::Plain)),
            ("/haproxy_stats;info", Wanted::Page),
            ("/haproxy_stats;events", Wanted::Events),
            ("/metrics?scope=server", Wanted::Metrics),
            ("/metricsX", Wanted::Nothing),
            ("/haproxy", Wanted::Nothing),
            ("/", Wanted::Nothing),
        ] {
            assert_eq!(Target::parse(text, &page).wanted, wanted, "{text}");
        }
    }

    #[test]
    fn path_may_hold_a_query() {
        let page = page("/haproxy?stats");
        assert_eq!(Target::parse("/haproxy?stats", &page).wanted, Wanted::Page);
        let csv = Target::parse("/haproxy?stats;csv;up", &page);
        assert!(csv.up && csv.wanted == Wanted::Table(Form::Plain));
        assert_eq!(Target::parse("/haproxy", &page).wanted, Wanted::Nothing);
    }

    #[test]
    fn the_way_back_keeps_what_was_looked_at() {
        let page = page("/s");
        let target = Target::parse("/s;up;scope=web;st=ERRP", &page);
        assert_eq!((target.scope, target.outcome), ("web", Some("ERRP")));
        assert_eq!(target.back(&page, "DONE"), "/s;up;scope=web;st=DONE");
        assert_eq!(Target::parse("/s?scope=web", &page).scope, "web");
        let long = format!("/s;scope={}", "x".repeat(65));
        assert_eq!(Target::parse(&long, &page).scope, "");
    }
}
