//! Patterns with `*`, `?`, `[..]` and `\`, as `KEYS` and `MATCH` take them.

/// Whether `pattern` matches the whole of `text`.
///
/// `*` matches any bytes, `?` one, `[abc]`, `[a-z]` and `[^abc]` one of a set or not; `\` takes the next
/// byte as it is. Time is at most the product of the two lengths: of several `*` only the last is gone
/// back to. Bytes are ordered as signed ones, and an empty text is matched by `*` alone and by nothing: both
/// as in Redis.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return matches!(pattern, b"" | b"*");
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last star does not match here.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        let step = match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(_), Some(&byte)) => one(&pattern[p..], byte),
            _ => None,
        };
        match (step, retry) {
            (Some(len), _) => {
                p += len;
                t += 1;
            }
            (None, Some((star, from))) if from < text.len() => {
                p = star;
                t = from + 1;
                retry = Some((star, from + 1));
            }
            (None, _) => return false,
        }
    }
}

/// If the first element of `pattern` (no star) matches `byte`, how long the element is.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', rest @ ..] => set(rest, byte).map(|len| len + 1),
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// A set behind its `[`. One without an end ends with the pattern.
fn set(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = pattern.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match pattern.get(at..).unwrap_or_default() {
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [] => break,
            [low, b'-', high, ..] => {
                let (low, high) = (low.cast_signed(), high.cast_signed());
                found |= (low.min(high)..=low.max(high)).contains(&byte.cast_signed());
                at += 3;
            }
            [literal, ..] => {
                found |= *literal == byte;
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

/// The bytes with which everything that `pattern` matches begins.
#[must_use]
pub fn literal_prefix(pattern: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    loop {
        match rest {
            [b'*' | b'?' | b'[', ..] | [] => return prefix,
            [b'\\', escaped, more @ ..] => {
                prefix.push(*escaped);
                rest = more;
            }
            [literal, more @ ..] => {
                prefix.push(*literal);
                rest = more;
            }
        }
    }
}

/// Whether `pattern` can match one text only, which [`literal_prefix`] then is.
#[must_use]
pub fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hallo", true),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("a*", "b", false),
            ("[abc", "a", true),
            ("a\\", "a\\", true),
            ("", "a", false),
            ("a", "", false),
            ("?*", "", false),
            ("**", "", false),
            ("", "", true),
            ("**", "a", true),
            ("a**", "a", true),
            ("[^", "a", true),
            ("[a-", "a", true),
            ("[]", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        for (pattern, matched) in [
            (&b"[a-\xff]"[..], &b"\x01aZ\xff"[..]),
            (b"[\x80-\xff]", b"\x80\xff"),
            (b"[^a-\xff]", b"b\x80"),
            (b"[\x01-\x80]", b"\x01\x80\xff"),
        ] {
            let found: Vec<u8> =
                b"\x01aZ\xffb\x80".iter().copied().filter(|byte| matches(pattern, &[*byte])).collect();
            let mut matched = matched.to_vec();
            matched.sort_unstable_by_key(|byte| b"\x01aZ\xffb\x80".iter().position(|other| other == byte));
            assert_eq!(found, matched, "{}", pattern.escape_ascii());
        }
        // Many stars are not a way to keep a server busy.
        assert!(!matches(&b"a*".repeat(50), &[b'a'; 20_000].map(|_| b'b')));
        assert!(!matches(&[&b"*a".repeat(30)[..], b"b"].concat(), &[b'a'; 10_000]));
    }

    #[test]
    fn prefixes_are_what_stands_before_the_first_wildcard() {
        assert_eq!(literal_prefix(b"user:*"), b"user:");
        assert_eq!(literal_prefix(b"a\\*b?"), b"a*b");
        assert!(is_literal(b"user") && !is_literal(b"us[e]r"));
    }
}
