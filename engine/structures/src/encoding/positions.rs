//! Positions of a list's elements, and the groups over which they are counted. The grammar stands in
//! docs/format/structures.md.

use super::key::{self, kind};
use crate::base::error::{Error, Result};

/// From one position to the next, where nothing was inserted between. Positions on disk depend on it: it
/// must never change.
pub const STEP: u64 = 1 << 16;
/// The position of the first element that gets a record.
pub const FIRST: u64 = 1 << 63;
/// Positions are at least this, and less than [`HIGHEST`].
pub const LOWEST: u64 = 1 << 62;
/// Positions are less than this.
pub const HIGHEST: u64 = 3 << 62;
/// How many levels of counts there are.
pub const LEVELS: usize = 7;

/// The positions of the first and the last element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Of the first.
    pub head: u64,
    /// Of the last.
    pub tail: u64,
}

impl Ends {
    /// As the payload of a header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.head.to_le_bytes(), self.tail.to_le_bytes()].concat()
    }

    /// Back from the payload.
    ///
    /// # Errors
    /// For bytes that [`Ends::encode`] does not write.
    pub fn decode(payload: &[u8]) -> Result<Ends> {
        let wrong = || Error::malformed("the ends of a list");
        let (halves, []) = payload.as_chunks::<8>() else { return Err(wrong()) };
        let [head, tail] = halves else { return Err(wrong()) };
        let ends = Ends { head: u64::from_le_bytes(*head), tail: u64::from_le_bytes(*tail) };
        let right = LOWEST <= ends.head && ends.head <= ends.tail && ends.tail < HIGHEST;
        if right { Ok(ends) } else { Err(wrong()) }
    }
}

/// How many positions that are multiples of [`STEP`] there are from `from` up to and without `to`.
#[must_use]
pub fn aligned(from: u64, to: u64) -> u64 {
    to.div_ceil(STEP).saturating_sub(from.div_ceil(STEP))
}

fn shift(level: usize) -> u32 {
    9 + 7 * level as u32
}

/// The group of a level in which a position stands: level 1 has a group for each step, and each level groups
/// of 128 times the one below.
#[must_use]
pub fn group(level: usize, position: u64) -> u64 {
    position >> shift(level)
}

/// The first position of a group.
#[must_use]
pub fn group_start(level: usize, group: u64) -> u64 {
    group << shift(level)
}

/// The end of a group, which it does not contain. Groups of positions below [`HIGHEST`] have one.
#[must_use]
pub fn group_end(level: usize, group: u64) -> u64 {
    group_start(level, group).saturating_add(1 << shift(level))
}

/// The key of an element's record.
#[must_use]
pub fn element_key(keyspace: u64, incarnation: u64, position: u64) -> Vec<u8> {
    key::element(keyspace, incarnation, kind::ELEMENT, &position.to_be_bytes(), b"")
}

/// The key of a count.
#[must_use]
pub fn count_key(keyspace: u64, incarnation: u64, level: usize, group: u64) -> Vec<u8> {
    key::element(keyspace, incarnation, kind::ELEMENT_COUNT, &[level as u8], &group.to_be_bytes())
}

/// The position of an element, from what stands behind the kind in its key.
///
/// # Errors
/// For what is none.
pub fn split_position(rest: &[u8]) -> Result<u64> {
    let bytes = rest.try_into().map_err(|_| Error::malformed("the position of an element"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Level and group of a count, from what stands behind the kind in its key.
///
/// # Errors
/// For what is none.
pub fn split_count(rest: &[u8]) -> Result<(usize, u64)> {
    let wrong = || Error::malformed("the group of a count");
    let (&level, group) = rest.split_first().ok_or_else(wrong)?;
    let group = group.try_into().map_err(|_| wrong())?;
    if usize::from(level) < LEVELS { Ok((level.into(), u64::from_be_bytes(group))) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_order_as_positions_do(a in LOWEST..HIGHEST, b in LOWEST..HIGHEST, level in 0..LEVELS) {
            prop_assert_eq!(element_key(1, 2, a).cmp(&element_key(1, 2, b)), a.cmp(&b));
            let of = |at| count_key(1, 2, level, group(level, at));
            prop_assert_eq!(of(a).cmp(&of(b)), group(level, a).cmp(&group(level, b)));
            prop_assert_eq!(split_position(&element_key(1, 2, a)[17..]).unwrap(), a);
            prop_assert_eq!(split_count(&of(a)[17..]).unwrap(), (level, group(level, a)));
        }

        #[test]
        fn groups_contain_their_positions(at in LOWEST..HIGHEST, level in 0..LEVELS) {
            let group = group(level, at);
            prop_assert!(group_start(level, group) <= at && at < group_end(level, group));
        }

        #[test]
        fn ends_round_trip(a in LOWEST..HIGHEST, b in LOWEST..HIGHEST) {
            let ends = Ends { head: a.min(b), tail: a.max(b) };
            prop_assert_eq!(Ends::decode(&ends.encode()).unwrap(), ends);
            let turned = Ends { head: ends.tail, tail: ends.head };
            prop_assert_eq!(Ends::decode(&turned.encode()).is_ok(), a == b);
        }

        #[test]
        fn aligned_positions_are_counted(from in 0u64..1 << 20, more in 0u64..1 << 20) {
            let counted = (from..from + more).filter(|at| at.is_multiple_of(STEP)).count();
            prop_assert_eq!(aligned(FIRST + from, FIRST + from + more), counted as u64);
        }
    }
}
