//! Operations that change a list.

use super::records::{Draft, Side, check};
use crate::base::error::{Error, Result};
use crate::encoding::items::{Items, entry};
use crate::store::{Key, Table, Unit};

/// What was removed at an end of a list; `None` if there is no such key.
pub type Popped = Option<Vec<Vec<u8>>>;

/// Adds elements at an end, one after the other; returns the length. One header, and for a large list a
/// record for each.
///
/// # Errors
/// [`Error::WRONG_TYPE`]; an element that is too long; what the engine gives.
pub fn push(unit: &mut Unit<'_>, key: Key<'_>, side: Side, values: &[&[u8]]) -> Result<u64> {
    key.check()?;
    let draft = Draft::open(unit, key)?;
    add(unit, draft, side, values)
}

/// As [`push`], if there is such a key; otherwise does nothing and returns 0.
///
/// # Errors
/// As [`push`].
pub fn push_if_exists(unit: &mut Unit<'_>, key: Key<'_>, side: Side, values: &[&[u8]]) -> Result<u64> {
    let draft = Draft::open(unit, key)?;
    if draft.exists() { add(unit, draft, side, values) } else { Ok(0) }
}

fn add(unit: &mut Unit<'_>, mut draft: Draft<'_>, side: Side, values: &[&[u8]]) -> Result<u64> {
    values.iter().try_for_each(|value| check(value))?;
    draft.check_room(side, values.len())?;
    for value in values {
        draft.push(unit, side, value)?;
    }
    let length = draft.view.meta.length;
    draft.finish(unit)?;
    Ok(length)
}

/// Removes up to `count` elements at an end and returns them. A record for each, or a range for many;
/// nothing that was popped before is read.
///
/// # Errors
/// As [`push`]; [`Error::COMMAND_TOO_LARGE`].
pub fn pop(unit: &mut Unit<'_>, key: Key<'_>, side: Side, count: u64) -> Result<Popped> {
    let mut draft = Draft::open(unit, key)?;
    if !draft.exists() {
        return Ok(None);
    }
    let values = draft.view.at_end(unit, side, count)?;
    if !values.is_empty() {
        draft.cut(unit, side, values.len() as u64)?;
    }
    draft.finish(unit)?;
    Ok(Some(values))
}

