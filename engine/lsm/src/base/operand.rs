//! Operands of merges as they are stored, and how long what they make lives.
//!
//! An operand carries the time at which it was written and, in front of its bytes, a time to live for
//! the case that it starts from nothing. From the oldest version of a key up:
//!
//! - A value is a base, with its expiry. A deletion, or nothing at all, is none.
//! - An operand that was written when the base had expired already, or where there is none, starts from
//!   nothing: what comes of it lives as long as the operand says.
//! - Any other operand changes the base; what comes of it expires when the base would have.
//!
//! So the expiry of a merge, and which of its operands count, follow without asking the operator. Times
//! of operands ascend with their sequence numbers: the ordering section stamps them.

use super::coding::{Decoder, put_varint, varint_len};
use super::key::{EntryRef, NEVER};
use std::time::Duration;

/// An operand of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand<'a> {
    /// When it was written, in milliseconds since the epoch.
    pub written_ms: u64,
    /// How long what it starts from nothing lives, in milliseconds; 0 for ever.
    pub ttl_ms: u64,
    /// What the operator gets.
    pub bytes: &'a [u8],
}

impl<'a> Operand<'a> {
    /// The operand in an entry of [`super::key::Kind::Merge`]; `None` if its bytes are none.
    #[must_use]
    pub fn decode(entry: &EntryRef<'a>) -> Option<Operand<'a>> {
        let (ttl_ms, bytes) = Self::decode_value(entry.value)?;
        Some(Operand { written_ms: entry.expires_at, ttl_ms, bytes })
    }

    /// The time to live and the operator's bytes in a stored value; `None` if it is none.
    #[must_use]
    pub fn decode_value(value: &'a [u8]) -> Option<(u64, &'a [u8])> {
        let mut decoder = Decoder::new(value);
        let ttl_ms = decoder.varint("an operand's time to live").ok()?;
        Some((ttl_ms, &value[decoder.position()..]))
    }

    /// The time to live as it is stored: in milliseconds, at least one; 0 for none.
    #[must_use]
    pub fn ttl_ms(ttl: Option<Duration>) -> u64 {
        ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    /// The length of the stored value of an operand.
    #[must_use]
    pub fn encoded_bytes(ttl_ms: u64, bytes: &[u8]) -> usize {
        varint_len(ttl_ms) + bytes.len()
    }

    /// The stored value of an operand.
    #[must_use]
    pub fn encode_value(ttl_ms: u64, bytes: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(Self::encoded_bytes(ttl_ms, bytes));
        put_varint(&mut value, ttl_ms);
        value.extend_from_slice(bytes);
        value
    }

    /// Whether it starts from nothing on top of what expires at `base`; `None` where there is nothing.
    #[must_use]
    pub fn starts(&self, base: Option<u64>) -> bool {
        base.is_none_or(|expires_at| expires_at <= self.written_ms)
    }

    /// When what it starts from nothing expires; [`NEVER`] if it does not.
    #[must_use]
    pub fn end_of_start(&self) -> u64 {
        match self.ttl_ms {
            0 => NEVER,
            ttl_ms => self.written_ms.saturating_add(ttl_ms).min(NEVER - 1),
        }
    }
}

/// What operands come to, but for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first operand that counts; those before it belong to something that had expired.
    pub first: usize,
    /// Whether that one starts from nothing instead of changing the base.
    pub from_nothing: bool,
    /// When the result expires; [`NEVER`] if it does not.
    pub expires_at: u64,
}

/// What `operands`, oldest first, come to on top of what expires at `base`; `None` where there is
/// nothing.
#[must_use]
pub fn outcome<'a>(base: Option<u64>, operands: impl IntoIterator<Item = Operand<'a>>) -> Outcome {
    let mut outcome = Outcome { first: 0, from_nothing: false, expires_at: base.unwrap_or(0) };
    let mut standing = base;
    for (at, operand) in operands.into_iter().enumerate() {
        if operand.starts(standing) {
            outcome = Outcome { first: at, from_nothing: true, expires_at: operand.end_of_start() };
            standing = Some(outcome.expires_at);
        }
    }
    outcome
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::key::Kind;

    fn operand(written_ms: u64, ttl_ms: u64) -> Operand<'static> {
        Operand { written_ms, ttl_ms, bytes: b"o" }
    }

    #[test]
    fn an_operand_comes_back_with_its_times() {
        let value = Operand::encode_value(300, b"abc");
        let entry = EntryRef { key: b"k", seq: 1, kind: Kind::Merge, expires_at: 9, value: &value };
        assert_eq!(Operand::decode(&entry), Some(Operand { written_ms: 9, ttl_ms: 300, bytes: b"abc" }));
        assert_eq!((entry.expiry(), entry.may_expire_at()), (NEVER, 309));
        assert_eq!(Operand::decode(&EntryRef { value: b"", ..entry }), None);
        assert_eq!(Operand::ttl_ms(Some(Duration::ZERO)), 1, "none is not for ever");
        assert_eq!(operand(5, u64::MAX).end_of_start(), NEVER - 1);
    }

    #[test]
    fn an_operand_changes_what_lives_and_starts_anew_where_nothing_does() {
        let whole = |base, times: &[(u64, u64)]| outcome(base, times.iter().map(|&(w, t)| operand(w, t)));
        let o = |first, from_nothing, expires_at| Outcome { first, from_nothing, expires_at };
        assert_eq!(whole(Some(NEVER), &[(1, 5), (9, 5)]), o(0, false, NEVER));
        assert_eq!(whole(Some(10), &[(1, 0), (9, 0)]), o(0, false, 10), "it keeps the expiry of its base");
        assert_eq!(whole(Some(10), &[(1, 0), (10, 0), (11, 7)]), o(1, true, NEVER));
        assert_eq!(whole(None, &[(1, 5), (5, 5), (6, 9), (7, 1)]), o(2, true, 15));
    }
}
