//! Several sets: what they have in common, together, or one and not the others.

use super::records::{Draft, View};
use crate::base::error::Result;
use crate::store::{Key, Unit};
use std::collections::BTreeSet;

/// How many members are looked up together.
const PAGE: u64 = 256;

/// The sets under some keys; whoever reads them sees them as of one moment.
fn load<'k>(unit: &mut Unit<'_>, keys: &[Key<'k>]) -> Result<Vec<Option<View<'k>>>> {
    if keys.len() > 1 {
        unit.pin();
    }
    keys.iter().map(|key| View::load(unit, *key)).collect()
}

/// The members of `view` that each of `others` has, if `wanted`, or none of them, otherwise. Hands them to
/// `each`, until it says `false`.
fn select(
    unit: &Unit<'_>,
    view: &View<'_>,
    others: &[&View<'_>],
    wanted: bool,
    mut each: impl FnMut(Vec<u8>) -> bool,
) -> Result<()> {
    let mut cursor = 0;
    loop {
        let (next, mut members) = view.page(unit, cursor, PAGE)?;
        for other in others {
            let mut found = other.contains_many(unit, &members)?.into_iter();
            members.retain(|_| found.next() == Some(wanted));
        }
        if !members.into_iter().all(&mut each) || next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// The members that all sets have, up to `limit` of them. Reads the smallest, and each of its members in the
/// others.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn intersection(unit: &mut Unit<'_>, keys: &[Key<'_>], limit: u64) -> Result<Vec<Vec<u8>>> {
    let mut members = Vec::new();
    let Some(mut views) = load(unit, keys)?.into_iter().collect::<Option<Vec<_>>>() else {
        return Ok(members);
    };
    views.sort_by_key(|view| view.meta.length);
    let Some((first, others)) = views.split_first() else { return Ok(members) };
    let others: Vec<&View<'_>> = others.iter().collect();
    select(unit, first, &others, true, |member| {
        members.push(member);
        (members.len() as u64) < limit
    })?;
    Ok(members)
}

/// The members that any set has.
///
/// # Errors
/// As [`intersection`].
pub fn union(unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<Vec<Vec<u8>>> {
    let mut members = BTreeSet::new();
    for view in load(unit, keys)?.iter().flatten() {
        view.all(unit, |member| {
            if !members.contains(member) {
                members.insert(member.to_vec());
            }
            Ok(true)
        })?;
    }
    Ok(members.into_iter().collect())
}

/// The members of the first set that no other has. Reads the first, and each of its members in the others.
///
/// # Errors
/// As [`intersection`].
pub fn difference(unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<Vec<Vec<u8>>> {
    let views = load(unit, keys)?;
    let mut members = Vec::new();
    let Some((Some(first), others)) = views.split_first() else { return Ok(members) };
    let others: Vec<&View<'_>> = others.iter().flatten().collect();
    select(unit, first, &others, false, |member| {
        members.push(member);
        true
    })?;
    Ok(members)
}

/// Makes the set under a key of `members`, whatever it held; no members, no key.
///
/// # Errors
/// What the engine gives; a name that is too long.
pub fn store(unit: &mut Unit<'_>, key: Key<'_>, members: &[Vec<u8>]) -> Result<()> {
    key.check()?;
    if let Some(before) = unit.meta(key)? {
        unit.delete_key(key, &before);
    }
    let mut draft = Draft::absent(key);
    for member in members {
        draft.insert(unit, member)?;
    }
    draft.finish(unit)
}
