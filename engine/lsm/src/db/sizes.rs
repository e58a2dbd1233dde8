//! How much a range of keys holds, without reading it.

use super::family::ColumnFamily;
use super::read;
use crate::base::error::{Error, Result};
use crate::base::sync::Arc;
use crate::memtable::Memtable;
use crate::tree::View;
use crate::version::TableFile;
use std::ops::{Bound, RangeBounds};

/// So much of a run of entries.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    bytes: u64,
    entries: u64,
}

impl Amount {
    /// The `part`th of `whole` parts of it.
    fn share(self, part: u64, whole: u64) -> Amount {
        let of = |amount: u64| {
            let share = u128::from(amount) * u128::from(part.min(whole)) / u128::from(whole.max(1));
            share as u64
        };
        Amount { bytes: of(self.bytes), entries: of(self.entries) }
    }

    /// What is added from `before` on.
    fn behind(self, before: Amount) -> Amount {
        let bytes = self.bytes.saturating_sub(before.bytes);
        Amount { bytes, entries: self.entries.saturating_sub(before.entries) }
    }

    fn add(&mut self, more: Amount) {
        self.bytes += more.bytes;
        self.entries += more.entries;
    }
}

/// A range from its first key on, to the first key behind it.
struct Edges {
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
}

impl Edges {
    fn of<K: AsRef<[u8]>>(range: &impl RangeBounds<K>) -> Edges {
        // The least key that is greater.
        let behind = |key: &[u8]| [key, &[0]].concat();
        let from = match range.start_bound() {
            Bound::Included(key) => Some(key.as_ref().to_vec()),
            Bound::Excluded(key) => Some(behind(key.as_ref())),
            Bound::Unbounded => None,
        };
        let to = match range.end_bound() {
            Bound::Included(key) => Some(behind(key.as_ref())),
            Bound::Excluded(key) => Some(key.as_ref().to_vec()),
            Bound::Unbounded => None,
        };
        Edges { from, to }
    }

    /// What `before` counts before the end and not before the beginning.
    fn between(&self, whole: Amount, before: impl Fn(&[u8]) -> Result<Amount>) -> Result<Amount> {
        let from = self.from.as_deref().map_or(Ok(Amount::default()), &before)?;
        let to = self.to.as_deref().map_or(Ok(whole), &before)?;
        Ok(to.behind(from))
    }

    /// Whether a key lies inside, and not at the beginning.
    fn splits(&self, key: &[u8]) -> bool {
        self.from.as_deref().is_none_or(|from| key > from) && self.to.as_deref().is_none_or(|to| key < to)
    }
}

fn of_table(table: &TableFile) -> Amount {
    Amount { bytes: table.meta.whole_bytes(), entries: table.meta.entries }
}

/// What of a table stands before a key, by its index. It never falls from one key to a greater one.
fn before_in_table(table: &TableFile, key: &[u8]) -> Result<Amount> {
    let whole = of_table(table);
    if key <= &table.meta.smallest.0[..] {
        return Ok(Amount::default());
    }
    if key > &table.meta.largest.0[..] {
        return Ok(whole);
    }
    Ok(whole.share(table.reader.approximate_offset(key)?, table.reader.properties().data_bytes))
}

fn of_memtable(memtable: &Memtable) -> Amount {
    Amount { bytes: memtable.entry_bytes() as u64, entries: memtable.entries() }
}

/// What of a memtable stands before a key, by a sample of its keys.
fn before_in_memtable(whole: Amount, sample: &[&[u8]], key: &[u8]) -> Amount {
    whole.share(sample.partition_point(|sampled| *sampled < key) as u64, sample.len() as u64)
}

fn amount(view: &View, edges: &Edges) -> Result<Amount> {
    let mut amount = Amount::default();
    for memtable in view.memtables().filter(|memtable| !memtable.is_empty()) {
        let (whole, sample) = (of_memtable(memtable), memtable.sample());
        amount.add(edges.between(whole, |key| Ok(before_in_memtable(whole, &sample, key)))?);
    }
    for (_, table) in view.version.tables() {
        amount.add(edges.between(of_table(table), |key| before_in_table(table, key))?);
    }
    Ok(amount)
}

