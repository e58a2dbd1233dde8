//! What a look-up tells of its way, and what is counted of it.
//!
//! The code of a read is generic over who is told. `()` is nobody, and costs nothing: all that is said to it
//! is compiled away.

use super::sync::{Arc, Mutex};
use std::fmt;
use std::ops::AddAssign;

/// Is told of the steps of a read.
pub trait Observe {
    /// Whether anybody is there to be told.
    const WANTED: bool = true;
    /// Whether the read wants values that stand apart from their keys. Without, such a value reads as empty,
    /// of the length that it has.
    const VALUES: bool = true;

    /// A memtable is looked into.
    #[inline]
    fn memtable(&mut self) {}
    /// A table of a level is looked into.
    #[inline]
    fn table(&mut self, _level: usize) {}
    /// The filter was asked; whether the key may be there.
    #[inline]
    fn filter(&mut self, _may: bool) {}
    /// The filter was asked for the prefix that all keys of a scan have; whether a key may have it.
    #[inline]
    fn prefix(&mut self, _may: bool) {}
    /// A key that may have it was not found.
    #[inline]
    fn prefix_in_vain(&mut self) {}
    /// A piece of an index or a filter was read, of so many bytes in the file and in memory.
    #[inline]
    fn piece(&mut self, _stored: u64, _bytes: usize) {}
    /// A block was taken from the cache.
    #[inline]
    fn cached(&mut self) {}
    /// A block was read, of so many bytes in the file and in memory.
    #[inline]
    fn read(&mut self, _stored: u64, _bytes: usize) {}
    /// A value that stands apart was read, of so many bytes in the file and in memory.
    #[inline]
    fn value(&mut self, _stored: u64, _bytes: usize) {}
    /// A value that stands apart was in the cache.
    #[inline]
    fn value_cached(&mut self) {}
    /// The block that was searched has not the key; whether a filter had said that it may.
    #[inline]
    fn missed(&mut self, _filtered: bool) {}
    /// The newest entry that the read sees was found; whether it shows as it is.
    #[inline]
    fn entry(&mut self, _shows: bool) {}
    /// So many operands were combined.
    #[inline]
    fn operands(&mut self, _count: usize) {}
    /// What the cursors count into of a walk that becomes part of the read.
    #[inline]
    fn watch(&self) -> Watch {
        None
    }
    /// That walk has ended.
    #[inline]
    fn watched(&mut self, _watch: &Watch) {}
}

impl Observe for () {
    const WANTED: bool = false;
}

/// Nobody is told, and the values of a blob file are not read: for who asks only whether, since when, until
/// when, or how long.
#[derive(Clone, Copy, Debug)]
pub struct WithoutValues;

impl Observe for WithoutValues {
    const WANTED: bool = false;
    const VALUES: bool = false;
}

/// What reads have cost: see [`crate::ColumnFamily::get_with_context`] and
/// [`crate::ScanOptions::with_context`]. Counts add up until they are set back
/// (`context = ReadContext::default()`).
///
/// ```
/// # fn main() -> esker::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = esker::Db::open(dir.path().join("data"))?;
/// db.put("k", "v")?;
/// db.flush()?;
/// let mut context = esker::ReadContext::default();
/// assert_eq!(db.get_with_context("k", &mut context)?.unwrap(), b"v");
/// assert_eq!((context.tables, context.blocks_read, context.blocks_cached), (1, 1, 0));
/// db.get_with_context("k", &mut context)?;
/// assert_eq!((context.tables, context.blocks_read, context.blocks_cached), (2, 1, 1));
/// println!("{context}");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadContext {
    /// Memtables that were looked into.
    pub memtables: u64,
    /// Tables that were looked into, be it only into their filter. A walk counts a table each time it comes
    /// to it.
    pub tables: u64,
    /// The deepest level of these.
    pub deepest_level: u64,
    /// How often a filter was asked for a key. Walks do not ask for keys.
    pub filter_checks: u64,
    /// How often it said that the key is not there, which spared a block.
    pub filter_negatives: u64,
    /// How often it said that the key may be there, and it was not: not as far as the read sees.
    pub filter_false_positives: u64,
    /// How often a walk asked a filter for the prefix that all its keys have: see
    /// [`FamilyOptions::prefix`](crate::FamilyOptions::prefix).
    pub prefix_checks: u64,
    /// How often it said that no key has it, which spared the table.
    pub prefix_negatives: u64,
    /// How often it said that a key may have it, and none was found where the walk first came to the table.
    pub prefix_false_positives: u64,
    /// Blocks of data that were in the cache.
    pub blocks_cached: u64,
    /// Blocks of data that were read from files.
    pub blocks_read: u64,
    /// Pieces of indexes and filters that were read from files. What stays in memory is not.
    pub pieces_read: u64,
    /// Values of [blob files](crate::FamilyOptions::blob_values_from) that were in the cache.
    pub values_cached: u64,
    /// Values that were read from [blob files](crate::FamilyOptions::blob_values_from).
    pub values_read: u64,
    /// The bytes of these as they are stored; part of `bytes_read`.
    pub value_bytes_read: u64,
    /// Bytes read from files: blocks, pieces and values as they are stored.
    pub bytes_read: u64,
    /// What these bytes became in memory, uncompressed.
    pub bytes_uncompressed: u64,
    /// Entries that were met and not shown: deletions, what had expired, what newer entries or deleted ranges
    /// hide, what is too new, operands that went into a value.
    pub entries_hidden: u64,
    /// Operands that were combined.
    pub operands: u64,
}

