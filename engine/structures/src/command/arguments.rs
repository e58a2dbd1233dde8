//! Parsing arguments, with Redis' texts for what is wrong.

use crate::base::error::{Error, Result};
use crate::base::number::{parse_i64, split_sign};

/// An integer of 64 bits.
pub(super) fn integer(text: &[u8]) -> Result<i64> {
    parse_i64(text).ok_or(Error::NOT_INTEGER)
}

/// A cursor of SCAN: what `strtoul` reads, the whole of it up to a zero byte. That counts below zero from
/// 2^64 down, and takes nothing for 0.
pub(super) fn cursor(text: &[u8]) -> Result<u64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    let (negative, digits) = split_sign(text);
    let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
    let number: Option<u64> = number.and_then(|digits| digits.parse().ok());
    let number = number.ok_or(Error::fixed("ERR invalid cursor"))?;
    Ok(if negative { number.wrapping_neg() } else { number })
}

/// Argument 2, how many members by chance are wanted, and whether `word` behind it asks for more than names.
pub(super) fn count_by_chance(args: &[&[u8]], word: &str) -> Result<(i64, bool)> {
    let count = integer(args.get(2).copied().unwrap_or_default())?;
    if count == i64::MIN {
        return Err(Error::SYMMETRIC_RANGE);
    }
    match args.get(3..).unwrap_or_default() {
        [] => Ok((count, false)),
        [with] if !is(with, word) => Err(Error::SYNTAX),
        [_] if count.unsigned_abs() > i64::MAX as u64 / 2 => Err(Error::OUT_OF_RANGE),
        [_] => Ok((count, true)),
        _ => Err(Error::SYNTAX),
    }
}

/// Whether an argument is this word, in letters of either size.
pub(super) fn is(text: &[u8], word: &str) -> bool {
    text.eq_ignore_ascii_case(word.as_bytes())
}

/// The arguments of a command, taken from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments<'a> {
    args: &'a [&'a [u8]],
}

impl<'a> Arguments<'a> {
    /// Those from number `from` on.
    pub(super) fn new(args: &'a [&'a [u8]], from: usize) -> Arguments<'a> {
        Arguments { args: args.get(from..).unwrap_or_default() }
    }

    pub(super) fn left(&self) -> usize {
        self.args.len()
    }

    /// The next one; a missing one is a syntax error.
    pub(super) fn required(&mut self) -> Result<&'a [u8]> {
        self.next().ok_or(Error::SYNTAX)
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = self.args.split_first()?;
        self.args = rest;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_like_strtoul() {
        for (text, expected) in [
            (&b""[..], Some(0)),
            (b"0", Some(0)),
            (b"-0", Some(0)),
            (b"+7", Some(7)),
            (b"-1", Some(u64::MAX)),
            (b"-18446744073709551615", Some(1)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"\0", Some(0)),
            (b"5\0x", Some(5)),
            (b"18446744073709551616", None),
            (b"-18446744073709551616", None),
            (b" 0", None),
            (b"0 ", None),
            (b"-", None),
            (b"--1", None),
            (b"0x0", None),
        ] {
            assert_eq!(cursor(text).ok(), expected, "{}", text.escape_ascii());
        }
    }
}
