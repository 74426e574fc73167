//! A line's commands and their words.

/// One command of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Its words, escapes resolved.
    pub(crate) words: Vec<String>,
    /// A payload follows, up to a line that says this; empty = up to an empty line.
    pub(crate) payload_end: Option<Vec<u8>>,
}

/// Splits a line (without its end) into commands: `;` between them, `\` before a
/// `;`, a space or a `\` takes it literally. Quotes are not special. Never empty:
/// an empty line is one command without words. Only the last command may announce
/// a payload.
pub(crate) fn split(line: &[u8]) -> Vec<Piece> {
    let mut texts: Vec<Piece> = raw_pieces(line).into_iter().map(piece).collect();
    if let Some(last) = texts.last_mut() {
        take_payload(last);
    }
    texts
}

fn raw_pieces(line: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut index) = (0, 0);
    while index < line.len() {
        match line[index] {
            b'\\' => index += 1,
            b';' => {
                pieces.push(&line[start..index]);
                start = index + 1;
            }
            _ => {}
        }
        index += 1;
    }
    pieces.push(&line[start..]);
    pieces
}

fn piece(text: &[u8]) -> Piece {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            // A `\` at the very end escapes nothing.
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            byte => word.get_or_insert_default().push(*byte),
        }
    }
    words.extend(word);
    let readable = |word: Vec<u8>| String::from_utf8_lossy(&word).into_owned();
    Piece {
        words: words.into_iter().map(readable).collect(),
        payload_end: None,
    }
}

fn take_payload(piece: &mut Piece) {
    let marker = piece.words.last().and_then(|word| word.strip_prefix("<<"));
    if let Some(end) = marker {
        piece.payload_end = Some(end.as_bytes().to_vec());
        piece.words.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<String>> {
        split(line.as_bytes())
            .into_iter()
            .map(|piece| piece.words)
            .collect()
    }

    #[test]
    fn commands_are_split_at_semicolons_and_words_at_blanks() {
        let cases: [(&str, &[&[&str]]); 9] = [
            ("", &[&[]]),
            (" ", &[&[]]),
            ("a b", &[&["a", "b"]]),
            ("a;b", &[&["a"], &["b"]]),
            ("a ; b\t c;", &[&["a"], &["b", "c"], &[]]),
            (r"echo a\;b", &[&["echo", "a;b"]]),
            (r"echo a\ b \\", &[&["echo", "a b", r"\"]]),
            (r#"echo "a b""#, &[&["echo", "\"a", "b\""]]),
            (r"a\", &[&["a"]]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line), expected, "{line:?}");
        }
    }

    #[test]
    fn only_the_last_command_announces_a_payload() {
        let pieces = split(b"a <<x;b <<;c d <<END");
        assert_eq!(pieces[0].words, ["a", "<<x"]);
        assert_eq!(pieces[2].words, ["c", "d"]);
        let ends: Vec<_> = pieces.into_iter().map(|p| p.payload_end).collect();
        assert_eq!(ends, [None, None, Some(b"END".to_vec())]);
        assert_eq!(split(b"a <<")[0].payload_end, Some(Vec::new()));
        assert_eq!(split(b"a b<<")[0].payload_end, None);
    }
}
