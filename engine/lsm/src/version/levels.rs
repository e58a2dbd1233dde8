//! The tables of one column family, level by level, at one moment.

use super::blobs::{BlobFile, BlobSet, Walked};
use super::meta::TableMeta;
use crate::base::filename::{FileKind, FileNumber};
use crate::base::key::{SeqNum, common_prefix};
use crate::base::limits::LEVELS;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::base::sync::{Arc, Mutex, OnceLock};
use crate::blob::ReadAhead;
use crate::cache::Through;
use crate::iter::SharedValues;
use crate::ranges::Range;
use crate::table::{Access, TableReader};
use std::fmt;

/// Tables and blob files that nothing refers to any more and that may be removed.
#[derive(Debug, Default)]
pub struct Purgatory(Mutex<Vec<FileKind>>);

impl Purgatory {
    /// Takes those that have gathered.
    #[must_use]
    pub fn take(&self) -> Vec<FileKind> {
        std::mem::take(&mut self.0.lock())
    }

    /// Puts back what could not be removed.
    pub fn put_back(&self, kind: FileKind) {
        self.0.lock().push(kind);
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

/// What a merge with nothing below its output has left only because readers needed it, or because it had
/// not ended yet. Written again, its tables would come out as they are until one of that changes. It is not
/// stored: a store that was opened tries once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The newest sequence number in the input.
    pub max_seq: SeqNum,
    /// Held snapshots that are older than this one may need something: `max_seq`, or a range behind it.
    pub before: SeqNum,
    /// So many of them were held. There never come more.
    pub snapshots: usize,
    /// When the next entry ends of those that had not for the oldest reader of everything in the input.
    pub next_end_ms: u64,
    /// Ranges up to here were applied.
    pub ranges_seq: SeqNum,
}

/// A table with its open reader. When the last reference to a table that the manifest no longer
/// names is dropped, its number goes to the [`Purgatory`].
pub struct TableFile {
    /// What the manifest says of it.
    pub meta: Arc<TableMeta>,
    /// Reads it.
    pub reader: Arc<TableReader>,
    /// The blob files that its entries refer to, as `meta` has them.
    blobs: Vec<Arc<BlobFile>>,
    obsolete: AtomicBool,
    purgatory: Arc<Purgatory>,
    leftover: OnceLock<Leftover>,
}

impl fmt::Debug for TableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableFile({})", self.meta.number)
    }
}

impl TableFile {
    /// A table that the manifest names, or is about to.
    #[must_use]
    pub fn new(meta: Arc<TableMeta>, reader: Arc<TableReader>, purgatory: Arc<Purgatory>) -> Arc<TableFile> {
        debug_assert!(meta.blobs.is_empty(), "the blob files of a table are to be given");
        TableFile::referring(meta, reader, purgatory, Vec::new())
    }

    /// The same of one whose entries refer to these blob files, which are those that `meta` names, in order.
    #[must_use]
    pub fn referring(
        meta: Arc<TableMeta>,
        reader: Arc<TableReader>,
        purgatory: Arc<Purgatory>,
        blobs: Vec<Arc<BlobFile>>,
    ) -> Arc<TableFile> {
        debug_assert!(blobs.iter().map(|b| b.meta.number).eq(meta.blobs.iter().map(|share| share.file)));
        let (obsolete, leftover) = (AtomicBool::new(false), OnceLock::new());
        Arc::new(TableFile { meta, reader, blobs, obsolete, purgatory, leftover })
    }

    /// The blob files that its entries refer to.
    #[must_use]
    pub fn blobs(&self) -> &[Arc<BlobFile>] {
        &self.blobs
    }

    /// Notes what the merge that wrote it had to leave.
    pub fn set_leftover(&self, leftover: Leftover) {
        let _ = self.leftover.set(leftover);
    }

    /// What the merge that wrote it had to leave; `None` if that is not known.
    #[must_use]
    pub fn leftover(&self) -> Option<&Leftover> {
        self.leftover.get()
    }

    /// The manifest no longer names it.
    pub fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for TableFile {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            self.purgatory.put_back(FileKind::Table(self.meta.number));
        }
    }
}

/// The tables of a column family.
///
/// Invariants: level 0 is sorted by age, newest first, and its tables hold disjoint ranges of
/// sequence numbers; every other level is sorted by key, and no two of its tables share a user key.
#[derive(Clone, Debug, Default)]
pub struct Version {
    levels: [Vec<Arc<TableFile>>; LEVELS],
    blobs: Arc<BlobSet>,
}

impl Version {
    /// The tables of a level.
    #[must_use]
    pub fn level(&self, level: usize) -> &[Arc<TableFile>] {
        &self.levels[level]
    }

    /// The blob files that its tables refer to.
    #[must_use]
    pub fn blobs(&self) -> &Arc<BlobSet> {
        &self.blobs
    }

    /// Where its separated values stand, as a user's cursor reads them; `None` if it has none.
    #[inline]
    #[must_use]
    pub fn values(&self, access: &Access) -> SharedValues {
        if self.blobs.is_empty() {
            return None;
        }
        let through = if access.fill_cache { Through::Cache } else { Through::Peek };
        let ahead = access.read_ahead_bytes as u64;
        let ahead = (ahead > 0).then(|| Mutex::new(ReadAhead::new(ahead)));
        Some(Arc::new(Walked { blobs: self.blobs.clone(), through, watch: access.watch.clone(), ahead }))
    }