/// Keys at which a range may be split, with the bytes that stand before each and behind the one before it in
/// the same run.
fn borders(view: &View) -> Vec<(Vec<u8>, u64)> {
    let mut borders = Vec::new();
    for memtable in view.memtables().filter(|memtable| !memtable.is_empty()) {
        let sample = memtable.sample();
        let each = of_memtable(memtable).bytes / (sample.len() as u64).max(1);
        borders.extend(sample.into_iter().map(|key| (key.to_vec(), each)));
    }
    for (_, table) in view.version.tables() {
        let keys = table.reader.separators();
        let each = table.meta.whole_bytes() / (keys.len() as u64).max(1);
        borders.extend(keys.into_iter().map(|key| (key, each)));
    }
    borders.sort();
    borders
}

impl ColumnFamily {
    fn looked_at(&self) -> Result<Arc<View>> {
        read::check(self, None)?;
        Ok(self.family().view())
    }

    /// About how many bytes the keys of a range take in tables and memtables: what is compressed as it is
    /// compressed, versions that are hidden and deletions included, as long as compactions have left them. No
    /// data is read: tables are asked by their indexes, memtables by a sample of their keys.
    ///
    /// Ranges that adjoin add up, and a greater range never counts less. A table that lies in the range
    /// counts with its size and that of the separated values that it refers to, one that lies outside does
    /// not count. Where an end of the range lies in a table, the count is off by at most the block that it
    /// lies in, and its share of the index, of each such table. Of a memtable of a hundred entries every key
    /// is known; of a larger one a hundred or more, about evenly spread.
    ///
    /// # Errors
    /// [`Error::Corruption`] if a piece of an index is damaged; I/O errors; [`Error::Closed`],
    /// [`Error::FamilyDropped`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// for i in 0..100u8 {
    ///     db.put([i], [7; 1000])?;
    /// }
    /// assert!(db.approximate_size([0u8]..[50])? >= 50_000);
    /// assert_eq!(db.approximate_count([0u8]..[50])?, 50);
    /// # Ok(()) }
    /// ```
    pub fn approximate_size<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Result<u64> {
        let view = self.looked_at()?;
        Ok(amount(&view, &Edges::of(&range))?.bytes)
    }

    /// About how many entries a range holds: as [`ColumnFamily::approximate_size`], hidden versions and
    /// deletions included, and as close as that where the entries of a table take about as many bytes each.
    ///
    /// # Errors
    /// As [`ColumnFamily::approximate_size`].
    pub fn approximate_count<K: AsRef<[u8]>, R: RangeBounds<K>>(&self, range: R) -> Result<u64> {
        let view = self.looked_at()?;
        Ok(amount(&view, &Edges::of(&range))?.entries)
    }

    /// Keys that split a range into about `parts` parts of about the same size, in ascending order: each is
    /// the first key of the part behind it. There may be fewer of them, in a small range even none. They need
    /// not be keys that exist. Nothing is read: they come from what is kept in memory of the tables' indexes,
    /// and from memtables.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no parts; [`Error::Closed`], [`Error::FamilyDropped`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// for i in 0..100u8 {
    ///     db.put([i], b"v")?;
    /// }
    /// let points = db.split_points::<&[u8], _>(.., 4)?;
    /// assert_eq!(points.len(), 3);
    /// // One thread might walk each of `..points[0]`, `points[0]..points[1]` and so on.
    /// # Ok(()) }
    /// ```
    pub fn split_points<K: AsRef<[u8]>, R: RangeBounds<K>>(
        &self,
        range: R,
        parts: usize,
    ) -> Result<Vec<Vec<u8>>> {
        if parts == 0 {
            return Err(Error::invalid("parts", "a range is split into one part or more"));
        }
        let (view, edges) = (self.looked_at()?, Edges::of(&range));
        let mut borders = borders(&view);
        borders.retain(|(key, _)| edges.splits(key));
        let total: u128 = borders.iter().map(|(_, bytes)| u128::from(*bytes)).sum();
        let (mut points, mut before, mut part) = (Vec::<Vec<u8>>::new(), 0, 1);
        for (key, bytes) in borders {
            before += u128::from(bytes);
            let due = part < parts as u128 && before * parts as u128 >= total * part;
            if due && points.last() != Some(&key) {
                points.push(key);
            }
            while part < parts as u128 && before * parts as u128 >= total * part {
                part += 1;
            }
        }
        Ok(points)
    }
}
