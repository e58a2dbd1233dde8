//! Parsing arguments, with Redis' texts for what is wrong.

use crate::base::error::{Error, Result};
use crate::base::number::parse_i64;

/// An integer of 64 bits.
pub(super) fn integer(text: &[u8]) -> Result<i64> {
    parse_i64(text).ok_or(Error::NOT_INTEGER)
}

/// A cursor of SCAN: what `strtoul` reads, the whole of it.
pub(super) fn cursor(text: &[u8]) -> Result<u64> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let wrong = || Error::fixed("ERR invalid cursor");
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or_else(wrong)
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
