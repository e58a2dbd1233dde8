//! Members by chance, each with the same chance: the counts find the member of an index.

use super::Entry;
use super::range::{Range, Window};
use super::view::View;
use crate::base::error::{Error, Result};
use crate::store::{Budget, Key, SPARSE, Selection, Unit, distinct, repeated};

/// One member. O(log n).
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn random(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<Entry>> {
    Ok(random_many(unit, key, 1)?.pop())
}

fn of_index(unit: &Unit<'_>, view: &View, index: u64) -> Result<Option<Entry>> {
    let window = Window { offset: index, limit: 1, ..Window::ALL };
    Ok(view.entries(unit, &Range::ALL, window, &mut Budget::unlimited())?.pop())
}

/// So many members, the same one perhaps more than once.
///
/// # Errors
/// As [`random`]; [`Error::TOO_MANY_REPEATED`].
pub fn random_many(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Entry>> {
    let Some(view) = View::open(unit, key)? else { return Ok(Vec::new()) };
    let memory = &mut unit.memory();
    let missing = || Error::malformed("fewer members than were counted");
    if !view.meta.records {
        let all = view.entries(unit, &Range::ALL, Window::ALL, &mut Budget::unlimited())?;
        return repeated(count, memory, bytes, || {
            let at = unit.random_below(all.len().max(1) as u64) as usize;
            all.get(at).cloned().ok_or_else(missing)
        });
    }
    repeated(count, memory, bytes, || {
        let index = unit.random_below(view.meta.length.max(1));
        of_index(unit, &view, index)?.ok_or_else(missing)
    })
}

fn bytes((member, _): &Entry) -> usize {
    member.len()
}

/// So many different members, or all.
///
/// # Errors
/// As [`random`]; [`Error::COMMAND_TOO_LARGE`].
pub fn random_distinct(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Entry>> {
    let Some(view) = View::open(unit, key)? else { return Ok(Vec::new()) };
    let length = view.meta.length;
    let (mut entries, mut memory) = (Vec::new(), unit.memory());
    if view.meta.records && count < length / SPARSE {
        let indexes = distinct(count, &mut unit.memory(), |_| 0, || Ok(unit.random_below(length)))?;
        for index in indexes {
            if let Some(entry) = of_index(unit, &view, index)? {
                memory.take(entry.0.len())?;
                entries.push(entry);
            }
        }
        return Ok(entries);
    }
    let mut selection = Selection::new(count, length);
    view.walk(unit, &Range::ALL, false, 0, |member, score| {
        if selection.takes(unit) {
            entries.push((member.to_vec(), score));
            memory.takes(member.len());
        }
        !selection.is_done() && !memory.is_exceeded()
    })?;
    memory.check()?;
    unit.shuffle(&mut entries);
    Ok(entries)
}
