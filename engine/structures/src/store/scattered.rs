//! Records in the order of a keyed hash, as those of a large hash or set: walking, cursors without a state,
//! and members by chance, each with the same chance.
//!
//! Equal ranges of hashes hold about equally many. One member by chance: choose a range that should hold
//! about 16, and a number below 64; if the range has a member of that number it is the answer, otherwise
//! choose again. Each member is met with the same chance in a round, and four rounds are expected (rejection
//! sampling; von Neumann, 1951). That a range holds more than 64 has a chance below 1e-17. After very many
//! rounds without a member all are walked over: there are very few, or fewer than were counted.

use super::budget::Budget;
use super::stretch::Stretch;
use super::unit::{Table, Unit};
use crate::base::error::{Error, Result};
use crate::encoding::key::{INCARNATION_BYTES, POSITIONS, position_bytes, split_position};
use crate::encoding::limits::{MAX_REPEATED, MAX_REPEATED_BYTES};
use std::collections::BTreeSet;

/// How many elements a range should hold.
const MEAN: u64 = 16;
/// How many it is taken to hold at most.
const MOST: u64 = 64;
/// How many rounds are tried. Of a collection with as many members as it counts, 16 or more, this many fail
/// once in 1e16 times.
const ROUNDS: usize = 128;

/// Different ones are chosen one by one if they are fewer than one in so many.
pub const SPARSE: u64 = 4;
/// So many choices behind each other that were all made before have a chance below 1e-38 where one in
/// [`SPARSE`] was made before.
const REPEATS: usize = 64;

/// A page ends behind so many bytes, however many members are wanted.
const PAGE_BYTES: usize = 1 << 20;

/// The records of one kind of an incarnation, keyed by hash and member.
#[derive(Clone, Copy, Debug)]
pub struct Scattered {
    prefix: [u8; INCARNATION_BYTES + 1],
}

/// Hash and member, from the key of a record.
///
/// # Errors
/// If the key is too short for one.
pub fn split_scattered(key: &[u8]) -> Result<(u64, &[u8])> {
    split_position(key.get(INCARNATION_BYTES + 1..).ok_or_else(|| Error::malformed("the key of a member"))?)
}

impl Scattered {
    /// Those that start with `prefix`: keyspace, incarnation, kind.
    #[must_use]
    pub fn new(prefix: [u8; INCARNATION_BYTES + 1]) -> Scattered {
        Scattered { prefix }
    }

    fn place(&self, position: u64) -> Vec<u8> {
        [&self.prefix[..], &position_bytes(position)].concat()
    }

    /// Hands every member with its value to `each`, until it says `false`.
    ///
    /// # Errors
    /// What the engine gives; those of `each`. The same goes for every call.
    pub fn walk(&self, unit: &Unit<'_>, mut each: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()> {
        let mut cursor = unit.cursor(Table::Elements, &self.prefix)?;
        let mut found = cursor.seek_to_first()?;
        while found && each(split_scattered(cursor.key())?.1, cursor.value())? {
            found = cursor.next()?;
        }
        Ok(())
    }

    /// All of them, of which there are `count`, to be read piece by piece.
    ///
    /// # Errors
    /// As [`Unit::stretch`].
    pub fn stretch(&self, unit: &mut Unit<'_>, count: u64) -> Result<Stretch> {
        unit.stretch(&self.prefix, self.prefix.to_vec(), false, count)
    }

