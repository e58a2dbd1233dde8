//! Keys of the store's families. The grammar stands in docs/format/structures.md.

use crate::base::error::{Error, Result};

/// What a record of an element is, in its key; never reused. Each type has its own.
pub mod kind {
    /// The user key to which an incarnation belongs, for tools and repair.
    pub const NAME: u8 = 0;
    /// A field of a hash.
    pub const FIELD: u8 = 1;
    /// A chunk of a string.
    pub const CHUNK: u8 = 2;
    /// An element of a list.
    pub const ELEMENT: u8 = 3;
    /// A count over elements of a list.
    pub const ELEMENT_COUNT: u8 = 4;
    /// A member of a set.
    pub const MEMBER: u8 = 5;
    /// A member of a sorted set, with its score.
    pub const SCORED: u8 = 6;
    /// A score of a sorted set, with its member.
    pub const SCORE: u8 = 7;
    /// A count over scores of a sorted set.
    pub const SCORE_COUNT: u8 = 8;
}

/// What a record of the index family is: the byte behind its keyspace; never reused.
pub mod table {
    /// What the store knows of itself; in the keyspace 0, which no database has.
    pub const SYSTEM: u8 = 0;
    /// Keys by slot and hash.
    pub const POSITION: u8 = 1;
    /// How many keys there are in a slot.
    pub const COUNT: u8 = 2;
    /// Keys by the time at which they expire.
    pub const EXPIRY: u8 = 3;
    /// Incarnations that no key has any more, and whose range is still to be dropped.
    pub const GIVEN_UP: u8 = 4;
}

/// Bytes of a keyspace's number.
pub const KEYSPACE_BYTES: usize = 8;
/// Bytes in front of a record's kind in the family of elements.
pub const INCARNATION_BYTES: usize = 16;
/// Bytes of a position in the order of slots and hashes, or of a hash of 53 bits.
pub const POSITION_BYTES: usize = 7;
/// Positions are smaller than this.
pub const POSITIONS: u64 = 1 << 53;

/// The key of a header.
#[must_use]
pub fn header(keyspace: u64, user_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(KEYSPACE_BYTES + user_key.len());
    key.extend_from_slice(&keyspace.to_be_bytes());
    key.extend_from_slice(user_key);
    key
}

/// Keyspace and user key of a header.
///
/// # Errors
/// If the key is too short for one.
pub fn split_header(key: &[u8]) -> Result<(u64, &[u8])> {
    let (keyspace, user_key) =
        key.split_first_chunk().ok_or_else(|| Error::malformed("the key of a header"))?;
    Ok((u64::from_be_bytes(*keyspace), user_key))
}

/// What all records of an incarnation start with.
#[must_use]
pub fn incarnation(keyspace: u64, incarnation: u64) -> [u8; INCARNATION_BYTES] {
    let mut key = [0; INCARNATION_BYTES];
    key[..KEYSPACE_BYTES].copy_from_slice(&keyspace.to_be_bytes());
    key[KEYSPACE_BYTES..].copy_from_slice(&incarnation.to_be_bytes());
    key
}

/// What all records of one kind of an incarnation start with.
#[must_use]
pub fn kind_prefix(keyspace: u64, number: u64, kind: u8) -> [u8; INCARNATION_BYTES + 1] {
    let mut key = [0; INCARNATION_BYTES + 1];
    key[..INCARNATION_BYTES].copy_from_slice(&incarnation(keyspace, number));
    key[INCARNATION_BYTES] = kind;
    key
}

/// The key of a record: kind, and the rest in up to two parts.
#[must_use]
pub fn element(keyspace: u64, number: u64, kind: u8, rest: &[u8], more: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(INCARNATION_BYTES + 1 + rest.len() + more.len());
    key.extend_from_slice(&kind_prefix(keyspace, number, kind));
    key.extend_from_slice(rest);
    key.extend_from_slice(more);
    key
}

/// Incarnation, kind and rest of the key of a record, behind its keyspace.
///
/// # Errors
/// If the key is too short for one.
pub fn split_element(key: &[u8]) -> Result<(u64, u64, u8, &[u8])> {
    let wrong = || Error::malformed("the key of an element");
    let (keyspace, rest) = key.split_first_chunk().ok_or_else(wrong)?;
    let (number, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
    let (&kind, rest) = rest.split_first().ok_or_else(wrong)?;
    Ok((u64::from_be_bytes(*keyspace), u64::from_be_bytes(*number), kind, rest))
}

/// A position, or a hash of 53 bits, in seven bytes.
#[must_use]
pub fn position_bytes(position: u64) -> [u8; POSITION_BYTES] {
    let [_, rest @ ..] = position.to_be_bytes();
    rest
}

/// A position at the front of `bytes`, and what stands behind it.
///
/// # Errors
/// If there are too few bytes, or the number is too large.
pub fn split_position(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let wrong = || Error::malformed("a position");
    let ([a, b, c, d, e, f, g], rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
    let position = u64::from_be_bytes([0, *a, *b, *c, *d, *e, *f, *g]);
    if position < POSITIONS { Ok((position, rest)) } else { Err(wrong()) }
}

/// Where a key stands in the order of slots and hashes: 14 bits of slot, 39 of `hash`.
#[must_use]
pub fn position(slot: u16, hash: u64) -> u64 {
    (u64::from(slot) << 39) | (hash >> 25)
}

/// What all records of a keyspace in one table of the index start with.
#[must_use]
pub fn index_prefix(table: u8, keyspace: u64) -> [u8; KEYSPACE_BYTES + 1] {
    let mut key = [table; KEYSPACE_BYTES + 1];
    key[..KEYSPACE_BYTES].copy_from_slice(&keyspace.to_be_bytes());
    key
}

/// The record of a key in the order of slots and hashes.
#[must_use]
pub fn positioned(keyspace: u64, position: u64, user_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + KEYSPACE_BYTES + POSITION_BYTES + user_key.len());
    key.extend_from_slice(&index_prefix(table::POSITION, keyspace));
    key.extend_from_slice(&position_bytes(position));
    key.extend_from_slice(user_key);
    key
}

/// The record of how many keys there are in a slot.
#[must_use]
pub fn count(keyspace: u64, slot: u16) -> Vec<u8> {
    let mut key = index_prefix(table::COUNT, keyspace).to_vec();
    key.extend_from_slice(&slot.to_be_bytes());
    key
}

/// The record of a key that expires.
#[must_use]
pub fn expiry(keyspace: u64, at_ms: u64, user_key: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + KEYSPACE_BYTES + 8 + user_key.len());
    key.extend_from_slice(&index_prefix(table::EXPIRY, keyspace));
    key.extend_from_slice(&at_ms.to_be_bytes());
    key.extend_from_slice(user_key);
    key
}

