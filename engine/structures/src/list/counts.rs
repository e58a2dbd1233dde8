//! Which element is the how-manieth, where positions alone do not tell.
//!
//! Of a list without insertions or removals in its middle an index tells the position. Otherwise each group
//! of each level has a count of how many elements more or fewer it holds than there are multiples of the step
//! in it, between the list's ends; a group without a record holds as many. So pushing writes no counts, and
//! popping only where something was inserted or removed. An index is found from the highest level down, over
//! at most 128 groups of each, of which only those with a record are read.

use super::records::{Draft, FEW, Side, View};
use crate::base::error::{Error, Result};
use crate::encoding::key::{self, INCARNATION_BYTES, kind};
use crate::encoding::positions::{
    LEVELS, STEP, aligned, count_key, group, group_end, group_start, split_count,
};
use crate::store::{Table, Unit, UnitCursor};

/// An element that was found by its index.
pub(super) struct Located {
    pub(super) position: u64,
    /// How many elements stand before the group of each level in which it stands.
    ranks: [u64; LEVELS],
}

fn corrupt() -> Error {
    Error::malformed("the counts of a list")
}

impl View<'_> {
    fn count_key(&self, level: usize, group: u64) -> Vec<u8> {
        count_key(self.key.keyspace, self.meta.incarnation, level, group)
    }

    /// The position of an index that is less than the length.
    pub(super) fn position(&self, unit: &Unit<'_>, index: u64) -> Result<u64> {
        match index {
            _ if self.is_dense() => Ok(self.ends.head + index * STEP),
            0 => Ok(self.ends.head),
            _ if index + 1 == self.meta.length => Ok(self.ends.tail),
            _ => Ok(self.locate(unit, index)?.position),
        }
    }

    fn locate(&self, unit: &Unit<'_>, index: u64) -> Result<Located> {
        let prefix = key::kind_prefix(self.key.keyspace, self.meta.incarnation, kind::ELEMENT_COUNT);
        let mut cursor = unit.cursor(Table::Elements, &prefix)?;
        let (mut low, mut high, mut rank) = (self.ends.head, self.ends.tail, 0);
        let mut ranks = [0; LEVELS];
        for level in (0..LEVELS).rev() {
            if group(level, low) != group(level, high) {
                cursor.seek(&self.count_key(level, group(level, low)))?;
                let chosen = descend(&mut cursor, level, (low, high), index, &mut rank)?;
                low = low.max(group_start(level, chosen));
                high = high.min(group_end(level, chosen) - 1);
            }
            ranks[level] = rank;
        }
        let (mut left, mut position) = (index - rank, None);
        self.walk(unit, low, Side::Right, |at, _| {
            if left == 0 {
                position = Some(at).filter(|at| *at <= high);
            }
            left = left.saturating_sub(1);
            Ok(position.is_none() && at < high)
        })?;
        Ok(Located { position: position.ok_or_else(corrupt)?, ranks })
    }
}

/// The group of a level, between two positions, in which the element of an index stands; `rank` grows by
/// those before it.
fn descend(
    cursor: &mut UnitCursor<'_>,
    level: usize,
    (low, high): (u64, u64),
    index: u64,
    rank: &mut u64,
) -> Result<u64> {
    let mut from = low;
    loop {
        let record = count_at(cursor, level, high)?;
        let to = record.map_or(high + 1, |(group, _)| group_start(level, group).max(from));
        let regular = aligned(from, to);
        if *rank + regular > index {
            let position = (from.div_ceil(STEP) + (index - *rank)) * STEP;
            let found = group(level, position);
            *rank += aligned(from, group_start(level, found).max(from));
            return Ok(found);
        }
        *rank += regular;
        let (found, delta) = record.ok_or_else(corrupt)?;
        let end = group_end(level, found).min(high + 1);
        let count = aligned(to, end).checked_add_signed(delta).ok_or_else(corrupt)?;
        if *rank + count > index {
            return Ok(found);
        }
        *rank += count;
        from = end;
        cursor.next()?;
    }
}

/// The count on which a cursor stands, if it is of a level and of a group up to that of `high`.
fn count_at(cursor: &UnitCursor<'_>, level: usize, high: u64) -> Result<Option<(u64, i64)>> {
    if !cursor.valid() {
        return Ok(None);
    }
    let (at, found) = split_count(cursor.key().get(INCARNATION_BYTES + 1..).unwrap_or_default())?;
    if at != level || found > group(level, high) {
        return Ok(None);
    }
    let delta = cursor.value().try_into().map_err(|_| corrupt())?;
    Ok(Some((found, i64::from_le_bytes(delta))))
}