    /// Hands about `count` members from the cursor `from` on to `each`, fewer if they are large; returns the
    /// cursor to go on with, 0 at the end. A member that is there from the first call to the last is shown.
    ///
    /// # Errors
    /// As [`Scattered::walk`].
    pub fn page(
        &self,
        unit: &Unit<'_>,
        from: u64,
        count: u64,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<u64> {
        if from >= POSITIONS {
            return Ok(0);
        }
        let mut cursor = unit.cursor(Table::Elements, &self.prefix)?;
        let mut found = cursor.seek(&self.place(from))?;
        let (mut last, mut shown, mut bytes) = (None, 0, 0);
        while found {
            let (position, member) = split_scattered(cursor.key())?;
            // Members of one position are shown together: a cursor cannot tell them apart.
            if (shown >= count || bytes > PAGE_BYTES) && last != Some(position) {
                return Ok(last.map_or(0, |last| last + 1));
            }
            each(member, cursor.value())?;
            bytes += member.len() + cursor.value().len();
            (last, shown) = (Some(position), shown + 1);
            found = cursor.next()?;
        }
        Ok(0)
    }

    /// Hands one of `length` members to `read`.
    ///
    /// # Errors
    /// As [`Scattered::walk`]; [`Error::Corrupt`] if there is none.
    pub fn sample<R>(
        &self,
        unit: &Unit<'_>,
        length: u64,
        read: impl FnOnce(&[u8], &[u8]) -> Result<R>,
    ) -> Result<R> {
        let ranges = (length / MEAN).max(1);
        let mut cursor = unit.cursor(Table::Elements, &self.prefix)?;
        for _ in 0..ROUNDS {
            let (range, index) = (unit.random_below(ranges), unit.random_below(MOST));
            // In 128 bits: a range's end is exact, whatever their number.
            let bound = |range: u64| (u128::from(POSITIONS) * u128::from(range) / u128::from(ranges)) as u64;
            let (from, to) = (bound(range), bound(range + 1));
            let mut found = cursor.seek(&self.place(from))?;
            for _ in 0..index {
                if !found || split_scattered(cursor.key())?.0 >= to {
                    break;
                }
                found = cursor.next()?;
            }
            if found {
                let (position, member) = split_scattered(cursor.key())?;
                if position < to {
                    return read(member, cursor.value());
                }
            }
        }
        // Each replaces what was chosen before with a chance of one in those met so far.
        let (mut chosen, mut met) = (None, 0);
        self.walk(unit, |member, value| {
            met += 1;
            if unit.random_below(met) == 0 {
                chosen = Some((member.to_vec(), value.to_vec()));
            }
            Ok(true)
        })?;
        let (member, value) = chosen.ok_or_else(fewer)?;
        read(&member, &value)
    }
}

/// What a collection is that has fewer members than it counts.
fn fewer() -> Error {
    Error::malformed("fewer members than were counted")
}

/// So many different ones of those that `one` gives by chance, of which there are [`SPARSE`] times as many;
/// `bytes` says how large each is.
///
/// # Errors
/// Those of `one` and of `memory`; [`Error::Corrupt`] if there are fewer.
pub fn distinct<T: Ord>(
    count: u64,
    memory: &mut Budget,
    bytes: impl Fn(&T) -> usize,
    mut one: impl FnMut() -> Result<T>,
) -> Result<BTreeSet<T>> {
    let (mut chosen, mut repeats) = (BTreeSet::new(), 0);
    while (chosen.len() as u64) < count {
        let next = one()?;
        let size = bytes(&next);
        if chosen.insert(next) {
            memory.take(size)?;
            repeats = 0;
            continue;
        }
        repeats += 1;
        if repeats == REPEATS {
            return Err(fewer());
        }
    }
    Ok(chosen)
}

/// What `one` gives so many times, the same perhaps more than once; `bytes` says how large each is.
///
/// # Errors
/// [`Error::TOO_MANY_REPEATED`]; those of `one` and of `memory`.
pub fn repeated<T>(
    count: u64,
    memory: &mut Budget,
    bytes: impl Fn(&T) -> usize,
    mut one: impl FnMut() -> Result<T>,
) -> Result<Vec<T>> {
    if count > MAX_REPEATED {
        return Err(Error::TOO_MANY_REPEATED);
    }
    let (mut drawn, mut total) = (Vec::new(), 0);
    for _ in 0..count {
        let next = one()?;
        total += bytes(&next);
        if total > MAX_REPEATED_BYTES {
            return Err(Error::TOO_MANY_REPEATED);
        }
        memory.take(bytes(&next))?;
        drawn.push(next);
    }
    Ok(drawn)
}

/// Which of those that come one after the other are chosen, so many of them with the same chance each:
/// nothing but these is held (selection sampling; Fan, Muller and Rezucha, 1962).
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    wanted: u64,
    left: u64,
}

impl Selection {
    /// `count` of `length`, or all.
    #[must_use]
    pub fn new(count: u64, length: u64) -> Selection {
        Selection { wanted: count.min(length), left: length }
    }

    /// Whether no more are to be chosen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.wanted == 0
    }

    /// Whether the next one is chosen.
    pub fn takes(&mut self, unit: &Unit<'_>) -> bool {
        let chosen = self.wanted >= self.left || unit.random_below(self.left) < self.wanted;
        self.left = self.left.saturating_sub(1);
        let chosen = chosen && self.wanted > 0;
        self.wanted -= u64::from(chosen);
        chosen
    }
}

impl Unit<'_> {
    /// Brings items into any order with the same chance (Fisher and Yates, 1938).
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for at in 0..items.len() {
            let other = at + self.random_below((items.len() - at) as u64) as usize;
            items.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use std::collections::BTreeMap;

    #[test]
    fn every_selection_has_the_same_chance_and_holds_what_was_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::builder(dir.path()).deterministic(3).open().unwrap();
        let unit = store.unit();
        let select = |count, length| {
            let mut selection = Selection::new(count, length);
            let chosen: Vec<u64> = (0..length).filter(|_| selection.takes(&unit)).collect();
            assert!(selection.is_done() && chosen.len() as u64 == count.min(length));
            chosen
        };
        let mut met: BTreeMap<Vec<u64>, u64> = BTreeMap::new();
        for _ in 0..20_000 {
            *met.entry(select(2, 5)).or_default() += 1;
        }
        assert_eq!(met.len(), 10);
        assert!(met.values().all(|times| (1800..2200).contains(times)), "{met:?}");
        for (count, length) in [(0, 5), (5, 5), (9, 5), (u64::MAX, 3), (3, 0)] {
            select(count, length);
        }
        drop(unit);
        store.close().unwrap();
    }
}
