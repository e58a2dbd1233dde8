//! Just enough of Rust's lexical grammar to tell code from comments and literals, and product from test.

use crate::workspace::TextFile;
use std::ops::Range;

/// A Rust file with its code told apart.
#[derive(Debug)]
pub struct Rust<'a> {
    /// The file as it stands.
    pub file: &'a TextFile,
    /// The text with comments and the insides of literals blanked out; every byte keeps its place.
    pub code: String,
    /// Where items stand that are compiled for tests only.
    tests: Vec<Range<usize>>,
}

impl<'a> Rust<'a> {
    /// Reads a file.
    #[must_use]
    pub fn new(file: &'a TextFile) -> Self {
        let code = blank(&file.text);
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let tests = if name == "tests.rs" || name.ends_with("_tests.rs") || file.path.contains("/tests/") {
            std::iter::once(0..code.len()).collect()
        } else {
            test_items(&code)
        };
        Rust { file, code, tests }
    }

    /// Whether the byte at `offset` is compiled for tests only.
    #[must_use]
    pub fn in_tests(&self, offset: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&offset))
    }
}

/// Replaces comments and the insides of literals by spaces; line breaks stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (quoted, end) = literal_or_comment(bytes, at);
        for (i, &byte) in bytes[at..end].iter().enumerate() {
            let keep = !quoted || byte == b'\n' || (bytes[at] == b'"' && (i == 0 || at + i + 1 == end));
            out.push(if keep { byte } else { b' ' });
        }
        at = end;
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Whether a comment or literal starts at `at`, and where what starts there ends.
fn literal_or_comment(bytes: &[u8], at: usize) -> (bool, usize) {
    let rest = &bytes[at..];
    let after_word = at > 0 && is_word(bytes[at - 1]);
    if rest.starts_with(b"//") {
        return (true, at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return (true, block_comment(bytes, at));
    }
    if rest[0] == b'"' {
        return (true, string(bytes, at));
    }
    if !after_word && let Some(end) = raw_string(bytes, at) {
        return (true, end);
    }
    if rest[0] == b'\'' {
        let inside = std::str::from_utf8(&rest[1..]).ok().and_then(|s| s.chars().next());
        let width = inside.map_or(1, char::len_utf8);
        if rest.get(1) == Some(&b'\\') {
            let close = rest.iter().skip(3).position(|&b| b == b'\'').map_or(rest.len(), |n| n + 4);
            return (true, at + close);
        }
        if rest.get(1 + width) == Some(&b'\'') {
            return (true, at + width + 2);
        }
    }
    (false, at + 1)
}

fn block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at.min(bytes.len())
}

fn string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The end of a raw string (`r"`, `br#"`, `cr"`) that starts at `start`.
fn raw_string(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = &bytes[start..];
    let prefix = [&b"br"[..], b"cr", b"r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..].iter().take_while(|&&b| b == b'#').count();
    let open = prefix.len() + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let inside = &rest[open + 1..];
    let end = inside.windows(close.len()).position(|window| window == close);
    Some(end.map_or(bytes.len(), |n| start + open + 1 + n + close.len()))
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The offset behind the bracket that closes the one at `open`, or the end of the text.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The offset behind the item that starts at `start`: its `;`, or the block that ends it.
pub(crate) fn item_end(code: &str, start: usize) -> usize {
    let bytes = code.as_bytes();
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b';' => return at + 1,
            b'{' => return closing(code, at),
            b'(' | b'[' => at = closing(code, at),
            _ => at += 1,
        }
    }
    at
}

fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices("#[") {
        let end = closing(code, start + 1);
        if ranges.last().is_none_or(|last| last.end <= start) && is_test_attribute(&code[start + 2..end - 1])
        {
            ranges.push(start..item_end(code, end));
        }
    }
    ranges
}

fn is_test_attribute(attribute: &str) -> bool {
    let attribute = attribute.trim();
    attribute == "test"
        || attribute.strip_prefix("cfg").is_some_and(|condition| {
            let condition = condition.trim_start();
            condition.starts_with("(test") || condition.starts_with("(all(") && has_word(condition, "test")
        })
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|part| part == word)
        && !text.contains("not(test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Rust::new(&TextFile::new("a/src/b.rs", text)).code
    }

    #[test]
    fn comments_and_literals_are_blanked_and_nothing_moves() {
        let text = "a /* x /* y */ z */ b // c\n\"d\\\"e\" f r#\"g\"h\"# i 'j' k '\\'' l<'m> b\"n\" \u{e9}";
        let code = code(text);
        assert_eq!(code.len(), text.len());
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "b", "\"", "\"", "f", "i", "k", "l<'m>", "b\"", "\"", "\u{e9}"]);
    }

    #[test]
    fn an_unclosed_literal_ends_with_the_text() {
        for text in ["\"abc", "r##\"abc\"#", "/* abc", "'\\", "'"] {
            assert_eq!(code(text).len(), text.len());
        }
    }

    #[test]
    fn test_items_are_told_apart() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { } }\nfn c() {}\n#[cfg(all(loom, test))]\n\
                    #[path = \"x.rs\"]\nmod d;\nfn e() {}\n#[cfg(not(test))]\nfn f() {}\n";
        let file = TextFile::new("a/src/b.rs", text);
        let rust = Rust::new(&file);
        let tests = |word: &str| rust.in_tests(text.find(word).unwrap());
        assert!(tests("b()") && tests("mod d"));
        assert!(!tests("a()") && !tests("c()") && !tests("e()") && !tests("f()"));
        let file = TextFile::new("a/src/b_tests.rs", "fn a() {}");
        assert!(Rust::new(&file).in_tests(3));
    }
}
