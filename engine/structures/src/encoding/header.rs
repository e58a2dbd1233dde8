//! The header of a key. The grammar stands in docs/format/structures.md.

use crate::base::error::{Error, Result};
use esker::base::coding::{Decoder, put_varint};

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Type {
    /// Bytes.
    String = 1,
    /// Fields with values.
    Hash = 2,
    /// Elements in the order of their insertion.
    List = 3,
    /// Members without an order.
    Set = 4,
    /// Members in the order of their scores.
    SortedSet = 5,
}

impl Type {
    /// All of them.
    pub const ALL: [Type; 5] = [Type::String, Type::Hash, Type::List, Type::Set, Type::SortedSet];

    fn from_nibble(nibble: u8) -> Option<Type> {
        Type::ALL.into_iter().find(|kind| *kind as u8 == nibble)
    }

    /// Its name, as `TYPE` answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::Hash => "hash",
            Type::List => "list",
            Type::Set => "set",
            Type::SortedSet => "zset",
        }
    }
}

/// The time of what never expires.
pub const NEVER: u64 = u64::MAX;

/// Set in the first byte of a header whose elements stand in records of their own.
const RECORDS: u8 = 0x10;
/// Flags of the second byte; never reused.
const EXPIRES: u8 = 0x01;

/// Flags that the types set, in [`Meta::flags`].
pub mod flag {
    /// Redis would have given up its compact encoding by now (`hashtable`, `skiplist`).
    pub const WIDE: u8 = 0x02;
    /// A string that was changed in place, which Redis shows as `raw` whatever its length.
    pub const RAW: u8 = 0x04;
    /// For the type's own use: a list's `dense`, a set of integers alone.
    pub const OWN: u8 = 0x08;
    /// All of them.
    pub(super) const ALL: u8 = WIDE | RAW | OWN;
}

/// A header without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What the key holds.
    pub kind: Type,
    /// Whether elements (or chunks) stand in records of their own; otherwise in the payload.
    pub records: bool,
    /// Flags of [`flag`].
    pub flags: u8,
    /// The number under which the records stand; 0 without records.
    pub incarnation: u64,
    /// When the key expires, in ms since the epoch; [`NEVER`].
    pub expires_at: u64,
    /// The time under which the key stands in the expiry index, at most `expires_at`; [`NEVER`] if it does
    /// not.
    pub indexed_at: u64,
    /// Elements of a collection, or bytes of a string.
    pub length: u64,
}

impl Meta {
    /// The header of a new key, inline and without expiry.
    #[must_use]
    pub fn new(kind: Type) -> Meta {
        Meta {
            kind,
            records: false,
            flags: 0,
            incarnation: 0,
            expires_at: NEVER,
            indexed_at: NEVER,
            length: 0,
        }
    }

    /// Whether the key reads as absent at `now_ms`.
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at <= now_ms
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Refuses another type.
    ///
    /// # Errors
    /// [`Error::WRONG_TYPE`].
    pub fn expect(&self, kind: Type) -> Result<()> {
        if self.kind == kind { Ok(()) } else { Err(Error::WRONG_TYPE) }
    }

    fn counts_length(&self) -> bool {
        self.records || self.kind != Type::String
    }

    /// Appends the header with its payload.
    pub fn encode(&self, payload: &[u8], out: &mut Vec<u8>) {
        debug_assert_eq!(self.records, self.incarnation != 0);
        debug_assert!(self.indexed_at <= self.expires_at);
        let expires = self.expires_at != NEVER;
        out.push(self.kind as u8 | if self.records { RECORDS } else { 0 });
        out.push(self.flags | if expires { EXPIRES } else { 0 });
        if self.records {
            put_varint(out, self.incarnation);
        }
        if expires {
            put_varint(out, self.expires_at);
            put_varint(out, self.expires_at - self.indexed_at);
        }
        if self.counts_length() {
            put_varint(out, self.length);
        }
        out.extend_from_slice(payload);
    }

    /// Takes a header apart into what stands in front of the payload, and the payload.
    ///
    /// # Errors
    /// For bytes that [`Meta::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<(Meta, &[u8])> {
        let wrong = || Error::malformed("the header of a key");
        let mut decoder = Decoder::new(bytes);
        let (first, second) = (decoder.byte("a type")?, decoder.byte("flags")?);
        let kind = Type::from_nibble(first & 0x0f).ok_or_else(wrong)?;
        if first & !(0x0f | RECORDS) != 0 || second & !(EXPIRES | flag::ALL) != 0 {
            return Err(wrong());
        }
        let mut meta = Meta { records: first & RECORDS != 0, flags: second & flag::ALL, ..Meta::new(kind) };
        if meta.records {
            meta.incarnation = decoder.varint("an incarnation")?;
            if meta.incarnation == 0 {
                return Err(wrong());
            }
        }
        if second & EXPIRES != 0 {
            meta.expires_at = decoder.varint("an expiry")?;
            let earlier = decoder.varint("an index entry")?;
            meta.indexed_at = meta.expires_at.checked_sub(earlier).ok_or_else(wrong)?;
            if meta.expires_at == NEVER {
                return Err(wrong());
            }
        }
        if meta.counts_length() {
            meta.length = decoder.varint("a length")?;
        }
        let payload = bytes.get(decoder.position()..).unwrap_or_default();
        if !meta.counts_length() {
            meta.length = payload.len() as u64;
        }
        Ok((meta, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_round_trip(
            kind in 0usize..5, incarnation in any::<u64>(), records: bool, flags in 0u8..8,
            expiry in proptest::option::of((0..NEVER, 0u64..1000)), length: u64,
            payload in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let (expires_at, earlier) = expiry.unwrap_or((NEVER, 0));
            let mut meta = Meta {
                kind: Type::ALL[kind],
                records,
                flags: flags << 1,
                incarnation: if records { incarnation.max(1) } else { 0 },
                expires_at,
                indexed_at: expires_at.saturating_sub(earlier),
                length,
            };
            if !meta.counts_length() {
                meta.length = payload.len() as u64;
            }
            let mut bytes = Vec::new();
            meta.encode(&payload, &mut bytes);
            prop_assert_eq!(Meta::decode(&bytes).unwrap(), (meta, &payload[..]));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Meta::decode(&bytes);
        }
    }
}