/// The record of an incarnation whose range is to be dropped.
#[must_use]
pub fn given_up(keyspace: u64, incarnation: u64) -> Vec<u8> {
    let mut key = index_prefix(table::GIVEN_UP, keyspace).to_vec();
    key.extend_from_slice(&incarnation.to_be_bytes());
    key
}

/// A record of the index that belongs to a keyspace: table, keyspace, rest.
///
/// # Errors
/// If the key is too short for one.
pub fn split_index(key: &[u8]) -> Result<(u8, u64, &[u8])> {
    let wrong = || Error::malformed("a key of the index");
    let (keyspace, rest) = key.split_first_chunk().ok_or_else(wrong)?;
    let (&table, rest) = rest.split_first().ok_or_else(wrong)?;
    Ok((table, u64::from_be_bytes(*keyspace), rest))
}

/// A record of the store itself, by its name.
#[must_use]
pub fn system(name: &str) -> Vec<u8> {
    let mut key = index_prefix(table::SYSTEM, 0).to_vec();
    key.extend_from_slice(name.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The order of the bytes is the order of what they stand for.
        #[test]
        fn keys_order_as_their_parts(
            a in (0u64..4, any::<u64>(), 0u8..9, 0..POSITIONS, proptest::collection::vec(any::<u8>(), 0..4)),
            b in (0u64..4, any::<u64>(), 0u8..9, 0..POSITIONS, proptest::collection::vec(any::<u8>(), 0..4)),
        ) {
            let of = |t: &(u64, u64, u8, u64, Vec<u8>)| element(t.0, t.1, t.2, &position_bytes(t.3), &t.4);
            prop_assert_eq!(of(&a).cmp(&of(&b)), a.cmp(&b));
            let of = |t: &(u64, u64, u8, u64, Vec<u8>)| (t.0, t.4.clone());
            let header_of = |t: &(u64, u64, u8, u64, Vec<u8>)| header(t.0, &t.4);
            prop_assert_eq!(header_of(&a).cmp(&header_of(&b)), of(&a).cmp(&of(&b)));
            let of = |t: &(u64, u64, u8, u64, Vec<u8>)| (t.0, t.3, t.4.clone());
            let index_of = |t: &(u64, u64, u8, u64, Vec<u8>)| positioned(t.0, t.3, &t.4);
            prop_assert_eq!(index_of(&a).cmp(&index_of(&b)), of(&a).cmp(&of(&b)));
            let of = |t: &(u64, u64, u8, u64, Vec<u8>)| (t.0, t.1, t.4.clone());
            let expiry_of = |t: &(u64, u64, u8, u64, Vec<u8>)| expiry(t.0, t.1, &t.4);
            prop_assert_eq!(expiry_of(&a).cmp(&expiry_of(&b)), of(&a).cmp(&of(&b)));
        }

        #[test]
        fn keys_come_apart_as_they_were_made(
            keyspace: u64, number: u64, kind: u8, position in 0..POSITIONS,
            rest in proptest::collection::vec(any::<u8>(), 0..9),
        ) {
            let key = element(keyspace, number, kind, &position_bytes(position), &rest);
            let (a, b, c, tail) = split_element(&key).unwrap();
            prop_assert_eq!((a, b, c), (keyspace, number, kind));
            prop_assert_eq!(split_position(tail).unwrap(), (position, &rest[..]));
            prop_assert!(key.starts_with(&incarnation(keyspace, number)));
            let index = positioned(keyspace, position, &rest);
            let (which, space, tail) = split_index(&index).unwrap();
            prop_assert_eq!((which, space), (table::POSITION, keyspace));
            prop_assert_eq!(split_position(tail).unwrap(), (position, &rest[..]));
            let name = header(keyspace, &rest);
            prop_assert_eq!(split_header(&name).unwrap(), (keyspace, &rest[..]));
        }
    }

    #[test]
    fn positions_are_exact_in_a_double() {
        let last = position(u16::MAX >> 2, u64::MAX);
        assert_eq!(last, POSITIONS - 1);
        assert!((last as f64) as u64 == last && (POSITIONS as f64) as u64 == POSITIONS);
    }
}
