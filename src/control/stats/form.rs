//! A form as browsers and HAProxy's clients send it.

use crate::control::WeightChange;
use crate::state::{Admin, Operational};

/// What is to be done with each server of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    State(Admin),
    Health(Operational),
    Checks(bool),
    Weight(WeightChange),
    ShutdownSessions,
    /// Back to what is written.
    ClearOverride,
    /// Of an agent, which no server has.
    Agent,
}

/// A form, read. Names are as they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) backend: Option<String>,
    pub(super) servers: Vec<String>,
    pub(super) action: Option<Action>,
    pub(super) token: Option<String>,
}

/// `application/x-www-form-urlencoded`; `None` = it is not.
pub(super) fn parse(body: &[u8]) -> Option<Form> {
    let text = std::str::from_utf8(body).ok()?;
    let mut form = Form::default();
    let (mut action, mut weight) = (None, None);
    for pair in text.trim_end().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        let value = decoded(value)?;
        match key {
            "b" => form.backend = Some(value),
            "s" => form.servers.push(value),
            "action" => action = Some(value),
            "weight" => weight = Some(value),
            "token" => form.token = Some(value),
            // Older pages of HAProxy have more fields.
            _ => {}
        }
    }
    form.action = action.and_then(|word| action_of(&word, weight.as_deref()));
    Some(form)
}

/// HAProxy's words, its older ones too, and two of our own.
fn action_of(word: &str, weight: Option<&str>) -> Option<Action> {
    Some(match word {
        "ready" | "enable" => Action::State(Admin::Ready),
        "drain" | "stop" => Action::State(Admin::Drain),
        "maint" | "disable" => Action::State(Admin::Maint),
        "start" => Action::State(Admin::Ready),
        "ehlth" => Action::Checks(true),
        "dhlth" => Action::Checks(false),
        "hrunn" => Action::Health(Operational::Up),
        "hnolb" => Action::Health(Operational::Stopping),
        "hdown" => Action::Health(Operational::Down),
        "eagent" | "dagent" | "arunn" | "adown" => Action::Agent,
        "shutdown" => Action::ShutdownSessions,
        "weight" => Action::Weight(weight_of(weight?)?),
        "clear" => Action::ClearOverride,
        _ => return None,
    })
}

fn weight_of(text: &str) -> Option<WeightChange> {
    match text.strip_suffix('%') {
        Some(percent) => Some(WeightChange::Percent(percent.parse().ok()?)),
        None => Some(WeightChange::Absolute(text.parse().ok()?)),
    }
}

/// `+` is a space, `%41` an A; `None` = a broken escape.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next()?)? * 16 + hex(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haproxys_form_is_read() {
        let form = parse(b"s=s1&s=a%2Bb&action=drain&b=%234&x=y\r\n").unwrap();
        assert_eq!(form.servers, ["s1", "a+b"]);
        assert_eq!(form.backend.as_deref(), Some("#4"));
        assert_eq!(form.action, Some(Action::State(Admin::Drain)));
    }

    #[test]
    fn every_action_has_its_word() {
        for word in [
            "ready", "drain", "maint", "dhlth", "ehlth", "hrunn", "hnolb", "hdown", "dagent",
            "eagent", "arunn", "adown", "shutdown", "disable", "enable", "stop", "start", "clear",
        ] {
            assert!(action_of(word, None).is_some(), "{word}");
        }
        let weight = |text| action_of("weight", Some(text));
        let (absolute, percent) = (WeightChange::Absolute(7), WeightChange::Percent(50));
        assert_eq!(weight("7"), Some(Action::Weight(absolute)));
        assert_eq!(weight("50%"), Some(Action::Weight(percent)));
        assert_eq!(weight("-1"), None);
        assert_eq!(action_of("weight", None), None);
        assert_eq!(action_of("reboot", None), None);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for body in [&b"s=%4"[..], b"s=%zz", b"\xff=1", b"word", b"s=%ff"] {
            assert_eq!(parse(body), None, "{body:?}");
        }
        assert_eq!(parse(b""), Some(Form::default()));
    }
}