    /// All tables with their levels, top to bottom.
    pub fn tables(&self) -> impl Iterator<Item = (usize, &Arc<TableFile>)> {
        self.levels.iter().enumerate().flat_map(|(level, tables)| tables.iter().map(move |t| (level, t)))
    }

    /// The bytes of a level.
    #[must_use]
    pub fn level_bytes(&self, level: usize) -> u64 {
        self.levels[level].iter().map(|t| t.meta.size).sum()
    }

    /// This version without `removed` and with `added`.
    #[must_use]
    pub fn changed(&self, removed: &[(usize, FileNumber)], added: Vec<(usize, Arc<TableFile>)>) -> Version {
        let mut version = self.clone();
        for (level, number) in removed {
            version.levels[*level].retain(|t| t.meta.number != *number);
        }
        for (level, table) in added {
            version.levels[level].push(table);
        }
        version.levels[0].sort_by_key(|t| std::cmp::Reverse((t.meta.max_seq, t.meta.number)));
        for level in &mut version.levels[1..] {
            level.sort_by(|a, b| a.meta.smallest.0.cmp(&b.meta.smallest.0));
        }
        let blobs = BlobSet::of(version.tables().map(|(_, table)| table));
        version.blobs = Arc::new(blobs);
        version
    }

    /// The tables of `level` that may hold a key of `[from, to]`; `None` is unbounded.
    #[must_use]
    pub fn overlapping(&self, level: usize, from: Option<&[u8]>, to: Option<&[u8]>) -> Vec<Arc<TableFile>> {
        let tables = &self.levels[level];
        if level == 0 {
            return tables.iter().filter(|t| t.meta.overlaps(from, to)).cloned().collect();
        }
        let start = from.map_or(0, |from| tables.partition_point(|t| t.meta.largest.0.as_slice() < from));
        let end =
            to.map_or(tables.len(), |to| tables.partition_point(|t| t.meta.smallest.0.as_slice() <= to));
        tables.get(start..end).unwrap_or_default().to_vec()
    }

    /// The tables that may hold anything that a range concerns, top to bottom. Of sorted levels only those
    /// are looked at that overlap it.
    pub fn touched_by<'a>(&'a self, range: &'a Range) -> impl Iterator<Item = (usize, &'a Arc<TableFile>)> {
        let levels = self.levels.iter().enumerate().flat_map(move |(level, tables)| {
            let (mut start, mut end) = (0, tables.len());
            if level > 0 {
                start = tables.partition_point(|table| *table.meta.largest.0 < *range.from);
                let starts_inside = |table: &Arc<TableFile>| {
                    range.to.as_deref().is_none_or(|to| *table.meta.smallest.0 < *to)
                };
                end = tables.partition_point(starts_inside).max(start);
            }
            tables[start..end].iter().map(move |table| (level, table))
        });
        levels.filter(move |(_, table)| table.meta.is_touched_by(range))
    }

    /// Whether a table may hold anything that was written between two ranges which adjoin each other, and
    /// that the newer one would hide if it were as wide as both.
    #[must_use]
    pub fn holds_between(&self, older: &Range, newer: &Range) -> bool {
        if older.seq + 1 >= newer.seq {
            return false;
        }
        let between = |(_, table): (usize, &Arc<TableFile>)| {
            let meta = &table.meta;
            let inside = |(from, to): (&[u8], Option<&[u8]>)| {
                *meta.largest.0 >= *from && to.is_none_or(|to| *meta.smallest.0 < *to)
            };
            meta.max_seq > older.seq && meta.min_seq < newer.seq && newer.outside(older).any(inside)
        };
        self.tables().any(between)
    }

    /// The table of `level` (below level 0) that may hold `key`.
    #[inline]
    #[must_use]
    pub fn find(&self, level: usize, key: &[u8]) -> Option<&Arc<TableFile>> {
        let tables = &self.levels[level];
        if tables.is_empty() {
            return None;
        }
        let at = tables.partition_point(|t| t.meta.largest.0.as_slice() < key);
        tables.get(at).filter(|t| t.meta.smallest.0.as_slice() <= key)
    }

    /// The longest prefix that all keys of all tables have in common.
    #[must_use]
    pub fn common_prefix(&self) -> &[u8] {
        let tables = || self.tables().map(|(_, table)| &table.meta);
        let smallest = tables().map(|meta| meta.smallest.0.as_slice()).min().unwrap_or_default();
        let largest = tables().map(|meta| meta.largest.0.as_slice()).max().unwrap_or_default();
        &smallest[..common_prefix(smallest, largest)]
    }

    /// The deepest level that holds anything.
    #[must_use]
    pub fn deepest(&self) -> usize {
        self.levels.iter().rposition(|tables| !tables.is_empty()).unwrap_or(0)
    }

    /// The number of tables per level, such as `4,0,0,0,0,2,9`.
    #[must_use]
    pub fn shape(&self) -> String {
        self.levels.iter().map(|tables| tables.len().to_string()).collect::<Vec<_>>().join(",")
    }
}
