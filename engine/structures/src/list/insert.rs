//! Insertion between two elements, and making room for it.
//!
//! Where there is no position between two neighbours, the elements of a window around them are spread evenly:
//! of the smallest window of 2^i positions that holds at most 1.5^i elements, so that an insertion moves
//! O(log n) elements on average, wherever it takes place (Bender, Cole, Demaine, Farach-Colton and Zito, "Two
//! simplified algorithms for maintaining order in a list", 2002). The ends stay where they are; a list that
//! is too full from end to end is written anew.

use super::records::{Draft, Side};
use crate::base::error::Result;
use crate::encoding::positions::{LEVELS, group};
use crate::store::{Table, Unit};
use std::collections::BTreeMap;

/// The smallest window has 2 to the power of this positions.
const FIRST_WINDOW: u32 = 6;

/// How many elements a window of 2^i positions may hold.
fn most(window: u32) -> u64 {
    let most = 3u128.pow(window.min(64)) >> window.min(64);
    u64::try_from(most).unwrap_or(u64::MAX)
}

impl Draft<'_> {
    /// Inserts an element between two neighbours, by their positions.
    pub(super) fn insert_between(
        &mut self,
        unit: &mut Unit<'_>,
        (left, right): (u64, u64),
        value: &[u8],
    ) -> Result<()> {
        self.view.set_dense(false);
        if right - left < 2 {
            return self.spread(unit, left, value);
        }
        let position = left + (right - left) / 2;
        unit.put(Table::Elements, self.view.record(position), value.to_vec());
        self.count(unit, position, 1);
        self.view.meta.length += 1;
        Ok(())
    }

    /// Spreads a neighbourhood evenly, with an element more behind that at `left`.
    fn spread(&mut self, unit: &mut Unit<'_>, left: u64, value: &[u8]) -> Result<()> {
        let ends = self.view.ends;
        for window in FIRST_WINDOW.. {
            let size = 1u64 << window.min(62);
            let low = left & !(size - 1);
            let high = low + size;
            let (from, to) = (low.max(ends.head + 1), high.min(ends.tail));
            let (room, most) = (to.saturating_sub(from), most(window));
            let found = self.between(unit, from, to, most)?;
            let count = found.len() as u64 + 1;
            if count <= most && count.saturating_mul(4) <= room {
                self.respread(unit, left, value, (from, room), found);
                return Ok(());
            }
            if low <= ends.head && ends.tail < high {
                break;
            }
        }
        self.rewrite(unit, left, value)
    }

    /// The elements from one position up to and without another; if there are more than `most`, one more.
    fn between(&self, unit: &Unit<'_>, from: u64, to: u64, most: u64) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut found = Vec::new();
        self.view.walk(unit, from, Side::Right, |at, value| {
            if at < to {
                found.push((at, value.to_vec()));
            }
            Ok(at < to && found.len() as u64 <= most)
        })?;
        Ok(found)
    }

    /// Gives the elements of a window new positions: `found`, with `value` behind that at `left`.
    fn respread(
        &mut self,
        unit: &mut Unit<'_>,
        left: u64,
        value: &[u8],
        (from, room): (u64, u64),
        found: Vec<(u64, Vec<u8>)>,
    ) {
        let mut counts: BTreeMap<(usize, u64), i64> = BTreeMap::new();
        let mut count = |position: u64, delta: i64| {
            for level in 0..LEVELS {
                *counts.entry((level, group(level, position))).or_default() += delta;
            }
        };
        let before = found.iter().filter(|(at, _)| *at <= left).count();
        for (at, _) in &found {
            unit.delete(Table::Elements, self.view.record(*at));
            count(*at, -1);
        }
        let mut values: Vec<Vec<u8>> = found.into_iter().map(|(_, value)| value).collect();
        values.insert(before, value.to_vec());
        let parts = 2 * values.len() as u128;
        for (at, value) in values.into_iter().enumerate() {
            let offset = (2 * at as u128 + 1) * u128::from(room) / parts;
            let position = from + offset as u64;
            unit.put(Table::Elements, self.view.record(position), value);
            count(position, 1);
        }
        for ((level, group), delta) in counts {
            self.add(unit, level, group, delta);
        }
        self.view.meta.length += 1;
    }

    /// Writes the whole list anew, with an element more behind that at `left`.
    fn rewrite(&mut self, unit: &mut Unit<'_>, left: u64, value: &[u8]) -> Result<()> {
        let (mut values, mut memory) = (Vec::new(), unit.memory());
        self.view.scan(unit, Side::Left, |at, other| {
            values.push(other.to_vec());
            memory.take(other.len())?;
            if at == left {
                values.push(value.to_vec());
            }
            Ok(true)
        })?;
        self.view.meta.length = values.len() as u64;
        self.begin_records(unit, values.into_iter())
    }
}
