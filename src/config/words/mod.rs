//! The words of HAProxy, nginx and Traefik, and what rlb says instead.

mod haproxy;
mod proxies;

use std::fmt::Write;

/// What to say of a word that is not rlb's.
///
/// `word` may be written as in its own file: `timeout connect`, `use_backend`,
/// `proxy-pass`, `loadBalancer`; case, dashes and blanks do not count.
pub(crate) fn foreign(word: &str) -> Option<String> {
    let wanted = normal(word);
    let (_, from, advice) =
        words().find(|(word, _, _)| word.split('|').any(|word| normal(word) == wanted))?;
    Some(format!("{} of {from}: {advice}", written(word)))
}

/// Spellings (separated by `|`), whose they are, what rlb says instead.
fn words() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    haproxy::WORDS.iter().chain(proxies::WORDS)
}

fn written(word: &str) -> String {
    let mut text = String::new();
    // Infallible: writing to a String.
    let _ = write!(text, "`{}`", word.escape_debug());
    text
}

/// Lower case, without what separates words.
pub(crate) fn normal(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' ' | '.'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_count() {
        for word in [
            "option forwardfor",
            "option_forwardfor",
            "Option-ForwardFor",
            "forwardfor",
        ] {
            let advice = foreign(word).unwrap();
            assert!(advice.contains("[defaults.forwarded] for"), "{advice}");
        }
        assert_eq!(
            foreign("httpchk").unwrap(),
            "`httpchk` of HAProxy: write check = { method = \"HEAD\", path = \"/\" } in the backend"
        );
        assert_eq!(foreign("gibberish"), None);
    }

    #[test]
    fn at_least_sixty_and_none_twice() {
        let mut words: Vec<_> = words()
            .flat_map(|(words, _, _)| words.split('|').map(normal))
            .collect();
        assert!(words.len() >= 60);
        words.sort();
        for pair in words.windows(2) {
            assert_ne!(pair[0], pair[1]);
        }
    }
}