/// As [`pop`], of the first of several lists that has any elements; says which one that is.
///
/// # Errors
/// As [`pop`].
pub fn pop_first(
    unit: &mut Unit<'_>,
    keys: &[Key<'_>],
    side: Side,
    count: u64,
) -> Result<Option<(usize, Vec<Vec<u8>>)>> {
    for (at, key) in keys.iter().enumerate() {
        if let Some(values) = pop(unit, *key, side, count)? {
            return Ok(Some((at, values)));
        }
    }
    Ok(None)
}

/// Moves the element at an end of a list to an end of another, or of the same, and returns it.
///
/// # Errors
/// As [`push`].
pub fn move_element(
    unit: &mut Unit<'_>,
    (from, from_side): (Key<'_>, Side),
    (to, to_side): (Key<'_>, Side),
) -> Result<Option<Vec<u8>>> {
    let mut source = Draft::open(unit, from)?;
    if !source.exists() {
        return Ok(None);
    }
    let Some(value) = source.view.at_end(unit, from_side, 1)?.pop() else { return Ok(None) };
    if from == to {
        source.check_room(to_side, 1)?;
        source.changed = true;
        if source.view.meta.length > 1 {
            source.cut(unit, from_side, 1)?;
            source.push(unit, to_side, &value)?;
        }
        source.finish(unit)?;
        return Ok(Some(value));
    }
    to.check()?;
    let mut target = Draft::open(unit, to)?;
    target.check_room(to_side, 1)?;
    source.cut(unit, from_side, 1)?;
    source.finish(unit)?;
    target.push(unit, to_side, &value)?;
    target.finish(unit)?;
    Ok(Some(value))
}

/// Sets the element of an index, from the end if it is negative. Two records, and reads as [`super::get`].
///
/// # Errors
/// [`Error::NO_KEY`], [`Error::INDEX_RANGE`]; as [`push`].
pub fn set(unit: &mut Unit<'_>, key: Key<'_>, index: i64, value: &[u8]) -> Result<()> {
    check(value)?;
    let mut draft = Draft::open(unit, key)?;
    if !draft.exists() {
        return Err(Error::NO_KEY);
    }
    let index = super::read::absolute(index, draft.view.meta.length).ok_or(Error::INDEX_RANGE)?;
    draft.changed = true;
    if draft.view.meta.records {
        let position = draft.view.position(unit, index)?;
        unit.put(Table::Elements, draft.view.record(position), value.to_vec());
    } else {
        let range = Items::new(&draft.view.payload).list()?.get(index as usize).map(|item| item.1.clone());
        let range = range.ok_or(Error::INDEX_RANGE)?;
        draft.view.payload.splice(range, entry(value));
        draft.split_if_large(unit)?;
    }
    draft.finish(unit)
}

/// Inserts an element before or behind the first that equals `pivot`. Returns the length, -1 if there is no
/// such element, 0 if there is no such key. Reads up to the pivot, and writes a constant number of records
/// where there is room, moving O(log n) elements on average.
///
/// # Errors
/// As [`push`].
pub fn insert(unit: &mut Unit<'_>, key: Key<'_>, before: bool, pivot: &[u8], value: &[u8]) -> Result<i64> {
    check(value)?;
    let mut draft = Draft::open(unit, key)?;
    if !draft.exists() {
        return Ok(0);
    }
    let mut place = None;
    draft.view.scan(unit, Side::Left, |at, other| {
        place = (other == pivot).then_some(at);
        Ok(place.is_none())
    })?;
    let Some(place) = place else { return Ok(-1) };
    draft.changed = true;
    draft.insert(unit, place, before, value)?;
    let length = i64::try_from(draft.view.meta.length).unwrap_or(i64::MAX);
    draft.finish(unit)?;
    Ok(length)
}

/// Removes elements that equal `value`: the first `count`, the last if `count` is negative, all if it is 0.
/// Returns how many there were. Reads up to the last of them.
///
/// # Errors
/// As [`push`]; [`Error::COMMAND_TOO_LARGE`] if there are very many.
pub fn remove(unit: &mut Unit<'_>, key: Key<'_>, count: i64, value: &[u8]) -> Result<u64> {
    let mut draft = Draft::open(unit, key)?;
    if !draft.exists() {
        return Ok(0);
    }
    let side = if count < 0 { Side::Right } else { Side::Left };
    let most = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let (mut places, mut memory) = (Vec::new(), unit.memory());
    draft.view.scan(unit, side, |at, other| {
        if other == value {
            places.push(at);
            memory.take(0)?;
        }
        Ok((places.len() as u64) < most)
    })?;
    draft.remove(unit, side, &places)?;
    draft.finish(unit)?;
    Ok(places.len() as u64)
}

/// Keeps the elements from one index to another, both included, counted from the end if they are negative.
/// A constant number of records, and reads as [`super::get`], whatever is removed.
///
/// # Errors
/// As [`push`].
pub fn trim(unit: &mut Unit<'_>, key: Key<'_>, start: i64, stop: i64) -> Result<()> {
    let mut draft = Draft::open(unit, key)?;
    if !draft.exists() {
        return Ok(());
    }
    let length = draft.view.meta.length;
    match super::read::span(start, stop, length) {
        None => draft.cut(unit, Side::Left, length)?,
        Some((first, last)) => {
            draft.cut(unit, Side::Left, first)?;
            draft.cut(unit, Side::Right, length - 1 - last)?;
        }
    }
    draft.finish(unit)
}

impl Draft<'_> {
    /// Removes `count` elements at an end, as many as there are at most.
    fn cut(&mut self, unit: &mut Unit<'_>, side: Side, count: u64) -> Result<()> {
        self.changed = true;
        if count >= self.view.meta.length {
            self.view.meta.length = 0;
            return Ok(());
        }
        if self.view.meta.records {
            return self.cut_records(unit, side, count);
        }
        let items = Items::new(&self.view.payload).list()?;
        let at = if side == Side::Left { count as usize } else { items.len() - count as usize };
        let end = self.view.payload.len();
        let at = items.get(at).map_or(end, |item| item.1.start);
        self.view.payload.drain(if side == Side::Left { 0..at } else { at..end });
        self.view.meta.length -= count;
        Ok(())
    }

    fn insert(&mut self, unit: &mut Unit<'_>, place: u64, before: bool, value: &[u8]) -> Result<()> {
        if !self.view.meta.records {
            let items = Items::new(&self.view.payload).list()?;
            let range = items.get(place as usize).map(|item| item.1.clone()).unwrap_or_default();
            let at = if before { range.start } else { range.end };
            self.view.payload.splice(at..at, entry(value));
            self.view.meta.length += 1;
            return self.split_if_large(unit);
        }
        let (end, side) =
            if before { (self.view.ends.head, Side::Left) } else { (self.view.ends.tail, Side::Right) };
        if place == end {
            self.check_room(side, 1)?;
            return self.push(unit, side, value);
        }
        let neighbours = if before {
            (self.view.next(unit, place, Side::Right)?, place)
        } else {
            (place, self.view.next(unit, place, Side::Left)?)
        };
        self.insert_between(unit, neighbours, value)
    }

    /// Removes the elements at some places, which come in order from `side` on.
    fn remove(&mut self, unit: &mut Unit<'_>, side: Side, places: &[u64]) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        self.changed = true;
        if places.len() as u64 == self.view.meta.length {
            self.view.meta.length = 0;
            return Ok(());
        }
        if self.view.meta.records {
            return places.iter().try_for_each(|place| self.remove_record(unit, *place));
        }
        let ranges: Vec<_> =
            Items::new(&self.view.payload).list()?.into_iter().map(|(_, range)| range).collect();
        // From the end on: what stands before stays where it is.
        let mut from_end: Vec<u64> = places.to_vec();
        if side == Side::Left {
            from_end.reverse();
        }
        for place in &from_end {
            self.view.payload.drain(ranges.get(*place as usize).cloned().unwrap_or_default());
        }
        self.view.meta.length -= places.len() as u64;
        Ok(())
    }
}
