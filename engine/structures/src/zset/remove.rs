//! Members that are removed.

use super::Entry;
use super::range::{Range, Window};
use super::records::Draft;
use super::view::View;
use crate::base::error::Result;
use crate::store::{FETCH, Key, Unit};

/// So many members that stand side by side are taken out of the order of scores as a range.
const RUN: usize = 8;

/// Removes members, and returns how many there were. The key goes with its last member.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn remove(unit: &mut Unit<'_>, key: Key<'_>, members: &[&[u8]]) -> Result<u64> {
    let mut draft = Draft::open(unit, key)?;
    let mut removed = 0;
    for page in members.chunks(FETCH) {
        draft.fetch(unit, page.iter().copied())?;
        for member in page {
            if let Some(score) = draft.get(unit, member)? {
                draft.remove(unit, member, score)?;
                removed += 1;
            }
        }
    }
    draft.finish(unit)?;
    Ok(removed)
}

/// Removes these members, which are there, one behind the other in their order or against it.
fn remove_entries(unit: &mut Unit<'_>, key: Key<'_>, entries: &[Entry], reverse: bool) -> Result<()> {
    let mut draft = Draft::open(unit, key)?;
    if entries.len() as u64 >= draft.meta.length {
        draft.clear();
    } else if !draft.meta.records || entries.len() < RUN {
        entries.iter().try_for_each(|(member, score)| draft.remove(unit, member, *score))?;
    } else if let (Some(one), Some(other)) = (entries.first(), entries.last()) {
        let (first, last) = if reverse { (other, one) } else { (one, other) };
        draft.remove_run(unit, entries, first, last)?;
    }
    draft.finish(unit)
}

/// Removes the members of a range, and returns how many they were. If they are all that there are, that is
/// a constant number of records.
///
/// # Errors
/// As [`remove`]; [`crate::Error::COMMAND_TOO_LARGE`].
pub fn remove_range(unit: &mut Unit<'_>, key: Key<'_>, range: &Range<'_>) -> Result<u64> {
    let Some(view) = View::open(unit, key)? else { return Ok(0) };
    if view.is_all(unit, range)? {
        unit.delete_key(key, &view.meta);
        return Ok(view.meta.length);
    }
    let mut memory = unit.memory();
    let entries = view.entries(unit, range, Window::ALL, &mut memory)?;
    memory.check()?;
    if !entries.is_empty() {
        remove_entries(unit, key, &entries, false)?;
    }
    Ok(entries.len() as u64)
}

/// Removes up to `count` members with the least scores, or the greatest, and returns them. What was popped
/// before costs nothing.
///
/// # Errors
/// As [`remove`]; [`crate::Error::COMMAND_TOO_LARGE`].
pub fn pop(unit: &mut Unit<'_>, key: Key<'_>, greatest: bool, count: u64) -> Result<Vec<Entry>> {
    let Some(view) = View::open(unit, key)? else { return Ok(Vec::new()) };
    let mut memory = unit.memory();
    let window = Window { reverse: greatest, offset: 0, limit: count };
    let entries = view.entries(unit, &Range::ALL, window, &mut memory)?;
    memory.check()?;
    if !entries.is_empty() {
        remove_entries(unit, key, &entries, greatest)?;
    }
    Ok(entries)
}

/// As [`pop`], of the first of several sorted sets that has any members; says which one that is.
///
/// # Errors
/// As [`pop`].
pub fn pop_first(
    unit: &mut Unit<'_>,
    keys: &[Key<'_>],
    greatest: bool,
    count: u64,
) -> Result<Option<(usize, Vec<Entry>)>> {
    for (at, key) in keys.iter().enumerate() {
        let entries = pop(unit, *key, greatest, count)?;
        if !entries.is_empty() {
            return Ok(Some((at, entries)));
        }
    }
    Ok(None)
}
