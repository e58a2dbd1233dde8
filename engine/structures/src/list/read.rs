//! Operations that read a list.

use super::records::{Side, View};
use crate::base::error::Result;
use crate::encoding::header::Type;
use crate::encoding::items::Items;
use crate::store::{Budget, Key, Stretch, Table, Unit};

/// An index counted from the end if it is negative; `None` outside of the list.
pub(super) fn absolute(index: i64, length: u64) -> Option<u64> {
    let index = if index < 0 { length.checked_sub(index.unsigned_abs())? } else { index as u64 };
    (index < length).then_some(index)
}

/// First and last of the elements from `start` to `stop`, counted from the end if they are negative; `None`
/// if there are none.
pub(super) fn span(start: i64, stop: i64, length: u64) -> Option<(u64, u64)> {
    let place = |index: i64| {
        if index < 0 { length.checked_sub(index.unsigned_abs()) } else { Some(index as u64) }
    };
    let (first, last) = (place(start).unwrap_or(0), place(stop)?.min(length.checked_sub(1)?));
    (first <= last).then_some((first, last))
}

/// How many elements there are; 0 if there is no such key. One read.
///
/// # Errors
/// [`crate::Error::WRONG_TYPE`]; what the engine gives.
pub fn length(unit: &mut Unit<'_>, key: Key<'_>) -> Result<u64> {
    Ok(unit.meta_of(key, Type::List)?.map_or(0, |meta| meta.length))
}

/// The element of an index, from the end if it is negative. Two reads where nothing was inserted or removed
/// in the middle, O(log n) otherwise.
///
/// # Errors
/// As [`length`].
pub fn get(unit: &mut Unit<'_>, key: Key<'_>, index: i64) -> Result<Option<Vec<u8>>> {
    let Some(view) = View::load(unit, key)? else { return Ok(None) };
    let Some(index) = absolute(index, view.meta.length) else { return Ok(None) };
    if view.meta.records {
        let position = view.position(unit, index)?;
        return unit.get_with(Table::Elements, &view.record(position), <[u8]>::to_vec);
    }
    let item = Items::new(&view.payload).nth(index as usize).transpose()?;
    Ok(item.map(|(value, _)| value.to_vec()))
}

/// The elements from one index to another, both included. Reads them, and as [`get`] for the first.
///
/// # Errors
/// As [`length`]; [`crate::Error::COMMAND_TOO_LARGE`].
pub fn range(unit: &mut Unit<'_>, key: Key<'_>, start: i64, stop: i64) -> Result<Vec<Vec<u8>>> {
    let mut memory = unit.memory();
    range_within(unit, key, start, stop, &mut memory)
}

/// As [`range`], of a memory that others share.
///
/// # Errors
/// As [`range`].
pub fn range_within(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    start: i64,
    stop: i64,
    memory: &mut Budget,
) -> Result<Vec<Vec<u8>>> {
    let mut values = Vec::new();
    each_of_range(unit, key, start, stop, |value| {
        values.push(value.to_vec());
        memory.takes(value.len())
    })?;
    memory.check()?;
    Ok(values)
}

/// As [`range`], but hands them to `each`, until it says `false`.
///
/// # Errors
/// As [`length`].
pub fn each_of_range(
    unit: &mut Unit<'_>,
    key: Key<'_>,
    start: i64,
    stop: i64,
    mut each: impl FnMut(&[u8]) -> bool,
) -> Result<()> {
    let Some(view) = View::load(unit, key)? else { return Ok(()) };
    let Some((first, last)) = span(start, stop, view.meta.length) else { return Ok(()) };
    let mut left = last - first + 1;
    if view.meta.records {
        let position = view.position(unit, first)?;
        return view.walk(unit, position, Side::Right, |_, value| {
            left -= 1;
            Ok(each(value) && left > 0)
        });
    }
    for item in Items::new(&view.payload).skip(first as usize).take(left as usize) {
        if !each(item?.0) {
            break;
        }
    }
    Ok(())
}

/// The records of the elements from one index to another, to be read piece by piece: a value is an element.
/// `None` of a small list, and where there are none.
///
/// # Errors
/// As [`length`]; [`crate::Error::Busy`] if the unit has written something.
pub fn stretch(unit: &mut Unit<'_>, key: Key<'_>, start: i64, stop: i64) -> Result<Option<Stretch>> {
    let Some(view) = View::load(unit, key)?.filter(|view| view.meta.records) else { return Ok(None) };
    let Some((first, last)) = span(start, stop, view.meta.length) else { return Ok(None) };
    let from = view.record(view.position(unit, first)?);
    unit.stretch(&view.prefix(), from, false, last - first + 1).map(Some)
}

/// What is looked for in a list.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Where it begins.
    pub from: Side,
    /// So many matches are passed over.
    pub skip: u64,
    /// So many matches are returned at most.
    pub matches: u64,
    /// So many elements are looked at at most.
    pub elements: u64,
}

impl Search {
    /// The first match.
    pub const FIRST: Search = Search { from: Side::Left, skip: 0, matches: 1, elements: u64::MAX };
    /// All matches.
    pub const ALL: Search = Search { matches: u64::MAX, ..Search::FIRST };
}

/// The indices of the elements that equal `value`, in the order in which they are met. Reads up to the last.
///
/// # Errors
/// As [`length`]; [`crate::Error::COMMAND_TOO_LARGE`].
pub fn search(unit: &mut Unit<'_>, key: Key<'_>, value: &[u8], what: Search) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    let Some(view) = View::load(unit, key)? else { return Ok(found) };
    let (mut looked, mut skip, mut memory) = (0, what.skip, unit.memory());
    view.scan(unit, what.from, |_, other| {
        if other == value {
            if skip == 0 {
                let index = match what.from {
                    Side::Left => looked,
                    Side::Right => view.meta.length - 1 - looked,
                };
                found.push(index);
                memory.take(0)?;
            }
            skip = skip.saturating_sub(1);
        }
        looked += 1;
        Ok((found.len() as u64) < what.matches && looked < what.elements.min(view.meta.length))
    })?;
    Ok(found)
}
