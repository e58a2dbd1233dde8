//! Elements in records of their own, and the step from the header to them.

use crate::base::error::{Error, Result};
use crate::encoding::header::{Meta, Type, flag};
use crate::encoding::items::{Items, entry, put_item};
use crate::encoding::key::{self, INCARNATION_BYTES, kind};
use crate::encoding::limits::{MAX_INLINE_BYTES, MAX_INLINE_ELEMENTS, MAX_STRING_BYTES};
use crate::encoding::positions::{Ends, FIRST, HIGHEST, LOWEST, STEP, element_key, split_position};
use crate::store::{Key, Table, Unit};

/// An end of a list, or the direction that starts there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first element.
    Left,
    /// The last element.
    Right,
}

/// A list with fewer elements to remove than this removes them one by one.
pub(super) const FEW: u64 = 32;

/// The positions of a list whose elements stand in its header.
const NO_ENDS: Ends = Ends { head: FIRST, tail: FIRST };

/// Refuses an element that is too long.
pub(super) fn check(value: &[u8]) -> Result<()> {
    if value.len() > MAX_STRING_BYTES { Err(Error::STRING_TOO_LONG) } else { Ok(()) }
}

/// A list that is there. The *place* of an element is its position if it has a record, and its index if it
/// stands in the header.
pub(super) struct View<'k> {
    pub(super) key: Key<'k>,
    pub(super) meta: Meta,
    /// The elements, where they stand in the header.
    pub(super) payload: Vec<u8>,
    /// The ends, where the elements have records.
    pub(super) ends: Ends,
}

impl<'k> View<'k> {
    /// The list under a key.
    pub(super) fn load(unit: &mut Unit<'_>, key: Key<'k>) -> Result<Option<View<'k>>> {
        let Some((meta, payload)) = unit.load_of(key, Type::List)? else { return Ok(None) };
        let ends = if meta.records { Ends::decode(&payload)? } else { NO_ENDS };
        let view = View { key, meta, payload, ends };
        if view.is_possible() { Ok(Some(view)) } else { Err(Error::malformed("the length of a list")) }
    }

    /// Whether as many elements can stand between the ends.
    fn is_possible(&self) -> bool {
        let between = self.ends.tail - self.ends.head;
        let most = match self.meta.records {
            false => return true,
            true if self.is_dense() && !between.is_multiple_of(STEP) => return false,
            true if self.is_dense() => between / STEP + 1,
            true => between + 1,
        };
        self.meta.length == most || (!self.is_dense() && (1..=most).contains(&self.meta.length))
    }

    /// Whether an index tells the position.
    pub(super) fn is_dense(&self) -> bool {
        self.meta.has(flag::OWN)
    }

    pub(super) fn set_dense(&mut self, dense: bool) {
        self.meta.flags = if dense { self.meta.flags | flag::OWN } else { self.meta.flags & !flag::OWN };
    }

    /// What the keys of all elements' records start with.
    pub(super) fn prefix(&self) -> [u8; INCARNATION_BYTES + 1] {
        key::kind_prefix(self.key.keyspace, self.meta.incarnation, kind::ELEMENT)
    }

    /// The key of an element's record.
    pub(super) fn record(&self, position: u64) -> Vec<u8> {
        element_key(self.key.keyspace, self.meta.incarnation, position)
    }

    /// Hands the elements that have records to `each` with their positions, from the one at `from` on, or
    /// the next, until it says `false`.
    pub(super) fn walk(
        &self,
        unit: &Unit<'_>,
        from: u64,
        towards: Side,
        mut each: impl FnMut(u64, &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let mut cursor = unit.cursor(Table::Elements, &self.prefix())?;
        let from = self.record(from);
        let mut found =
            if towards == Side::Right { cursor.seek(&from)? } else { cursor.seek_for_prev(&from)? };
        while found {
            let position = split_position(cursor.key().get(INCARNATION_BYTES + 1..).unwrap_or_default())?;
            if !each(position, cursor.value())? {
                break;
            }
            found = if towards == Side::Right { cursor.next()? } else { cursor.prev()? };
        }
        Ok(())
    }

    /// Hands all elements to `each` with their places, beginning at an end, until it says `false`.
    pub(super) fn scan(
        &self,
        unit: &Unit<'_>,
        from: Side,
        mut each: impl FnMut(u64, &[u8]) -> Result<bool>,
    ) -> Result<()> {
        if self.meta.records {
            return match from {
                Side::Left => self.walk(unit, self.ends.head, Side::Right, each),
                Side::Right => self.walk(unit, self.ends.tail, Side::Left, each),
            };
        }
        let items = Items::new(&self.payload).list()?;
        let count = items.len();
        for step in 0..count {
            let place = if from == Side::Left { step } else { count - 1 - step };
            if !each(place as u64, items[place].0)? {
                break;
            }
        }
        Ok(())
    }

    /// The first `count` elements from an end on, or all.
    ///
    /// # Errors
    /// [`Error::COMMAND_TOO_LARGE`]; what the engine gives.
    pub(super) fn at_end(&self, unit: &Unit<'_>, side: Side, count: u64) -> Result<Vec<Vec<u8>>> {
        if self.meta.records && count == 1 {
            let position = if side == Side::Left { self.ends.head } else { self.ends.tail };
            let value = unit.get_with(Table::Elements, &self.record(position), <[u8]>::to_vec)?;
            return Ok(vec![value.ok_or_else(|| Error::malformed("the end of a list"))?]);
        }
        let (mut values, mut memory) = (Vec::new(), unit.memory());
        if count > 0 {
            self.scan(unit, side, |_, value| {
                values.push(value.to_vec());
                memory.take(value.len())?;
                Ok((values.len() as u64) < count)
            })?;
        }
        Ok(values)
    }

    /// The position next to an element's, away from `side`.
    pub(super) fn next(&self, unit: &Unit<'_>, position: u64, side: Side) -> Result<u64> {
        let (beyond, towards) = match side {
            Side::Left if self.is_dense() => return Ok(position.saturating_add(STEP)),
            Side::Right if self.is_dense() => return Ok(position.saturating_sub(STEP)),
            Side::Left => (position.saturating_add(1), Side::Right),
            Side::Right => (position.saturating_sub(1), Side::Left),
        };
        let mut next = None;
        self.walk(unit, beyond, towards, |position, _| {
            next = Some(position);
            Ok(false)
        })?;
        next.ok_or_else(|| Error::malformed("a list that ends before its end"))
    }
}

