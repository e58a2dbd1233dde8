//! Fixed-width and variable-length numbers, and a decoder that checks every step.
//!
//! Fixed-width numbers are little-endian. A varint is LEB128: seven bits per byte, least
//! significant first, the high bit set on all but the last byte.

use super::error::{Corruption, Error};
use std::path::Path;

/// The longest encoding of a 64-bit varint.
pub const MAX_VARINT_BYTES: usize = 10;

/// Appends a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number of bytes that [`put_varint`] appends for `value`.
#[must_use]
pub fn varint_len(value: u64) -> usize {
    ((64 - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

/// Appends a byte string with its length in front.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes that are not what they should be: where, and what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset within the decoded bytes.
    pub at: usize,
    /// What should have stood there.
    pub expected: &'static str,
}

impl Malformed {
    /// As an error of the file that the bytes came from; `base` is where they start in it.
    #[must_use]
    pub fn in_file(self, file: &Path, base: u64) -> Error {
        Corruption::new(file, base + self.at as u64, self.expected, "malformed bytes").into()
    }
}

/// A decoder over bytes that may be damaged. No method panics or reads out of bounds.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Decoder { bytes, at: 0 }
    }

    /// How many bytes were consumed.
    #[inline]
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether all bytes were consumed.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The error for this position.
    #[inline]
    #[must_use]
    pub fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { at: self.at, expected }
    }

    /// Takes `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize, expected: &'static str) -> Result<&'a [u8], Malformed> {
        if n > self.remaining() {
            return Err(self.malformed(expected));
        }
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }

    /// Takes one byte.
    #[inline]
    pub fn byte(&mut self, expected: &'static str) -> Result<u8, Malformed> {
        Ok(self.take(1, expected)?[0])
    }

    /// Takes a fixed 32-bit number.
    pub fn fixed32(&mut self, expected: &'static str) -> Result<u32, Malformed> {
        let bytes = self.take(4, expected)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Takes a fixed 64-bit number.
    #[inline]
    pub fn fixed64(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        let mut raw = [0; 8];
        raw.copy_from_slice(self.take(8, expected)?);
        Ok(u64::from_le_bytes(raw))
    }

    /// Takes a varint of at most 64 bits.
    #[inline]
    pub fn varint(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(expected),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else { break };
            self.at += 1;
            // The tenth byte may hold only the one bit that is left of 64.
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.at = start;
        Err(self.malformed(expected))
    }

    /// Takes a varint that must fit into 32 bits.
    #[inline]
    pub fn varint32(&mut self, expected: &'static str) -> Result<u32, Malformed> {
        let at = self.at;
        u32::try_from(self.varint(expected)?).map_err(|_| Malformed { at, expected })
    }

    /// Takes a byte string with its length in front.
    #[inline]
    pub fn bytes(&mut self, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let at = self.at;
        let len = self.varint(expected)?;
        let len = usize::try_from(len).map_err(|_| Malformed { at, expected })?;
        let taken = self.take(len, expected);
        if taken.is_err() {
            self.at = at;
        }
        taken.map_err(|_| Malformed { at, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_round_trip(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            let mut decoder = Decoder::new(&out);
            prop_assert_eq!(decoder.varint("number"), Ok(value));
            prop_assert!(decoder.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut decoder = Decoder::new(&bytes);
            while !decoder.is_empty() {
                let before = decoder.position();
                if decoder.bytes("string").is_err() && decoder.varint("number").is_err() {
                    prop_assert_eq!(decoder.position(), before);
                    break;
                }
            }
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_refused() {
        let mut bytes = vec![0xff; 9];
        bytes.push(0x02);
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(decoder.varint("number"), Err(Malformed { at: 0, expected: "number" }));
        assert_eq!(Decoder::new(&[0x80]).varint("number").unwrap_err().at, 0);
    }
}
