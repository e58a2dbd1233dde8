//! What the arena asks of an engine.

use crate::process::Fallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a store is opened for. Each use but the first has a store of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Writes survive a kill of the process; puts, gets, scans.
    Plain,
    /// As [`Use::Plain`], but every write is synced before it returns.
    Synced,
    /// As [`Use::Plain`], with [`Engine::transfer`] and [`Engine::compare_and_set`].
    Transactions,
    /// As [`Use::Plain`], with [`Engine::merge`].
    Counters,
    /// As [`Use::Plain`], and every entry expires after this time.
    Expiring(Duration),
    /// As [`Use::Plain`], with [`Engine::changes`].
    Changes,
}

/// What all engines are given alike, as far as they can be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the store is, or will be.
    pub dir: PathBuf,
    /// All memory that the engine may use, in bytes; engines with one cache for everything take it
    /// whole.
    pub memory_bytes: u64,
    /// The size at which a memtable is flushed, in bytes; there are two at most.
    pub memtable_bytes: u64,
    /// The cache of blocks, in bytes.
    pub cache_bytes: u64,
    /// The zstd level of compressed tables.
    pub zstd_level: i32,
    /// Bits of filter for each key.
    pub filter_bits: u32,
    /// What at most all keys and values take, in bytes, for engines that want to know beforehand.
    pub most_bytes: u64,
    /// Scans are of the first so many bytes of a key, if that is known.
    pub prefix_bytes: Option<usize>,
    /// Values from so many bytes on stand in files of their own, in kinds that do that.
    pub large_values_from: Option<usize>,
    /// What for.
    pub purpose: Use,
}

impl Settings {
    /// Settings for `memory_bytes` of memory, divided as Esker does by itself.
    #[must_use]
    pub fn new(dir: PathBuf, memory_bytes: u64, most_bytes: u64, purpose: Use) -> Settings {
        Settings {
            dir,
            memory_bytes,
            memtable_bytes: memory_bytes / 16,
            cache_bytes: memory_bytes / 2,
            zstd_level: 1,
            filter_bits: 10,
            most_bytes,
            prefix_bytes: None,
            large_values_from: None,
            purpose,
        }
    }
}

/// An engine cannot do this. Its row stays empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not offered by this engine")
    }
}

impl std::error::Error for Unsupported {}

/// The direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Reverse,
}

/// An entry to be put.
pub type Entry<'a> = (&'a [u8], &'a [u8]);

/// Sees an entry of a scan, and says whether to go on.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

/// An open store of some engine. What a write must survive was said when it was opened.
pub trait Engine: Send + Sync {
    /// Sets a key.
    ///
    /// # Errors
    /// What the engine gives; so do all the others.
    fn put(&self, key: &[u8], value: &[u8]) -> Fallible<()>;

    /// Sets all keys or none.
    fn put_batch(&self, entries: &[Entry<'_>]) -> Fallible<()>;

    /// Removes a key.
    fn delete(&self, key: &[u8]) -> Fallible<()>;

    /// Removes all keys or none.
    fn delete_batch(&self, keys: &[&[u8]]) -> Fallible<()>;

    /// Hands the value of a key to `read`, if there is one. Returns whether there is.
    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Fallible<bool>;

    /// Hands the values of those keys to `read` that have one, with their places in `keys`.
    fn multi_get(&self, keys: &[&[u8]], read: &mut dyn FnMut(usize, &[u8])) -> Fallible<()> {
        for (at, key) in keys.iter().enumerate() {
            self.get(key, &mut |value| read(at, value))?;
        }
        Ok(())
    }

    /// Visits entries from `from` on (from the first or last key, if there is none) until `visit` has
    /// enough or there are no more.
    fn scan(&self, from: Option<&[u8]>, direction: Direction, visit: Visit<'_>) -> Fallible<()>;

    /// Visits all entries whose keys start with `prefix`.
    fn scan_prefix(&self, prefix: &[u8], visit: Visit<'_>) -> Fallible<()> {
        self.scan(Some(prefix), Direction::Forward, &mut |key, value| {
            key.starts_with(prefix) && visit(key, value)
        })
    }

    /// Writes out what stands in memory and waits until background work is done, at most for `limit`.
    fn settle(&self, limit: Duration) -> Fallible<()>;

    /// How many writes it takes in one transaction to be of use; those of a smaller number are never
    /// measured. 1 for most.
    fn writes_at_once(&self) -> usize {
        1
    }

    /// How long the engine made writers wait since it was opened, if it counts that.
    fn waited(&self) -> Option<Duration> {
        None
    }

    /// Reads two keys, hands them to `change`, and sets both to what it returns, all in one
    /// transaction, which is tried again if somebody else was faster.
    fn transfer(&self, _keys: [&[u8]; 2], _change: Change<'_>) -> Fallible<()> {
        Err(Unsupported.into())
    }

    /// Sets a key if it has the value `expected`. Returns whether it was set.
    fn compare_and_set(&self, _key: &[u8], _expected: &[u8], _new: &[u8]) -> Fallible<bool> {
        Err(Unsupported.into())
    }

    /// Adds to a counter of eight bytes, little-endian, without reading it.
    fn merge(&self, _key: &[u8], _step: i64) -> Fallible<()> {
        Err(Unsupported.into())
    }

    /// Whether this engine lets entries expire, and if so, whether reads never see an expired one.
    fn expiry(&self) -> Option<ExactExpiry> {
        None
    }

    /// Removes all keys from `from` to before `to` in one operation.
    fn delete_range(&self, _from: &[u8], _to: &[u8]) -> Fallible<()> {
        Err(Unsupported.into())
    }

    /// A new file outside of the store, for [`Engine::ingest`] to take in.
    fn sorted_file(&self, _path: &Path) -> Fallible<Box<dyn SortedFile + '_>> {
        Err(Unsupported.into())
    }

    /// Takes in files that [`Engine::sorted_file`] has made, and removes them from where they are.
    fn ingest(&self, _files: &[PathBuf]) -> Fallible<()> {
        Err(Unsupported.into())
    }

    /// Visits all puts since the store was made, in their order, until `visit` has enough or there are no
    /// more.
    fn changes(&self, _visit: Visit<'_>) -> Fallible<()> {
        Err(Unsupported.into())
    }

    /// Closes the store.
    fn close(self: Box<Self>) -> Fallible<()>;
}

/// A file that is being written outside of a store.
pub trait SortedFile {
    /// Adds an entry behind the last one.
    ///
    /// # Errors
    /// What the engine gives.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Fallible<()>;

    /// About how many bytes it has.
    fn bytes(&self) -> u64;

    /// Writes what is left.
    ///
    /// # Errors
    /// What the engine gives.
    fn finish(self: Box<Self>) -> Fallible<()>;
}

/// Whether reads never see an expired entry; otherwise it may be there until it is compacted away.
pub type ExactExpiry = bool;

/// New values for two keys.
pub type Change<'a> = &'a mut dyn FnMut([&[u8]; 2]) -> [Vec<u8>; 2];

impl fmt::Debug for dyn Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dyn Engine")
    }
}
