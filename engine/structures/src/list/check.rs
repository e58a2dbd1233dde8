//! What `verify` asks of a list.

use crate::encoding::check::Check;
use crate::encoding::header::{Meta, flag};
use crate::encoding::items::Items;
use crate::encoding::key::kind;
use crate::encoding::limits::{MAX_INLINE_BYTES, MAX_INLINE_ELEMENTS};
use crate::encoding::positions::{
    Ends, LEVELS, STEP, aligned, group, group_end, group_start, split_count, split_position,
};
use std::collections::BTreeMap;

/// What is wrong with the payload of a small list.
pub(crate) fn check_inline(meta: &Meta, payload: &[u8]) -> Option<String> {
    if meta.length == 0 {
        return Some("an empty list".into());
    }
    let Ok(items) = Items::new(payload).list() else { return Some("elements that cannot be read".into()) };
    let fits = payload.len() <= MAX_INLINE_BYTES && items.len() <= MAX_INLINE_ELEMENTS;
    let right = items.len() as u64 == meta.length && fits;
    (!right).then(|| format!("{} elements in the header, {} counted", items.len(), meta.length))
}

/// What is asked of the records of a large one. Holds what the groups have more or fewer, as the counts do:
/// of a list that was not changed in its middle that is nothing.
pub(crate) struct Elements {
    length: u64,
    dense: bool,
    ends: Ends,
    found: u64,
    last: Option<u64>,
    /// The group of each level in which the last element stands, and how many stand in it so far.
    open: [(u64, i64); LEVELS],
    more: BTreeMap<(usize, u64), i64>,
    counts: BTreeMap<(usize, u64), i64>,
}

impl Elements {
    /// Of a header.
    pub(crate) fn new(meta: &Meta, payload: &[u8]) -> Result<Elements, String> {
        let ends = Ends::decode(payload).map_err(|_| "ends that cannot be read".to_owned())?;
        Ok(Elements {
            length: meta.length,
            dense: meta.has(flag::OWN),
            ends,
            found: 0,
            last: None,
            open: [(0, 0); LEVELS],
            more: BTreeMap::new(),
            counts: BTreeMap::new(),
        })
    }

    /// How many elements a group holds whose counts say nothing.
    fn regular(&self, level: usize, group: u64) -> i64 {
        let (start, end) = (group_start(level, group).max(self.ends.head), group_end(level, group));
        aligned(start, end.min(self.ends.tail + 1)) as i64
    }

    fn close(&mut self, level: usize) {
        let (group, held) = self.open[level];
        let more = held - self.regular(level, group);
        if held > 0 && more != 0 {
            self.more.insert((level, group), more);
        }
    }

    fn element(&mut self, position: u64) -> Result<(), String> {
        if self.last.is_none() && position != self.ends.head || position > self.ends.tail {
            return Err("the ends are not those of the elements".into());
        }
        if self.dense && self.last.is_some_and(|last| position - last != STEP) {
            return Err("an index does not tell the position".into());
        }
        for level in 0..LEVELS {
            let at = group(level, position);
            if self.open[level].0 != at {
                self.close(level);
                self.open[level] = (at, 0);
            }
            self.open[level].1 += 1;
        }
        (self.found, self.last) = (self.found + 1, Some(position));
        Ok(())
    }

    /// What is wrong with the counts of a level.
    fn check_level(&self, level: usize) -> Result<(), String> {
        let of_level = |counts: &BTreeMap<(usize, u64), i64>| -> Vec<(u64, i64)> {
            counts.range((level, 0)..(level + 1, 0)).map(|((_, group), delta)| (*group, *delta)).collect()
        };
        for (group, more) in of_level(&self.more) {
            let delta = self.counts.get(&(level, group)).copied().unwrap_or(0);
            if more != delta {
                return Err(format!("group {group:x} of level {level}: {more} more, {delta} counted"));
            }
        }
        let mut sum = 0i64;
        for (group, delta) in of_level(&self.counts) {
            sum = sum.wrapping_add(delta);
            // A group that is not known to hold more or fewer must be empty.
            let empty = -self.regular(level, group);
            if !self.more.contains_key(&(level, group)) && delta != empty {
                return Err(format!("group {group:x} of level {level}: {empty} more, {delta} counted"));
            }
        }
        let difference = self.found as i64 - aligned(self.ends.head, self.ends.tail + 1) as i64;
        if sum == difference {
            Ok(())
        } else {
            Err(format!("level {level}: {difference} more, {sum} counted"))
        }
    }
}

impl Check for Elements {
    fn record(&mut self, kind: u8, rest: &[u8], value: &[u8]) -> Result<(), String> {
        let unreadable = || format!("a record of kind {kind} among the elements of a list");
        match kind {
            kind::ELEMENT => self.element(split_position(rest).map_err(|_| unreadable())?),
            kind::ELEMENT_COUNT => {
                let place = split_count(rest).map_err(|_| unreadable())?;
                let delta = value.try_into().map(i64::from_le_bytes).map_err(|_| unreadable())?;
                if delta != 0 {
                    self.counts.insert(place, delta);
                }
                Ok(())
            }
            _ => Err(unreadable()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        if self.found != self.length || self.length == 0 {
            return Err(format!("{} records of elements, {} counted", self.found, self.length));
        }
        if self.last != Some(self.ends.tail) {
            return Err("the ends are not those of the elements".into());
        }
        (0..LEVELS).for_each(|level| self.close(level));
        (0..LEVELS).try_for_each(|level| self.check_level(level))
    }
}
