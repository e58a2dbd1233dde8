//! Bytes as text, and back without loss.
//!
//! The default, *escaped* text, keeps printable UTF-8 as it is and writes every other byte as `\xNN`,
//! with `\\`, `\n`, `\r` and `\t` for what is frequent: [`decode`] of [`encode`] is always the same
//! bytes, and the text holds neither line ends nor tabs. Keys on the command line may also name their
//! encoding in a prefix, `hex:` or `base64:` ([`parse_key`]); a key that really begins so is printed
//! with its first letter escaped ([`key_text`]), so that every printed key can be pasted back.

use clap::ValueEnum;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use std::fmt::Write;

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// Printable UTF-8 as it is, `\\ \n \r \t` and `\xNN` for the rest.
    #[default]
    Escape,
    /// Two hexadecimal digits a byte.
    Hex,
    /// Base 64 with padding (RFC 4648).
    Base64,
    /// The bytes themselves.
    Raw,
}

impl Encoding {
    /// The name on the command line and in export files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Escape => "escape",
            Encoding::Hex => "hex",
            Encoding::Base64 => "base64",
            Encoding::Raw => "raw",
        }
    }

    /// The encoding of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Encoding> {
        [Encoding::Escape, Encoding::Hex, Encoding::Base64, Encoding::Raw]
            .into_iter()
            .find(|encoding| encoding.name() == name)
    }
}

/// Writes `bytes` in `encoding`. `Raw` gives the bytes as they are, which need not be UTF-8;
/// the other encodings give UTF-8.
#[must_use]
pub fn encode(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Escape => escape(bytes).into_bytes(),
        Encoding::Hex => HEXLOWER.encode(bytes).into_bytes(),
        Encoding::Base64 => BASE64.encode(bytes).into_bytes(),
        Encoding::Raw => bytes.to_vec(),
    }
}

/// Reads what [`encode`] wrote; hexadecimal digits may be of either case, base 64 may lack its padding.
///
/// # Errors
/// What is wrong with the text, and where in it.
pub fn decode(text: &[u8], encoding: Encoding) -> Result<Vec<u8>, String> {
    match encoding {
        Encoding::Escape => unescape(text),
        Encoding::Hex => HEXLOWER_PERMISSIVE.decode(text).map_err(|e| format!("not hexadecimal: {e}")),
        Encoding::Base64 => BASE64
            .decode(text)
            .or_else(|e| BASE64_NOPAD.decode(text).map_err(|_| e))
            .map_err(|e| format!("not base 64: {e}")),
        Encoding::Raw => Ok(text.to_vec()),
    }
}

/// Escaped text: see the head of this module.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                c if is_printable(c) => text.push(c),
                c => push_hex(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        push_hex(&mut text, chunk.invalid());
    }
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Whether a character can stand in one line of a terminal without changing the rest of the line:
/// no controls, no line separators, nothing that turns the direction of writing.
fn is_printable(c: char) -> bool {
    let moves = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !c.is_control() && !moves
}

/// Reads escaped text: `\\`, `\n`, `\r`, `\t`, `\0`, `\xNN`; every other byte stands for itself.
///
/// # Errors
/// What is wrong with an escape, and where in the text it stands.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let at = text.len() - rest.len();
        let (byte, used) = read_escape(rest).ok_or_else(|| {
            let found: String = String::from_utf8_lossy(rest).chars().take(3).collect();
            format!(
                "bad escape \"\\{}\" at character {at}; write \\\\, \\n, \\r, \\t or \\xNN",
                escape(found.as_bytes())
            )
        })?;
        bytes.push(byte);
        rest = &rest[used..];
    }
    Ok(bytes)
}

/// The byte that the text after a backslash stands for, and how long that text is.
fn read_escape(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'\\', ..] => Some((b'\\', 1)),
        [b'n', ..] => Some((b'\n', 1)),
        [b'r', ..] => Some((b'\r', 1)),
        [b't', ..] => Some((b'\t', 1)),
        [b'0', ..] => Some((0, 1)),
        [b'x', high, low, ..] => Some((hex_digit(*high)? << 4 | hex_digit(*low)?, 3)),
        _ => None,
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

