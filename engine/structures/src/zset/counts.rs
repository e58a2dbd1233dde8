//! Order statistics: how many members stand before a place, and which is the n-th.
//!
//! A member is a boundary of level k if its keyed hash ends in 5 k zero bits, so about one in 32 of each
//! level is one of the next. Each level has a record for each of its boundaries, with how many members there
//! are from it to the next, and one in front of all boundaries. Which records there are follows from what is
//! in the set, not from how it came there: a skip list whose heights are given by a hash (Pugh, 1990), with
//! the widths of its links.
//!
//! Who changes a count has just read it, to find it, or remembers it (`ranks`): so it is written as a value,
//! and no reader has to add up what many writers left.

use super::records::score_prefix;
use crate::base::error::{Error, Result};
use crate::encoding::key::{INCARNATION_BYTES, kind, kind_prefix};
use crate::ranks::{Change, Counted, Tree};
use crate::store::{Table, Unit, UnitCursor};
use std::cell::{RefCell, RefMut};

/// Bytes of a count's key in front of the boundary's place.
const PREFIX_BYTES: usize = INCARNATION_BYTES + 2;

/// The counts of one sorted set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) keyspace: u64,
    pub(super) incarnation: u64,
    pub(super) levels: u8,
}

/// A boundary, or the front of its level (empty), and the members from it to the next.
type Bucket = (Vec<u8>, u64);

