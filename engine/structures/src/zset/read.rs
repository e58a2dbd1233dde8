//! Questions to a sorted set.

use super::Entry;
use super::range::{Range, Window};
use super::view::View;
use crate::base::error::Result;
use crate::encoding::header::Type;
use crate::encoding::key::INCARNATION_BYTES;
use crate::encoding::scored::{Members, split_place};
use crate::store::{Budget, Key, Stretch, Unit};

/// How many members there are; 0 if there is no such key. One read.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn length(unit: &mut Unit<'_>, key: Key<'_>) -> Result<u64> {
    Ok(unit.meta_of(key, Type::SortedSet)?.map_or(0, |meta| meta.length))
}

/// The score of a member. One read for a small set, two otherwise.
///
/// # Errors
/// As [`length`].
pub fn score(unit: &mut Unit<'_>, key: Key<'_>, member: &[u8]) -> Result<Option<f64>> {
    let small = unit.read_of(key, Type::SortedSet, |meta, payload| {
        (!meta.records).then(|| Members::new(payload).find(member).map(|found| found.map(|(score, _)| score)))
    })?;
    match small {
        None => Ok(None),
        Some(Some(found)) => found,
        Some(None) => match View::open(unit, key)? {
            Some(view) => view.score(unit, member),
            None => Ok(None),
        },
    }
}

/// The scores of several members, whose records are read together.
///
/// # Errors
/// As [`length`].
pub fn scores(unit: &mut Unit<'_>, key: Key<'_>, members: &[&[u8]]) -> Result<Vec<Option<f64>>> {
    match View::open(unit, key)? {
        Some(view) => view.scores(unit, members),
        None => Ok(vec![None; members.len()]),
    }
}

/// The index of a member in the order of scores, from the end if `reverse`, and its score. O(log n).
///
/// # Errors
/// As [`length`].
pub fn rank(unit: &mut Unit<'_>, key: Key<'_>, member: &[u8], reverse: bool) -> Result<Option<(u64, f64)>> {
    let Some(view) = View::open(unit, key)? else { return Ok(None) };
    let Some(score) = view.score(unit, member)? else { return Ok(None) };
    let rank = view.rank(unit, score, member)?;
    let rank = if reverse { view.meta.length.saturating_sub(1).saturating_sub(rank) } else { rank };
    Ok(Some((rank, score)))
}

/// How many members a range has. O(log n).
///
/// # Errors
/// As [`length`].
pub fn count(unit: &mut Unit<'_>, key: Key<'_>, range: &Range<'_>) -> Result<u64> {
    match View::open(unit, key)? {
        Some(view) => view.count(unit, range),
        None => Ok(0),
    }
}

/// The members of a range. O(log n), and a record for each.
///
/// # Errors
/// As [`length`]; [`crate::Error::COMMAND_TOO_LARGE`].
pub fn members(unit: &mut Unit<'_>, key: Key<'_>, range: &Range<'_>, window: Window) -> Result<Vec<Entry>> {
    let mut memory = unit.memory();
    let entries = members_within(unit, key, range, window, &mut memory)?;
    memory.check()?;
    Ok(entries)
}

/// As [`members`], to the first that `memory` does not take any more.
///
/// # Errors
/// As [`length`].
pub fn members_within(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    range: &Range<'_>,
    window: Window,
    memory: &mut Budget,
) -> Result<Vec<Entry>> {
    match View::open(unit, key)? {
        Some(view) => view.entries(unit, range, window, memory),
        None => Ok(Vec::new()),
    }
}

/// The records of what [`members`] gives, whose first is known, to be read piece by piece:
/// [`split_record`] takes them apart. `None` of a small set, and where there are none. O(log n).
///
/// # Errors
/// As [`length`]; [`crate::Error::Busy`] if the unit has written something.
pub fn stretch(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    range: &Range<'_>,
    window: Window,
    first: &Entry,
) -> Result<Option<Stretch>> {
    match View::open(unit, key)? {
        Some(view) => view.stretch(unit, range, window, first),
        None => Ok(None),
    }
}

/// Score and member, from the key of a record in the order of scores.
///
/// # Errors
/// For a key that is none.
pub fn split_record(key: &[u8]) -> Result<(f64, &[u8])> {
    split_place(key.get(INCARNATION_BYTES + 1..).unwrap_or_default())
}
