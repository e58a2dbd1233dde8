//! A place in the order of commits that a reader of changes can come back to.

use super::error::{Error, Result};
use super::key::{MAX_SEQ, SeqNum};
use std::fmt;
use std::str::FromStr;

/// A place in the order of commits: everything up to a sequence number, in a history of the store.
///
/// A store that was not closed in good order starts a new history when it is opened, since what was not yet
/// durable may be lost: the numbers alone would not tell. As text it is the history's number in hexadecimal
/// and the sequence number, as bytes 16 of them, the history's first, both with the greatest byte first.
///
/// ```
/// # fn main() -> esker::Result<()> {
/// let position = esker::Position { history: 0x2a, seq: 7 };
/// assert_eq!(position.to_string(), "000000000000002a-7");
/// assert_eq!("000000000000002a-7".parse::<esker::Position>()?, position);
/// assert_eq!(esker::Position::from_bytes(&position.to_bytes())?, position);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The number of the history.
    pub history: u64,
    /// Everything up to this sequence number lies behind it.
    pub seq: SeqNum,
}

impl Position {
    /// As bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.history.to_be_bytes());
        bytes[8..].copy_from_slice(&self.seq.to_be_bytes());
        bytes
    }

    /// Back from bytes.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Position> {
        let halves =
            bytes.split_first_chunk::<8>().and_then(|(first, rest)| Some((first, rest.try_into().ok()?)));
        let (history, seq): (&[u8; 8], [u8; 8]) = halves.ok_or_else(wrong)?;
        Position { history: u64::from_be_bytes(*history), seq: u64::from_be_bytes(seq) }.checked()
    }

    fn checked(self) -> Result<Position> {
        if self.seq > MAX_SEQ { Err(wrong()) } else { Ok(self) }
    }
}

fn wrong() -> Error {
    Error::invalid("position", "16 hexadecimal digits, `-`, and a sequence number of 56 bits make one")
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.history, self.seq)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Position> {
        let (history, seq) = text.split_once('-').ok_or_else(wrong)?;
        let digits = history.len() == 16 && history.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits || !seq.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let history = u64::from_str_radix(history, 16).map_err(|_| wrong())?;
        Position { history, seq: seq.parse().map_err(|_| wrong())? }.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_round_trip_and_nothing_else_is_one() {
        for position in [Position { history: 0, seq: 0 }, Position { history: u64::MAX, seq: MAX_SEQ }] {
            assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
            assert_eq!(Position::from_bytes(&position.to_bytes()).unwrap(), position);
        }
        let beyond = format!("{:016x}-{}", 1, MAX_SEQ + 1);
        for text in
            ["", "-", "1-1", "000000000000000g-1", "0000000000000001-", "0000000000000001-+1", &beyond]
        {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
        assert!(Position::from_bytes(&[0; 15]).is_err() && Position::from_bytes(&[0; 17]).is_err());
        assert!(Position::from_bytes(&[0xff; 16]).is_err());
    }
}
