//! What came into the file from the environment is shown to nobody.

use std::net::{IpAddr, SocketAddr};

/// Takes secrets out of texts.
///
/// Any value that was expanded into the file may be one, but for numbers,
/// addresses and what is too short to be: without them a dump would tell nothing.
/// HAProxy's tables need no masking, they hold names, addresses and numbers only.
#[derive(Debug)]
pub(crate) struct Mask(Vec<String>);

/// Shorter ones would cut other words to pieces.
const SHORTEST: usize = 4;
const SHOWN: &str = "***";

impl Mask {
    pub(crate) fn new(expanded: &[String]) -> Self {
        let mut values: Vec<String> = expanded
            .iter()
            .filter(|value| may_be_secret(value))
            .cloned()
            .collect();
        // One may hold another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// `text` without them.
    pub(crate) fn apply(&self, text: String) -> String {
        self.0.iter().fold(text, |text, value| {
            if text.contains(value.as_str()) {
                text.replace(value.as_str(), SHOWN)
            } else {
                text
            }
        })
    }

    /// Whether it holds one.
    pub(super) fn hides(&self, text: &str) -> bool {
        self.0.iter().any(|value| text.contains(value.as_str()))
    }
}

fn may_be_secret(value: &str) -> bool {
    value.len() >= SHORTEST
        && value.parse::<f64>().is_err()
        && value.parse::<IpAddr>().is_err()
        && value.parse::<SocketAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_and_numbers_and_addresses_are_not() {
        let expanded = ["hunter2", "hunter22", "8080", "10.0.0.1:80", "on"].map(str::to_owned);
        let mask = Mask::new(&expanded);
        let text = "a hunter22b hunter2 8080 10.0.0.1:80 on";
        assert_eq!(
            mask.apply(text.to_owned()),
            "a ***b *** 8080 10.0.0.1:80 on"
        );
        assert!(mask.hides("xhunter2x") && !mask.hides("8080"));
    }
}