/// Reads the buckets of a level from a boundary on up to another.
type Read<'r> = &'r mut dyn FnMut(u8, &[u8], Option<&[u8]>) -> Result<Vec<Counted>>;
/// Reads the last bucket of a level that starts at a place or before it.
type One<'o> = &'o mut dyn FnMut(u8, &[u8]) -> Result<Counted>;
/// Takes what changes.
type Put<'p> = &'p mut dyn FnMut(Change<'_>);

impl Counts {
    fn prefix(&self) -> [u8; INCARNATION_BYTES + 1] {
        kind_prefix(self.keyspace, self.incarnation, kind::SCORE_COUNT)
    }

    fn key(&self, level: u8, place: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(PREFIX_BYTES + place.len());
        key.extend_from_slice(&self.prefix());
        key.push(level);
        key.extend_from_slice(place);
        key
    }

    fn put(&self, unit: &mut Unit<'_>, level: u8, place: &[u8], count: u64) {
        unit.put(Table::Elements, self.key(level, place), count.to_le_bytes().to_vec());
    }

    /// The bucket on which a cursor stands, if it is of this level.
    fn here(cursor: &UnitCursor<'_>, level: u8) -> Result<Option<Bucket>> {
        if !cursor.valid() || cursor.key().get(PREFIX_BYTES - 1) != Some(&level) {
            return Ok(None);
        }
        let place = cursor.key().get(PREFIX_BYTES..).unwrap_or_default();
        let count = cursor.value().try_into().map(u64::from_le_bytes);
        Ok(Some((place.to_vec(), count.map_err(|_| Error::malformed("a count of a sorted set"))?)))
    }

    /// The bucket of a level in which a place stands.
    fn bucket(&self, cursor: &mut UnitCursor<'_>, level: u8, place: &[u8]) -> Result<Bucket> {
        cursor.seek_for_prev(&self.key(level, place))?;
        Ok(Self::here(cursor, level)?.unwrap_or_default())
    }

    /// The buckets of a level from a boundary on up to another, or to the end.
    fn read(
        &self,
        cursor: &mut UnitCursor<'_>,
        level: u8,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Vec<Counted>> {
        let mut buckets = Vec::new();
        cursor.seek(&self.key(level, from))?;
        while let Some((place, count)) = Self::here(cursor, level)? {
            if to.is_some_and(|to| place.as_slice() >= to) {
                break;
            }
            buckets.push((place.into_boxed_slice(), count));
            cursor.next()?;
        }
        Ok(buckets)
    }

    /// Changes the counts by their tree, and writes what has changed. `change` gets the tree, how to read
    /// what it lacks, and where to put what changes.
    fn with_tree(
        &self,
        unit: &mut Unit<'_>,
        gone: &[u8],
        change: impl FnOnce(&Unit<'_>, &mut Tree, (Read<'_>, One<'_>), Put<'_>) -> Result<()>,
    ) -> Result<()> {
        let of = (self.keyspace, self.incarnation);
        let known = unit.take_ranks(of).filter(|tree| tree.levels() == self.levels);
        let mut tree = known.unwrap_or_else(|| Tree::new(self.levels));
        let mut writes = Vec::with_capacity(usize::from(self.levels) + 1);
        let lazy = RefCell::new(None);
        let cursor = || -> Result<RefMut<'_, UnitCursor<'_>>> {
            let mut cursor = lazy.borrow_mut();
            if cursor.is_none() {
                *cursor = Some(unit.cursor(Table::Elements, &self.prefix())?);
            }
            RefMut::filter_map(cursor, Option::as_mut).map_err(|_| Error::malformed("a cursor"))
        };
        let read = |level: u8, from: &[u8], to: Option<&[u8]>| self.read(&mut *cursor()?, level, from, to);
        let one = |level: u8, place: &[u8]| {
            let (start, count) = self.bucket(&mut *cursor()?, level, place)?;
            Ok((start.into_boxed_slice(), count))
        };
        let put = |change: Change<'_>| {
            writes.push(match change {
                Change::Set(level, place, count) => (self.key(level, place), Some(count)),
                Change::Gone(level) => (self.key(level, gone), None),
            });
        };
        change(unit, &mut tree, (&mut { read }, &mut { one }), &mut { put })?;
        drop(lazy);
        for (key, count) in writes {
            match count {
                Some(count) => unit.put(Table::Elements, key, count.to_le_bytes().to_vec()),
                None => unit.delete(Table::Elements, key),
            }
        }
        unit.keep_ranks(of, tree);
        Ok(())
    }

    /// Counts a place that is new, and is a boundary up to level `own`. Reads what the process does not
    /// remember: the count that changes in each level or, where others came by before, those beside it as
    /// well; for a boundary also the members of its bucket from `low` on.
    pub(super) fn insert(&self, unit: &mut Unit<'_>, low: &[u8], place: &[u8], own: u8) -> Result<()> {
        self.with_tree(unit, place, |unit, tree, (read, one), put| {
            if own == 0 {
                return tree.count(place, true, read, one, put);
            }
            let members = |start: &[u8]| self.members_between(unit, start.max(low), place);
            tree.insert(place, own, read, members, put)
        })
    }

    /// Takes a place out of the counts. Reads as [`Counts::insert`].
    pub(super) fn remove(&self, unit: &mut Unit<'_>, place: &[u8], own: u8) -> Result<()> {
        self.with_tree(unit, place, |_, tree, (read, one), put| {
            if own == 0 {
                return tree.count(place, false, read, one, put);
            }
            tree.remove(place, own, read, put)
        })
    }

    /// Takes `removed` places out of the counts: all from one up to another. Reads the boundaries among them.
    pub(super) fn remove_run(&self, unit: &mut Unit<'_>, from: &[u8], to: &[u8], removed: u64) -> Result<()> {
        drop(unit.take_ranks((self.keyspace, self.incarnation)));
        let mut writes = Vec::with_capacity(usize::from(self.levels));
        let mut cursor = unit.cursor(Table::Elements, &self.prefix())?;
        for level in 1..=self.levels {
            let (mut start, mut count) = self.bucket(&mut cursor, level, from)?;
            let mut boundary = cursor.valid() && start == from && !start.is_empty();
            if boundary {
                cursor.prev()?;
                (start, count) = Self::here(&cursor, level)?.unwrap_or_default();
            }
            // What is left of the buckets that begin in the run joins the one in front of it.
            let within = self.sum_between(&mut cursor, level, from, to)?;
            boundary |= within > 0;
            writes.push((level, start, count.saturating_add(within).saturating_sub(removed), boundary));
        }
        drop(cursor);
        for (level, start, count, boundaries) in writes {
            if boundaries {
                unit.delete_range(Table::Elements, self.key(level, from), self.key(level, to));
            }
            self.put(unit, level, &start, count);
        }
        Ok(())
    }

    /// Writes the counts of places that come in order, each with the level up to which it is a boundary. No
    /// count may be there.
    pub(super) fn build<'p>(&self, unit: &mut Unit<'_>, places: impl Iterator<Item = (&'p [u8], u8)>) {
        let mut open: Vec<(Vec<u8>, u64)> = vec![(Vec::new(), 0); usize::from(self.levels)];
        for (place, own) in places {
            for (level, bucket) in (1u8..).zip(&mut open) {
                if level <= own {
                    self.put(unit, level, &bucket.0, bucket.1);
                    *bucket = (place.to_vec(), 0);
                }
                bucket.1 += 1;
            }
        }
        for (level, (place, count)) in (1u8..).zip(open) {
            self.put(unit, level, &place, count);
        }
    }

    /// Adds one level on top, from the buckets of the one below; `level_of` says up to which level a place is
    /// a boundary.
    pub(super) fn grow(&mut self, unit: &mut Unit<'_>, level_of: impl Fn(&[u8]) -> u8) -> Result<()> {
        let (below, level) = (self.levels, self.levels + 1);
        let mut buckets: Vec<Bucket> = vec![(Vec::new(), 0)];
        let mut cursor = unit.cursor(Table::Elements, &self.prefix())?;
        cursor.seek(&self.key(below, b""))?;
        while let Some((place, count)) = Self::here(&cursor, below)? {
            match buckets.last_mut() {
                Some(last) if place.is_empty() || level_of(&place) < level => {
                    last.1 = last.1.saturating_add(count)
                }
                _ => buckets.push((place, count)),
            }
            cursor.next()?;
        }
        drop(cursor);
        for (place, count) in buckets {
            self.put(unit, level, &place, count);
        }
        self.levels = level;
        Ok(())
    }

    /// How many members there are from one place up to another.
    fn members_between(&self, unit: &Unit<'_>, from: &[u8], to: &[u8]) -> Result<u64> {
        let prefix = score_prefix(self.keyspace, self.incarnation);
        let mut cursor = unit.cursor(Table::Elements, &prefix)?;
        let mut found = cursor.seek(&[&prefix[..], from].concat())?;
        let mut count = 0;
        while found && cursor.key().get(prefix.len()..).unwrap_or_default() < to {
            count += 1;
            found = cursor.next()?;
        }
        Ok(count)
    }

    /// The sum of the buckets of a level from one boundary up to another.
    fn sum_between(&self, cursor: &mut UnitCursor<'_>, level: u8, from: &[u8], to: &[u8]) -> Result<u64> {
        let mut sum = 0u64;
        cursor.seek(&self.key(level, from))?;
        while let Some((_, count)) = Self::here(cursor, level)?.filter(|(place, _)| place.as_slice() < to) {
            sum = sum.saturating_add(count);
            cursor.next()?;
        }
        Ok(sum)
    }

    /// How many members stand before a place; those of its own bucket are counted from `low` on.
    pub(super) fn rank(&self, unit: &Unit<'_>, low: &[u8], place: &[u8]) -> Result<u64> {
        let (mut start, mut before) = (Vec::new(), 0u64);
        let mut cursor = unit.cursor(Table::Elements, &self.prefix())?;
        for level in (1..=self.levels).rev() {
            cursor.seek(&self.key(level, &start))?;
            let mut pending = 0u64;
            while let Some((at, count)) = Self::here(&cursor, level)?.filter(|(at, _)| at.as_slice() <= place)
            {
                before = before.saturating_add(pending);
                (start, pending) = (at, count);
                cursor.next()?;
            }
        }
        drop(cursor);
        Ok(before.saturating_add(self.members_between(unit, start.as_slice().max(low), place)?))
    }

    /// The last boundary at or before the n-th member (from 0 on), and how many members further that is.
    pub(super) fn select(&self, unit: &Unit<'_>, index: u64) -> Result<(Vec<u8>, u64)> {
        let (mut start, mut left) = (Vec::new(), index);
        let mut cursor = unit.cursor(Table::Elements, &self.prefix())?;
        for level in (1..=self.levels).rev() {
            cursor.seek(&self.key(level, &start))?;
            while let Some((at, count)) = Self::here(&cursor, level)? {
                start = at;
                if left < count {
                    break;
                }
                left -= count;
                cursor.next()?;
            }
        }
        Ok((start, left))
    }
}
