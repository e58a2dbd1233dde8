//! Members by chance, each with the same chance.

use super::records::{Draft, View};
use crate::base::error::{Error, Result};
use crate::encoding::items::Items;
use crate::store::{Key, SPARSE, Selection, Unit, distinct, repeated};

/// So many members, the same one perhaps more than once.
///
/// # Errors
/// [`Error::WRONG_TYPE`], [`Error::TOO_MANY_REPEATED`]; what the engine gives.
pub fn random_many(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Vec<u8>>> {
    let Some(view) = View::load(unit, key)? else { return Ok(Vec::new()) };
    let memory = &mut unit.memory();
    if view.meta.records {
        return repeated(count, memory, Vec::len, || sample(unit, &view));
    }
    let items = Items::new(&view.payload).list()?;
    repeated(count, memory, Vec::len, || {
        let at = unit.random_below(items.len().max(1) as u64) as usize;
        let (member, _) = items.get(at).ok_or_else(|| Error::malformed("an empty set"))?;
        Ok(member.to_vec())
    })
}

/// So many different members, or all.
///
/// # Errors
/// [`Error::WRONG_TYPE`], [`Error::COMMAND_TOO_LARGE`]; what the engine gives.
pub fn random_distinct(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Vec<u8>>> {
    match View::load(unit, key)? {
        Some(view) => members(unit, &view, count),
        None => Ok(Vec::new()),
    }
}

/// Removes so many different members, or all, and returns them.
///
/// # Errors
/// As [`random_distinct`].
pub fn pop(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Vec<u8>>> {
    let mut draft = Draft::open(unit, key)?;
    let chosen = members(unit, &draft.view, count)?;
    if chosen.len() as u64 == draft.view.meta.length && draft.exists() {
        unit.delete_key(key, &draft.view.meta);
        return Ok(chosen);
    }
    for member in &chosen {
        draft.remove(unit, member)?;
    }
    draft.finish(unit)?;
    Ok(chosen)
}

fn sample(unit: &Unit<'_>, view: &View<'_>) -> Result<Vec<u8>> {
    view.records().sample(unit, view.meta.length, |member, _| Ok(member.to_vec()))
}

fn members(unit: &Unit<'_>, view: &View<'_>, count: u64) -> Result<Vec<Vec<u8>>> {
    let mut memory = unit.memory();
    let length = view.meta.length;
    if view.meta.records && count < length / SPARSE {
        return Ok(distinct(count, &mut memory, Vec::len, || sample(unit, view))?.into_iter().collect());
    }
    let (mut members, mut selection) = (Vec::new(), Selection::new(count, length));
    view.all(unit, |member| {
        if selection.takes(unit) {
            members.push(member.to_vec());
            memory.take(member.len())?;
        }
        Ok(!selection.is_done())
    })?;
    unit.shuffle(&mut members);
    Ok(members)
}
