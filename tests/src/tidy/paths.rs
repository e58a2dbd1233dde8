//! The paths that Rust code names, `use` groups taken apart.

use super::lexer::is_word;

/// A path as the code names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathUse {
    /// Where its first segment stands.
    pub(crate) offset: usize,
    /// Its segments; a glob is the segment `*`.
    pub(crate) segments: Vec<String>,
}

/// Every path of at least two segments in code whose comments and literals are blanked out.
pub(crate) fn paths(code: &str) -> Vec<PathUse> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if is_word(bytes[at]) {
            let from = found.len();
            at = tree(code, at, &[], &mut found);
            let single = found.len() == from + 1 && found[from].segments.len() == 1;
            if single {
                found.pop();
            }
        } else {
            at += 1;
        }
    }
    found
}

/// Reads the path or use tree that starts at `at` behind `prefix`; returns where it ends.
fn tree(code: &str, at: usize, prefix: &[String], found: &mut Vec<PathUse>) -> usize {
    let bytes = code.as_bytes();
    let mut segments = prefix.to_vec();
    let start = at;
    let mut at = at;
    loop {
        let end = at + bytes[at..].iter().take_while(|&&b| is_word(b)).count();
        segments.push(code[at..end].to_string());
        let separator = skip_space(bytes, end);
        if !code[separator..].starts_with("::") {
            found.push(PathUse { offset: start, segments });
            return end;
        }
        let next = skip_space(bytes, separator + 2);
        match bytes.get(next) {
            Some(b'{') => return group(code, next, &segments, found),
            Some(b'*') => {
                segments.push("*".into());
                found.push(PathUse { offset: start, segments });
                return next + 1;
            }
            Some(&byte) if is_word(byte) => at = next,
            _ => {
                found.push(PathUse { offset: start, segments });
                return next;
            }
        }
    }
}

fn group(code: &str, open: usize, prefix: &[String], found: &mut Vec<PathUse>) -> usize {
    let bytes = code.as_bytes();
    let mut at = open + 1;
    while at < bytes.len() && bytes[at] != b'}' {
        if is_word(bytes[at]) {
            at = tree(code, at, prefix, found);
            at = skip_alias(code, at);
        } else if bytes[at] == b'*' {
            let mut segments = prefix.to_vec();
            segments.push("*".into());
            found.push(PathUse { offset: at, segments });
            at += 1;
        } else {
            at += 1;
        }
    }
    (at + 1).min(bytes.len())
}

/// Steps over ` as name`.
fn skip_alias(code: &str, at: usize) -> usize {
    let bytes = code.as_bytes();
    let word = skip_space(bytes, at);
    if word == at || !code[word..].starts_with("as ") {
        return at;
    }
    let name = skip_space(bytes, word + 2);
    name + bytes[name..].iter().take_while(|&&b| is_word(b)).count()
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(code: &str) -> Vec<String> {
        paths(code).into_iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        assert_eq!(named("let x: a::B<c::D> = e::f::<g::H>(i);"), ["a::B", "c::D", "e::f", "g::H"]);
        assert_eq!(named("pub(in crate::x) fn f(y: Z) {}"), ["crate::x"]);
    }

    #[test]
    fn groups_are_taken_apart() {
        assert_eq!(
            named("use crate::{a::{self, B as C}, d::*, e}; use f::{*};"),
            ["crate::a::self", "crate::a::B", "crate::d::*", "crate::e", "f::*"]
        );
    }

    #[test]
    fn what_is_cut_off_ends_the_search() {
        assert_eq!(named("use crate::{a::b"), ["crate::a::b"]);
        assert!(named("crate::").is_empty());
    }
}
