//! "Did you mean": the nearest of the words that are valid at a place.

use super::words::normal;

/// The candidate an operator most likely meant, if any is near enough.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let wanted = normal(word);
    let length = wanted.chars().count();
    let allowed = (length / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let valid = normal(candidate);
            // The distance is at least the difference in length: most words cost no more.
            let near = valid.chars().count().abs_diff(length) <= allowed;
            if near {
                return Some((distance(&wanted, &valid), candidate));
            }
            // The first word of a name of two: `path` for `path_prefix`.
            let begins = candidate.strip_prefix(word)?.starts_with('_');
            (begins && length >= WORD_MIN).then_some((allowed, candidate))
        })
        .filter(|(distance, candidate)| *distance <= allowed.min(candidate.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Shorter ones begin too much.
const WORD_MIN: usize = 4;

/// Insertions, deletions, replacements and swaps of neighbours between two
/// words (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("ab", "ba", 1),
            ("intervall", "interval", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let keys = ["default_backend", "bind", "maxconn", "mode", "name"];
        for (word, expected) in [
            ("default-backend", Some("default_backend")),
            ("defaultBackend", Some("default_backend")),
            ("max_conn", Some("maxconn")),
            ("nmae", Some("name")),
            ("binds", Some("bind")),
            ("default", Some("default_backend")),
            ("def", None),
            ("server", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
    }
}
