//! Lines of a text, counted and bounded.

use crate::failure::Failure;
use crate::records::record::ReadError;
use std::io::{BufRead, Read};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads lines of at most `limit` bytes.
pub struct Lines<R> {
    input: R,
    limit: usize,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `input`, none longer than `limit` bytes.
    pub fn new(input: R, limit: usize) -> Self {
        Lines { input, limit, number: 0 }
    }

    /// The number of the line that was read last, from 1; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The longest line allowed, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Reads the next line into `line`, with its end; false at the end of the input.
    ///
    /// # Errors
    /// The input cannot be read, or the line is too long.
    pub fn next(&mut self, line: &mut Vec<u8>) -> Result<bool, ReadError> {
        line.clear();
        let bound = self.limit as u64 + 1;
        let read = (&mut self.input).take(bound).read_until(b'\n', line);
        let number = self.number + 1;
        if let Err(e) = read {
            return Err(ReadError::Fatal(Failure::error(format!("cannot read line {number}: {e}"))));
        }
        if line.len() > self.limit {
            return Err(ReadError::fatal(number, format!("longer than {} bytes", self.limit)));
        }
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.is_empty() {
            return Ok(false);
        }
        self.number = number;
        Ok(true)
    }

    /// Reads the next line that is not blank into `line`, without its end.
    ///
    /// # Errors
    /// As [`Lines::next`].
    pub fn next_filled(&mut self, line: &mut Vec<u8>) -> Result<bool, ReadError> {
        while self.next(line)? {
            let len = without_end(line).len();
            line.truncate(len);
            if !is_blank(line) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A line without its `\n` or `\r\n`.
#[must_use]
pub fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether a line holds nothing but white space.
#[must_use]
pub fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_blank_ones_skipped() {
        let mut lines = Lines::new(&b"\xef\xbb\xbfa\r\n\n  \nbb"[..], 8);
        let mut line = Vec::new();
        assert!(lines.next_filled(&mut line).unwrap());
        assert_eq!((line.as_slice(), lines.number()), (&b"a"[..], 1));
        assert!(lines.next_filled(&mut line).unwrap());
        assert_eq!((line.as_slice(), lines.number()), (&b"bb"[..], 4));
        assert!(!lines.next_filled(&mut line).unwrap());
    }

    #[test]
    fn a_line_cannot_grow_past_its_limit() {
        let mut lines = Lines::new(std::io::BufReader::new(std::io::repeat(b'x')), 1000);
        let mut line = Vec::new();
        let Err(ReadError::Fatal(failure)) = lines.next(&mut line) else { panic!("no end of line") };
        assert_eq!(failure.to_string(), "line 1: longer than 1000 bytes");
        assert_eq!(line.len(), 1001);
    }
}