impl Draft<'_> {
    /// Counts an element more or fewer at a position between the ends.
    pub(super) fn count(&self, unit: &mut Unit<'_>, position: u64, delta: i64) {
        for level in 0..LEVELS {
            self.add(unit, level, group(level, position), delta);
        }
    }

    pub(super) fn add(&self, unit: &mut Unit<'_>, level: usize, group: u64, delta: i64) {
        if delta != 0 {
            unit.add(Table::Elements, self.view.count_key(level, group), delta);
        }
    }

    fn forget(&self, unit: &mut Unit<'_>, level: usize, group: u64) {
        unit.delete(Table::Elements, self.view.count_key(level, group));
    }

    /// The counts of groups from `first` up to and without `end`.
    fn forget_many(&self, unit: &mut Unit<'_>, level: usize, first: u64, end: u64) {
        if first < end {
            let (from, to) = (self.view.count_key(level, first), self.view.count_key(level, end));
            unit.delete_range(Table::Elements, from, to);
        }
    }

    /// Removes `count` elements at an end, fewer than there are.
    pub(super) fn cut_records(&mut self, unit: &mut Unit<'_>, side: Side, count: u64) -> Result<()> {
        if !self.view.is_dense() && count > FEW {
            return self.cut_counted(unit, side, count);
        }
        if count <= FEW {
            for _ in 0..count {
                self.cut_one(unit, side)?;
            }
            return Ok(());
        }
        let ends = self.view.ends;
        match side {
            Side::Left => self.cut_range(unit, side, ends.head + count * STEP),
            Side::Right => self.cut_range(unit, side, ends.tail - count * STEP),
        }
        self.view.meta.length -= count;
        Ok(())
    }

    /// Removes the records between an end and its new position.
    fn cut_range(&mut self, unit: &mut Unit<'_>, side: Side, end: u64) {
        let (from, to) = match side {
            Side::Left => (self.view.ends.head, end),
            Side::Right => (end + 1, self.view.ends.tail + 1),
        };
        unit.delete_range(Table::Elements, self.view.record(from), self.view.record(to));
        self.move_end(side, end);
    }

    fn move_end(&mut self, side: Side, end: u64) {
        match side {
            Side::Left => self.view.ends.head = end,
            Side::Right => self.view.ends.tail = end,
        }
        let ends = self.view.ends;
        if ends.head == ends.tail && ends.head.is_multiple_of(STEP) {
            self.view.set_dense(true);
        }
    }

    /// Removes the element at an end, which is not the only one.
    pub(super) fn cut_one(&mut self, unit: &mut Unit<'_>, side: Side) -> Result<()> {
        let ends = self.view.ends;
        let old = if side == Side::Left { ends.head } else { ends.tail };
        let new = self.view.next(unit, old, side)?;
        unit.delete(Table::Elements, self.view.record(old));
        if !self.view.is_dense() {
            self.count_cut(unit, old, new);
        }
        self.view.meta.length -= 1;
        self.move_end(side, new);
        Ok(())
    }

    /// Counts anew when an end moves from one element to the next. Multiples of the step between them, at
    /// which there is nothing, no longer count as missing.
    fn count_cut(&self, unit: &mut Unit<'_>, old: u64, new: u64) {
        // What no longer lies between the ends.
        let (from, to) = if old < new { (old, new) } else { (new + 1, old + 1) };
        let holes = aligned(from, to) - u64::from(old.is_multiple_of(STEP));
        for level in 0..LEVELS {
            let gone = |group: u64| {
                let (start, end) = (group_start(level, group), group_end(level, group));
                aligned(from.max(start), to.min(end)) as i64
            };
            let (left, entered) = (group(level, old), group(level, new));
            if left == entered {
                self.add(unit, level, left, gone(left) - 1);
                continue;
            }
            // What remains of a group without elements is nothing.
            if gone(left) != 1 {
                self.forget(unit, level, left);
            }
            self.add(unit, level, entered, gone(entered));
            let between = (left.min(entered) + 1, left.max(entered));
            if holes > FEW {
                self.forget_many(unit, level, between.0, between.1);
                continue;
            }
            let first = from.div_ceil(STEP);
            for hole in first..first + aligned(from, to) {
                let hole = group(level, hole * STEP);
                if (between.0..between.1).contains(&hole) {
                    self.forget(unit, level, hole);
                }
            }
        }
    }

    /// Removes many elements at an end of a list that is not dense.
    fn cut_counted(&mut self, unit: &mut Unit<'_>, side: Side, count: u64) -> Result<()> {
        let (ends, kept) = (self.view.ends, self.view.meta.length - count);
        let index = if side == Side::Left { count } else { kept - 1 };
        let Located { position, ranks } = self.view.locate(unit, index)?;
        for (level, rank) in ranks.into_iter().enumerate() {
            let entered = group(level, position);
            let start = group_start(level, entered).max(ends.head);
            match side {
                Side::Left => {
                    self.forget_many(unit, level, group(level, ends.head), entered);
                    let removed = (count - rank) as i64;
                    self.add(unit, level, entered, aligned(start, position) as i64 - removed);
                }
                Side::Right => {
                    self.forget_many(unit, level, entered + 1, group(level, ends.tail) + 1);
                    let left = (kept - rank) as i64 - aligned(start, position + 1) as i64;
                    let key = self.view.count_key(level, entered);
                    if left == 0 {
                        unit.delete(Table::Elements, key);
                    } else {
                        unit.put(Table::Elements, key, left.to_le_bytes().to_vec());
                    }
                }
            }
        }
        self.cut_range(unit, side, position);
        self.view.meta.length = kept;
        Ok(())
    }

    /// Removes the element at a position; there are others.
    pub(super) fn remove_record(&mut self, unit: &mut Unit<'_>, position: u64) -> Result<()> {
        if position == self.view.ends.head {
            return self.cut_one(unit, Side::Left);
        }
        if position == self.view.ends.tail {
            return self.cut_one(unit, Side::Right);
        }
        self.view.set_dense(false);
        unit.delete(Table::Elements, self.view.record(position));
        self.count(unit, position, -1);
        self.view.meta.length -= 1;
        Ok(())
    }
}