/// A list that is being changed: what stands in its header is changed here and written by [`Draft::finish`].
pub(super) struct Draft<'k> {
    pub(super) view: View<'k>,
    before: Option<Meta>,
    pub(super) changed: bool,
}

impl<'k> Draft<'k> {
    /// The list under a key, or a new one.
    pub(super) fn open(unit: &mut Unit<'_>, key: Key<'k>) -> Result<Draft<'k>> {
        let found = View::load(unit, key)?;
        let before = found.as_ref().map(|view| view.meta);
        let absent = || View { key, meta: Meta::new(Type::List), payload: Vec::new(), ends: NO_ENDS };
        Ok(Draft { view: found.unwrap_or_else(absent), before, changed: false })
    }

    /// Whether there is such a key.
    pub(super) fn exists(&self) -> bool {
        self.before.is_some()
    }

    /// Refuses so many more elements at an end if there are no positions for them.
    pub(super) fn check_room(&self, side: Side, count: usize) -> Result<()> {
        let room = match side {
            Side::Left => self.view.ends.head - LOWEST,
            Side::Right => HIGHEST - 1 - self.view.ends.tail,
        };
        let full = Error::fixed("ERR the positions of the list are used up");
        if room / STEP > count as u64 + 1 { Ok(()) } else { Err(full) }
    }

    /// Adds an element at an end. What `check` and `check_room` refuse must have been refused.
    pub(super) fn push(&mut self, unit: &mut Unit<'_>, side: Side, value: &[u8]) -> Result<()> {
        self.changed = true;
        self.view.meta.length += 1;
        if self.view.meta.records {
            let ends = &mut self.view.ends;
            let position = match side {
                Side::Left => (ends.head - 1) & !(STEP - 1),
                Side::Right => (ends.tail & !(STEP - 1)) + STEP,
            };
            match side {
                Side::Left => ends.head = position,
                Side::Right => ends.tail = position,
            }
            unit.put(Table::Elements, self.view.record(position), value.to_vec());
            return Ok(());
        }
        match side {
            Side::Left => drop(self.view.payload.splice(0..0, entry(value))),
            Side::Right => put_item(&mut self.view.payload, value),
        }
        self.split_if_large(unit)
    }

    /// Gives each element a record of its own if they no longer fit the header.
    pub(super) fn split_if_large(&mut self, unit: &mut Unit<'_>) -> Result<()> {
        let View { payload, meta, .. } = &self.view;
        if payload.len() <= MAX_INLINE_BYTES && meta.length <= MAX_INLINE_ELEMENTS as u64 {
            return Ok(());
        }
        let payload = std::mem::take(&mut self.view.payload);
        let items = Items::new(&payload).list()?;
        self.begin_records(unit, items.iter().map(|(item, _)| item.to_vec()))
    }

    /// Writes all elements anew, at positions that an index tells.
    pub(super) fn begin_records(
        &mut self,
        unit: &mut Unit<'_>,
        values: impl Iterator<Item = Vec<u8>>,
    ) -> Result<()> {
        self.view.key.check()?;
        unit.drop_records(self.view.key.keyspace, &self.view.meta);
        self.view.meta.incarnation = unit.new_incarnation(self.view.key)?;
        self.view.meta.records = true;
        self.view.set_dense(true);
        self.view.ends = NO_ENDS;
        for (at, value) in values.enumerate() {
            self.view.ends.tail = FIRST + at as u64 * STEP;
            unit.put(Table::Elements, self.view.record(self.view.ends.tail), value);
        }
        Ok(())
    }

    /// Writes the header, or removes the key if nothing is left.
    pub(super) fn finish(mut self, unit: &mut Unit<'_>) -> Result<()> {
        let View { key, meta, payload, ends } = &mut self.view;
        if !self.changed {
            return Ok(());
        }
        let state = if meta.records { ends.encode() } else { std::mem::take(payload) };
        match &self.before {
            Some(before) if meta.length == 0 => unit.delete_key(*key, before),
            before => unit.put_header(*key, before.as_ref(), meta, &state)?,
        }
        Ok(())
    }
}
