//! Single members.

use super::records::{Draft, View, check};
use crate::base::error::Result;
use crate::encoding::header::Type;
use crate::store::{FETCH, Key, Unit};

/// How many members there are; 0 if there is no such key. One read.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn length(unit: &mut Unit<'_>, key: Key<'_>) -> Result<u64> {
    Ok(unit.meta_of(key, Type::Set)?.map_or(0, |meta| meta.length))
}

/// Which of several members there are. The header, and the members' records read together.
///
/// # Errors
/// As [`length`].
pub fn contains_many(unit: &mut Unit<'_>, key: Key<'_>, members: &[&[u8]]) -> Result<Vec<bool>> {
    match View::load(unit, key)? {
        Some(view) => view.contains_many(unit, members),
        None => Ok(vec![false; members.len()]),
    }
}

/// Adds members, and returns how many are new. One header, and for a large set a read and a record for each.
///
/// # Errors
/// As [`length`]; a member that is too long.
pub fn add(unit: &mut Unit<'_>, key: Key<'_>, members: &[&[u8]]) -> Result<u64> {
    key.check()?;
    members.iter().try_for_each(|member| check(member))?;
    let mut draft = Draft::open(unit, key)?;
    let mut added = 0;
    for page in members.chunks(FETCH) {
        draft.fetch(unit, page)?;
        for member in page {
            added += u64::from(draft.add(unit, member)?);
        }
    }
    draft.finish(unit)?;
    Ok(added)
}

/// Removes members, and returns how many there were. The key goes with its last member.
///
/// # Errors
/// As [`length`].
pub fn remove(unit: &mut Unit<'_>, key: Key<'_>, members: &[&[u8]]) -> Result<u64> {
    let mut draft = Draft::open(unit, key)?;
    let mut removed = 0;
    for page in members.chunks(FETCH) {
        draft.fetch(unit, page)?;
        for member in page {
            removed += u64::from(draft.remove(unit, member)?);
        }
    }
    draft.finish(unit)?;
    Ok(removed)
}

/// Moves a member from one set to another; says whether it was there.
///
/// # Errors
/// As [`add`].
pub fn move_member(unit: &mut Unit<'_>, from: Key<'_>, to: Key<'_>, member: &[u8]) -> Result<bool> {
    let mut source = Draft::open(unit, from)?;
    if !source.exists() {
        return Ok(false);
    }
    let mut target = Draft::open(unit, to)?;
    if !source.view.contains(unit, member)? {
        return Ok(false);
    }
    if from == to {
        return Ok(true);
    }
    to.check()?;
    source.remove(unit, member)?;
    source.finish(unit)?;
    target.add(unit, member)?;
    target.finish(unit)?;
    Ok(true)
}