impl Observe for ReadContext {
    fn memtable(&mut self) {
        self.memtables += 1;
    }
    fn table(&mut self, level: usize) {
        self.tables += 1;
        self.deepest_level = self.deepest_level.max(level as u64);
    }
    fn filter(&mut self, may: bool) {
        self.filter_checks += 1;
        self.filter_negatives += u64::from(!may);
    }
    fn prefix(&mut self, may: bool) {
        self.prefix_checks += 1;
        self.prefix_negatives += u64::from(!may);
    }
    fn prefix_in_vain(&mut self) {
        self.prefix_false_positives += 1;
    }
    fn piece(&mut self, stored: u64, bytes: usize) {
        self.pieces_read += 1;
        self.bytes_read += stored;
        self.bytes_uncompressed += bytes as u64;
    }
    fn cached(&mut self) {
        self.blocks_cached += 1;
    }
    fn read(&mut self, stored: u64, bytes: usize) {
        self.blocks_read += 1;
        self.bytes_read += stored;
        self.bytes_uncompressed += bytes as u64;
    }
    fn value(&mut self, stored: u64, bytes: usize) {
        self.values_read += 1;
        self.value_bytes_read += stored;
        self.bytes_read += stored;
        self.bytes_uncompressed += bytes as u64;
    }
    fn value_cached(&mut self) {
        self.values_cached += 1;
    }
    fn missed(&mut self, filtered: bool) {
        self.filter_false_positives += u64::from(filtered);
    }
    fn entry(&mut self, shows: bool) {
        self.entries_hidden += u64::from(!shows);
    }
    fn operands(&mut self, count: usize) {
        self.operands += count as u64;
    }
    fn watch(&self) -> Watch {
        Some(Arc::default())
    }
    fn watched(&mut self, watch: &Watch) {
        if let Some(context) = watch {
            *self += *context.lock();
        }
    }
}

impl AddAssign for ReadContext {
    fn add_assign(&mut self, other: ReadContext) {
        self.memtables += other.memtables;
        self.tables += other.tables;
        self.deepest_level = self.deepest_level.max(other.deepest_level);
        self.filter_checks += other.filter_checks;
        self.filter_negatives += other.filter_negatives;
        self.filter_false_positives += other.filter_false_positives;
        self.prefix_checks += other.prefix_checks;
        self.prefix_negatives += other.prefix_negatives;
        self.prefix_false_positives += other.prefix_false_positives;
        self.blocks_cached += other.blocks_cached;
        self.blocks_read += other.blocks_read;
        self.pieces_read += other.pieces_read;
        self.values_cached += other.values_cached;
        self.values_read += other.values_read;
        self.value_bytes_read += other.value_bytes_read;
        self.bytes_read += other.bytes_read;
        self.bytes_uncompressed += other.bytes_uncompressed;
        self.entries_hidden += other.entries_hidden;
        self.operands += other.operands;
    }
}

impl fmt::Display for ReadContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} memtables and {} tables looked into", self.memtables, self.tables)?;
        if self.tables > 0 {
            write!(f, ", down to level {}", self.deepest_level)?;
        }
        if self.filter_checks > 0 {
            let (checks, negatives) = (self.filter_checks, self.filter_negatives);
            write!(f, "; filters said no {negatives} times of {checks}, and maybe in vain ")?;
            write!(f, "{} times", self.filter_false_positives)?;
        }
        if self.prefix_checks > 0 {
            let (checks, negatives) = (self.prefix_checks, self.prefix_negatives);
            write!(f, "; filters denied the prefix {negatives} times of {checks}, and let it pass in vain ")?;
            write!(f, "{} times", self.prefix_false_positives)?;
        }
        write!(f, "; {} blocks from the cache, {} from files", self.blocks_cached, self.blocks_read)?;
        if self.pieces_read > 0 {
            write!(f, ", {} pieces of indexes and filters", self.pieces_read)?;
        }
        if self.values_read > 0 {
            let (values, bytes) = (self.values_read, self.value_bytes_read);
            write!(f, ", {values} values from blob files ({bytes} bytes)")?;
        }
        if self.values_cached > 0 {
            write!(f, ", {} values of blob files from the cache", self.values_cached)?;
        }
        let (read, bytes) = (self.bytes_read, self.bytes_uncompressed);
        write!(f, " ({read} bytes read, {bytes} uncompressed); {} entries hidden", self.entries_hidden)?;
        if self.operands > 0 {
            write!(f, "; {} operands combined", self.operands)?;
        }
        Ok(())
    }
}

/// What the cursors of a walk count into, if anybody wants to know.
pub type Watch = Option<Arc<Mutex<ReadContext>>>;

impl Observe for Watch {
    #[inline]
    fn memtable(&mut self) {
        if let Some(context) = self {
            context.lock().memtable();
        }
    }
    #[inline]
    fn table(&mut self, level: usize) {
        if let Some(context) = self {
            context.lock().table(level);
        }
    }
    #[inline]
    fn prefix(&mut self, may: bool) {
        if let Some(context) = self {
            context.lock().prefix(may);
        }
    }
    #[inline]
    fn prefix_in_vain(&mut self) {
        if let Some(context) = self {
            context.lock().prefix_in_vain();
        }
    }
    #[inline]
    fn piece(&mut self, stored: u64, bytes: usize) {
        if let Some(context) = self {
            context.lock().piece(stored, bytes);
        }
    }
    #[inline]
    fn cached(&mut self) {
        if let Some(context) = self {
            context.lock().cached();
        }
    }
    #[inline]
    fn read(&mut self, stored: u64, bytes: usize) {
        if let Some(context) = self {
            context.lock().read(stored, bytes);
        }
    }
    #[inline]
    fn value(&mut self, stored: u64, bytes: usize) {
        if let Some(context) = self {
            context.lock().value(stored, bytes);
        }
    }
    #[inline]
    fn value_cached(&mut self) {
        if let Some(context) = self {
            context.lock().value_cached();
        }
    }
}
