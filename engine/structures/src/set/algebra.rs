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

/// What makes one set of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algebra {
    /// The members that any set has. Reads all of them.
    Union,
    /// The members that all sets have. Reads the smallest, and each of its members in the others.
    Intersection,
    /// The members of the first set that no other has. Reads the first, and each of its members in the
    /// others.
    Difference,
}

/// The members that several sets have together.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`], [`crate::Error::COMMAND_TOO_LARGE`]; what the engine gives.
pub fn combined(unit: &mut Unit<'_>, how: Algebra, keys: &[Key<'_>]) -> Result<Vec<Vec<u8>>> {
    let mut memory = unit.memory();
    let mut members = Vec::new();
    let mut keep = |member: Vec<u8>| {
        let goes_on = memory.takes(member.len());
        members.push(member);
        goes_on
    };
    match how {
        Algebra::Union => return union(unit, keys),
        Algebra::Intersection => common(unit, keys, keep)?,
        Algebra::Difference => {
            let views = load(unit, keys)?;
            let Some((Some(first), others)) = views.split_first() else { return Ok(members) };
            let others: Vec<&View<'_>> = others.iter().flatten().collect();
            select(unit, first, &others, false, &mut keep)?;
        }
    }
    memory.check()?;
    Ok(members)
}

/// Hands the members that all sets have to `each`, until it says `false`.
fn common(unit: &mut Unit<'_>, keys: &[Key<'_>], each: impl FnMut(Vec<u8>) -> bool) -> Result<()> {
    let Some(mut views) = load(unit, keys)?.into_iter().collect::<Option<Vec<_>>>() else { return Ok(()) };
    views.sort_by_key(|view| view.meta.length);
    let Some((first, others)) = views.split_first() else { return Ok(()) };
    let others: Vec<&View<'_>> = others.iter().collect();
    select(unit, first, &others, true, each)
}

/// How many members all sets have; it is enough to find `limit`, if that is not 0. Holds none of them.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn intersection_count(unit: &mut Unit<'_>, keys: &[Key<'_>], limit: u64) -> Result<u64> {
    let mut count = 0;
    common(unit, keys, |_| {
        count += 1;
        count != limit
    })?;
    Ok(count)
}

fn union(unit: &mut Unit<'_>, keys: &[Key<'_>]) -> Result<Vec<Vec<u8>>> {
    let mut memory = unit.memory();
    let mut members = BTreeSet::new();
    for view in load(unit, keys)?.iter().flatten() {
        view.all(unit, |member| {
            if !members.contains(member) {
                members.insert(member.to_vec());
                memory.take(member.len())?;
            }
            Ok(true)
        })?;
    }
    Ok(members.into_iter().collect())
}

/// Makes the set under a key of what several sets have together, whatever it held; no members, no key.
/// Returns how many members it has.
///
/// # Errors
/// As [`combined`]; a name that is too long.
pub fn store(unit: &mut Unit<'_>, key: Key<'_>, how: Algebra, keys: &[Key<'_>]) -> Result<u64> {
    key.check()?;
    let members = combined(unit, how, keys)?;
    if let Some(before) = unit.meta(key)? {
        unit.delete_key(key, &before);
    }
    let mut draft = Draft::absent(key);
    for member in &members {
        draft.insert(unit, member)?;
    }
    draft.finish(unit)?;
    Ok(members.len() as u64)
}
