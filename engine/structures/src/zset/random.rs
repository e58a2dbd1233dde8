//! Members by chance, each with the same chance: the counts find the member of an index.

use super::Entry;
use super::range::Range;
use super::view::View;
use crate::base::error::{Error, Result};
use crate::store::{Key, SPARSE, Unit, distinct, repeated};

/// One member. O(log n).
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn random(unit: &mut Unit<'_>, key: Key<'_>) -> Result<Option<Entry>> {
    Ok(random_many(unit, key, 1)?.pop())
}

fn of_index(unit: &Unit<'_>, view: &View, index: u64) -> Result<Option<Entry>> {
    Ok(view.entries(unit, &Range::ALL, false, index, 1)?.pop())
}

/// So many members, the same one perhaps more than once.
///
/// # Errors
/// As [`random`]; [`Error::TOO_MANY_REPEATED`].
pub fn random_many(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Entry>> {
    let Some(view) = View::open(unit, key)? else { return Ok(Vec::new()) };
    let bytes = |(member, _): &Entry| member.len();
    let missing = || Error::malformed("fewer members than were counted");
    if !view.meta.records {
        let all = view.entries(unit, &Range::ALL, false, 0, u64::MAX)?;
        return repeated(count, bytes, || {
            let at = unit.random_below(all.len().max(1) as u64) as usize;
            all.get(at).cloned().ok_or_else(missing)
        });
    }
    repeated(count, bytes, || {
        let index = unit.random_below(view.meta.length.max(1));
        of_index(unit, &view, index)?.ok_or_else(missing)
    })
}

/// So many different members, or all.
///
/// # Errors
/// As [`random`].
pub fn random_distinct(unit: &mut Unit<'_>, key: Key<'_>, count: u64) -> Result<Vec<Entry>> {
    let Some(view) = View::open(unit, key)? else { return Ok(Vec::new()) };
    let length = view.meta.length;
    if view.meta.records && count < length / SPARSE {
        let indexes = distinct(count, || Ok(unit.random_below(length)))?;
        let found = indexes.into_iter().map(|index| of_index(unit, &view, index));
        return found.filter_map(Result::transpose).collect();
    }
    let mut all = view.entries(unit, &Range::ALL, false, 0, u64::MAX)?;
    unit.choose(&mut all, count);
    Ok(all)
}
