//! The page as one document: markup, style and script are in the binary, and the
//! first state in the document, so that it shows something at once.

use serde::Serialize;

use super::{State, Trails};

/// What a page is told about itself.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Settings {
    /// Where it is: its options follow behind.
    pub(crate) path: String,
    /// Servers may be steered.
    pub(crate) admin: bool,
    /// What its requests to steer carry; empty without `admin`.
    pub(crate) token: String,
    /// Seconds between two looks where it cannot be live; 0 = the page's own choice.
    pub(crate) refresh: u64,
    /// Where the metrics are.
    pub(crate) metrics: Option<String>,
    /// What an operator should know about the page itself.
    pub(crate) warnings: Vec<String>,
    /// Who looks.
    pub(crate) user: Option<String>,
    /// What came of a form, HAProxy's code.
    pub(crate) outcome: Option<String>,
    /// Only proxies whose name contains this.
    pub(crate) scope: String,
    /// Without servers that are DOWN.
    pub(crate) up: bool,
    /// Without servers in maintenance.
    pub(crate) no_maint: bool,
}

/// A page to be written.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// In its policy and in its elements.
    pub(crate) nonce: &'a str,
    /// About itself.
    pub(crate) settings: &'a Settings,
    /// The name of the host, for the title.
    pub(crate) node: &'a str,
    /// What it shows first.
    pub(crate) state: &'a State,
    /// What its graphs begin with.
    pub(crate) trails: &'a Trails,
}

const MARKUP: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

impl Document<'_> {
    /// The whole document.
    pub(crate) fn html(&self) -> String {
        let state = self.state.whole();
        // Plain structs with text keys: there is nothing that could fail.
        let settings = serde_json::to_string(self.settings).unwrap_or_default();
        let trails = serde_json::to_string(self.trails).unwrap_or_default();
        let size = MARKUP.len() + STYLE.len() + SCRIPT.len() + state.len() + 4096;
        let mut out = String::with_capacity(size + trails.len());
        let mut rest = MARKUP;
        while let Some((before, behind)) = rest.split_once("{{") {
            out.push_str(before);
            let Some((name, behind)) = behind.split_once("}}") else {
                break;
            };
            match name {
                "nonce" => out.push_str(self.nonce),
                "style" => out.push_str(STYLE),
                "script" => out.push_str(SCRIPT),
                "node" => text(&mut out, self.node),
                "path" => text(&mut out, &self.settings.path),
                "refresh" => self.refresh(&mut out),
                "settings" => json(&mut out, &settings),
                "state" => json(&mut out, &state),
                "trails" => json(&mut out, &trails),
                // The markup is ours; a test holds it to this list.
                _ => {}
            }
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    /// For browsers without script: the live page must not be reloaded under its reader.
    fn refresh(&self, out: &mut String) {
        if self.settings.refresh > 0 {
            let refresh = self.settings.refresh;
            out.push_str(&format!(
                "<noscript><meta http-equiv=\"refresh\" content=\"{refresh}\"></noscript>"
            ));
        }
    }

    /// What a browser may do with it: run and style by what carries the nonce, and
    /// talk to where it came from.
    pub(crate) fn policy(nonce: &str) -> String {
        format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
             connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        )
    }
}

/// Inside an element or a quoted attribute.
fn text(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

/// Inside a script element: nothing there may look like its end.
fn json(out: &mut String, json: &str) {
    for part in json.split_inclusive('<') {
        match part.strip_suffix('<') {
            Some(before) => {
                out.push_str(before);
                out.push_str("\\u003c");
            }
            None => out.push_str(part),
        }
    }
}
