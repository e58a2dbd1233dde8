//! What stands for a value in the oracle and between the processes: gigabytes need not cross a pipe twice.

use esker::base::hash::key_hash;

/// The first eight bytes of a value, which name the commit and the change that wrote it, its length and a
/// hash.
pub const PRINT_BYTES: usize = 20;

/// The fingerprint of a value. Like the values themselves it begins with the commit and the change.
#[must_use]
pub fn print(value: &[u8]) -> [u8; PRINT_BYTES] {
    let mut print = [0; PRINT_BYTES];
    let head = value.len().min(8);
    print[..head].copy_from_slice(&value[..head]);
    print[8..12].copy_from_slice(&(value.len() as u32).to_be_bytes());
    print[12..].copy_from_slice(&key_hash(value).to_be_bytes());
    print
}

/// The commit, the change and the length that a fingerprint stands for: what the value can be made from
/// again.
#[must_use]
pub fn written_by(print: &[u8]) -> Option<(u32, usize, usize)> {
    let number = |at: usize| Some(u32::from_be_bytes(print.get(at..at + 4)?.try_into().ok()?));
    Some((number(0)?, number(4)? as usize, number(8)? as usize))
}

/// A hash over entries in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Of all of them.
    pub hash: u64,
}

impl Sum {
    /// One entry more, with the fingerprint of its value.
    pub fn add(&mut self, key: &[u8], print: &[u8]) {
        let mut bytes = self.hash.to_le_bytes().to_vec();
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(print);
        *self = Sum { count: self.count + 1, hash: key_hash(&bytes) };
    }
}

/// Bytes as digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The bytes behind digits.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::value;

    #[test]
    fn a_value_can_be_made_again_from_its_print() {
        let original = value(70_000, 3, 500);
        let (commit, change, bytes) = written_by(&print(&original)).unwrap();
        assert_eq!(value(commit, change, bytes), original);
        assert_ne!(print(&original[..499]), print(&original));
        assert_eq!(unhex(&hex(&original)).unwrap(), original);
        assert_eq!(unhex("abc"), None);
    }
}
