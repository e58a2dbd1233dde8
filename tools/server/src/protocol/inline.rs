//! Splitting a line into words, as a person types them: `set "a key" 'it''s'`.

use std::ops::Range;

/// A quote that is not closed, or not followed by a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Splits a line into words, which take the place of their own quoted text: a word is never longer than that.
/// Calls `word` with the place of each. A line ends at a NUL byte, as it does for Redis.
pub(super) fn split(line: &mut [u8], mut word: impl FnMut(Range<usize>)) -> Result<(), Unbalanced> {
    let end = line.iter().position(|byte| *byte == 0).unwrap_or(line.len());
    let line = &mut line[..end];
    let mut at = 0;
    loop {
        while line.get(at).copied().is_some_and(is_space) {
            at += 1;
        }
        if at == line.len() {
            return Ok(());
        }
        let (start, mut put) = (at, at);
        let mut quote = None;
        while let Some(&byte) = line.get(at) {
            let (value, taken) = match (quote, byte) {
                (None, byte) if is_space(byte) => break,
                (None, b'"' | b'\'') => {
                    quote = Some(byte);
                    at += 1;
                    continue;
                }
                (Some(open), byte) if byte == open => {
                    at += 1;
                    if line.get(at).copied().is_some_and(|byte| !is_space(byte)) {
                        return Err(Unbalanced);
                    }
                    quote = None;
                    break;
                }
                (Some(b'"'), b'\\') => escaped(&line[at..]),
                (Some(b'\''), b'\\') if line.get(at + 1) == Some(&b'\'') => (b'\'', 2),
                (_, byte) => (byte, 1),
            };
            line[put] = value;
            put += 1;
            at += taken;
        }
        if quote.is_some() {
            return Err(Unbalanced);
        }
        word(start..put);
    }
}

/// The byte that an escape in double quotes stands for, and how many it takes.
fn escaped(text: &[u8]) -> (u8, usize) {
    match *text {
        [_, b'x', high, low, ..] if hex(high).is_some() && hex(low).is_some() => {
            (hex(high).unwrap_or(0) << 4 | hex(low).unwrap_or(0), 4)
        }
        [_, byte, ..] => {
            let value = match byte {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'a' => 7,
                other => other,
            };
            (value, 2)
        }
        _ => (b'\\', 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, Unbalanced> {
        let mut bytes = line.as_bytes().to_vec();
        let mut found = Vec::new();
        split(&mut bytes, |place| found.push(place))?;
        Ok(found.into_iter().map(|place| String::from_utf8_lossy(&bytes[place]).into_owned()).collect())
    }

    #[test]
    fn lines_are_split_as_a_shell_would() {
        assert_eq!(words("  set  k\tv "), Ok(vec!["set".into(), "k".into(), "v".into()]));
        assert_eq!(words("set \"a \\x41\\n\\\"\" 'it\\'s \\n'").unwrap(), ["set", "a A\n\"", "it's \\n"]);
        assert_eq!(words("a\"b\" ''").unwrap(), ["ab", ""]);
        assert_eq!(words(""), Ok(vec![]));
        assert_eq!(words("a\0b").unwrap(), ["a"]);
        for wrong in ["\"a", "'a", "\"a\"b", "'a'b", "\"a\\"] {
            assert_eq!(words(wrong), Err(Unbalanced), "{wrong}");
        }
    }
}