const PREFIXES: [(&str, Encoding); 2] = [("hex:", Encoding::Hex), ("base64:", Encoding::Base64)];

/// Reads a key given on the command line. In the `escape` encoding a prefix, `hex:` or `base64:`,
/// chooses another one for this key.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_key(text: &[u8], encoding: Encoding) -> Result<Vec<u8>, String> {
    if encoding == Encoding::Escape {
        for (prefix, named) in PREFIXES {
            if let Some(rest) = text.strip_prefix(prefix.as_bytes()) {
                return decode(rest, named);
            }
        }
    }
    decode(text, encoding)
}

/// Writes a key as [`parse_key`] reads it.
#[must_use]
pub fn key_text(key: &[u8], encoding: Encoding) -> Vec<u8> {
    let text = encode(key, encoding);
    let taken_for_prefix = PREFIXES.iter().any(|(prefix, _)| text.starts_with(prefix.as_bytes()));
    if encoding != Encoding::Escape || !taken_for_prefix {
        return text;
    }
    let mut escaped = format!("\\x{:02x}", text[0]).into_bytes();
    escaped.extend_from_slice(&text[1..]);
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escaped_text_reads_well() {
        for (bytes, text) in [
            (&b"user:1"[..], "user:1"),
            ("Zoë, 東京".as_bytes(), "Zoë, 東京"),
            (b"a\\b\tc\r\n", "a\\\\b\\tc\\r\\n"),
            (b"\x00\x1b[31m\xff", "\\x00\\x1b[31m\\xff"),
            (b"\xe6\x9d", "\\xe6\\x9d"),
            ("\u{202e}x\u{85}".as_bytes(), "\\xe2\\x80\\xaex\\xc2\\x85"),
            (b"", ""),
        ] {
            assert_eq!(escape(bytes), text);
            assert_eq!(unescape(text.as_bytes()).unwrap(), bytes);
        }
        assert_eq!(unescape(b"\\0\\xFf").unwrap(), b"\x00\xff");
    }

    #[test]
    fn a_wrong_escape_says_where() {
        for text in ["ab\\", "ab\\q", "ab\\x", "ab\\x1", "ab\\x+1", "ab\\xzz"] {
            let why = unescape(text.as_bytes()).unwrap_err();
            assert!(why.contains("at character 3"), "{text}: {why}");
        }
    }

    #[test]
    fn keys_name_their_encoding_in_a_prefix() {
        assert_eq!(parse_key(b"hex:00fF", Encoding::Escape).unwrap(), b"\x00\xff");
        assert_eq!(parse_key(b"base64:AAE=", Encoding::Escape).unwrap(), b"\x00\x01");
        assert_eq!(parse_key(b"base64:AAE", Encoding::Escape).unwrap(), b"\x00\x01");
        assert_eq!(parse_key(b"hex:00", Encoding::Raw).unwrap(), b"hex:00");
        assert_eq!(parse_key(b"\\x68ex:00", Encoding::Escape).unwrap(), b"hex:00");
        assert!(parse_key(b"hex:0", Encoding::Escape).is_err());
        assert!(parse_key(b"base64:*", Encoding::Escape).is_err());
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            "\\PC{0,20}".prop_map(String::into_bytes),
            "(hex:|base64:)?[\\\\xnt0-9a-f\\n\\t]{0,12}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn every_encoding_gives_the_bytes_back(bytes in any_bytes()) {
            for encoding in Encoding::value_variants() {
                let text = encode(&bytes, *encoding);
                prop_assert_eq!(&decode(&text, *encoding).unwrap(), &bytes);
                let key = key_text(&bytes, *encoding);
                prop_assert_eq!(&parse_key(&key, *encoding).unwrap(), &bytes);
            }
        }

        #[test]
        fn escaped_text_is_one_line_of_utf_8(bytes in any_bytes()) {
            prop_assert!(escape(&bytes).chars().all(is_printable));
        }

        #[test]
        fn no_text_makes_a_decoder_panic(text in any_bytes()) {
            for encoding in Encoding::value_variants() {
                let _ = decode(&text, *encoding);
                let _ = parse_key(&text, *encoding);
            }
        }
    }
}
