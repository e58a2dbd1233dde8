//! A store at one moment, which nobody can write to by it.

use super::family::ReadOnlyFamily;
use super::position::Position;
use super::source::{OpenTables, Source};
use super::state::State;
use crate::base::error::Result;
use crate::base::key::SeqNum;
use crate::base::limits::LEVELS;
use crate::base::sync::Arc;
use crate::db::{BlobStats, Builder, DEFAULT_FAMILY, Db};
use crate::version::History;
use std::ops::Deref;
use std::path::Path;

/// A store as it was when it was opened: owned, cheap to clone, usable from any thread. It is at the same
/// time its default column family.
///
/// It is opened beside whoever writes to the store, in this process or another, or where nobody does. It
/// takes no lock, and changes nothing in the directory, which may be one that cannot be written to. It shows
/// every write that would survive a kill of the writer at that moment, and goes on showing them: all families
/// at one sequence number, whatever the writer does meanwhile. What has no log
/// ([`Durability::None`](crate::Durability::None)) is seen once it was flushed. Entries that end while it is
/// held are absent from then on; in a [`snapshot`](ReadOnlyDb::snapshot) time stands still as well.
///
/// What the log holds and was not flushed is kept in memory, at most half of the memory budget. Of each table
/// it holds a descriptor.
#[derive(Clone, Debug)]
pub struct ReadOnlyDb {
    default: ReadOnlyFamily,
}

impl Deref for ReadOnlyDb {
    type Target = ReadOnlyFamily;

    fn deref(&self) -> &ReadOnlyFamily {
        &self.default
    }
}

impl Db {
    /// Opens the store in the directory `path` to read it, with default options; whoever writes to it goes
    /// on.
    ///
    /// # Errors
    /// See [`Builder::open_read_only`].
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::open(&path)?;
    /// db.put("k", "v")?;
    /// let read_only = esker::Db::open_read_only(&path)?;
    /// db.put("k", "another")?;
    /// assert_eq!(read_only.get("k")?.unwrap(), b"v");
    /// assert_eq!(read_only.range("a"..).count(), 1);
    /// # Ok(()) }
    /// ```
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<ReadOnlyDb> {
        Db::builder(path).open_read_only()
    }
}

impl Builder {
    /// Opens the store to read it, without its lock and without changing anything; see [`ReadOnlyDb`]. Of the
    /// options memory budget, open files, merge operators and layer count; families have those that they are
    /// stored with.
    ///
    /// # Errors
    /// [`Error::NotADatabase`](crate::Error::NotADatabase) where there is no store;
    /// [`Error::Corruption`](crate::Error::Corruption) as for [`Builder::open`], also where
    /// [`recover_to_damage`](crate::Options::recover_to_damage) is set;
    /// [`Error::LogTooLarge`](crate::Error::LogTooLarge) if the log holds more than fits into half of the
    /// memory budget; [`Error::FileGone`](crate::Error::FileGone) if whoever writes to the store has each
    /// time removed files before they could be opened; I/O errors.
    pub fn open_read_only(self) -> Result<ReadOnlyDb> {
        let source = Arc::new(Source::new(self)?);
        let (_, state) = Position::load(&source, OpenTables::new())?;
        ReadOnlyDb::new(Arc::new(state), None)
    }
}

impl ReadOnlyDb {
    pub(super) fn new(all: Arc<State>, frozen_ms: Option<u64>) -> Result<ReadOnlyDb> {
        let place = all.place_of(DEFAULT_FAMILY)?;
        Ok(ReadOnlyDb { default: ReadOnlyFamily::new(all, place, frozen_ms) })
    }

    /// Of a state that has the default family, as every one that was loaded has.
    pub(super) fn of(all: Arc<State>) -> ReadOnlyDb {
        let place = all.place_of(DEFAULT_FAMILY).unwrap_or(0);
        ReadOnlyDb { default: ReadOnlyFamily::new(all, place, None) }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.all().source.dir()
    }

    /// The same with the time at which entries end standing still, too.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// # let db = esker::Db::open(&path)?;
    /// db.put_with_ttl("k", "v", Duration::from_secs(3600))?;
    /// let snapshot = esker::Db::open_read_only(&path)?.snapshot();
    /// // ... an hour later ...
    /// assert!(snapshot.contains_key("k")?);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> ReadOnlyDb {
        let now_ms = self.default.now_ms();
        let (all, place) = (self.all().clone(), self.default.place());
        ReadOnlyDb { default: ReadOnlyFamily::new(all, place, Some(now_ms)) }
    }

    /// The default column family.
    #[must_use]
    pub fn default_family(&self) -> ReadOnlyFamily {
        self.default.clone()
    }

    /// A column family.
    ///
    /// # Errors
    /// [`Error::NoSuchFamily`](crate::Error::NoSuchFamily).
    pub fn column_family(&self, name: &str) -> Result<ReadOnlyFamily> {
        let place = self.all().place_of(name)?;
        Ok(ReadOnlyFamily::new(self.all().clone(), place, self.default.frozen_ms()))
    }

    /// The names of all column families, in the order of their creation.
    #[must_use]
    pub fn column_families(&self) -> Vec<String> {
        let all = self.all();
        let own = all.families.iter().filter(|family| Some(family.id) != all.prepared);
        own.map(|family| family.name.to_string()).collect()
    }

    /// The random number of the history that it shows. After an end of its writer that was not in good order
    /// the store begins another one.
    #[must_use]
    pub fn history(&self) -> u64 {
        let History { id, .. } = self.all().history;
        id
    }

    /// What it is made of.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// # let db = esker::Db::open(&path)?;
    /// db.put("k", "v")?;
    /// let stats = esker::Db::open_read_only(&path)?.stats();
    /// assert_eq!((stats.groups, stats.families[0].memtable_entries), (1, 1));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stats(&self) -> ReadOnlyStats {
        let all = self.all();
        let cache = all.source.tables.cache().stats();
        let of = |family: &super::state::FamilyState| {
            let version = &family.view.version;
            ReadOnlyFamilyStats {
                name: family.name.to_string(),
                memtable_bytes: family.view.active.allocated_bytes() as u64,
                memtable_entries: family.view.active.entries(),
                tables: std::array::from_fn(|level| version.level(level).len()),
                table_bytes: std::array::from_fn(|level| version.level_bytes(level)),
                entries: version.tables().map(|(_, table)| table.meta.entries).sum(),
                ranges: family.view.ranges.len(),
                blobs: BlobStats::of(version),
            }
        };
        let read = all.source.blobs.counts();
        ReadOnlyStats {
            seq: all.seq,
            groups: all.groups,
            cache_bytes: cache.cached_bytes,
            alive_block_bytes: cache.alive_bytes,
            blob_reads: read.reads(),
            blob_read_bytes: read.read_bytes(),
            families: all.families.iter().map(of).collect(),
        }
    }
}

/// A reading of a [`ReadOnlyDb`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOnlyStats {
    /// The last sequence number that it shows.
    pub seq: SeqNum,
    /// Groups of the log that were read.
    pub groups: u64,
    /// Blocks in the cache, in bytes.
    pub cache_bytes: u64,
    /// Blocks, indexes and filters alive, in bytes.
    pub alive_block_bytes: u64,
    /// Separated values that were read; by all who read over the same opening, earlier states of a follower
    /// among them.
    pub blob_reads: u64,
    /// Their stored bytes.
    pub blob_read_bytes: u64,
    /// The column families; the one in which prepared transactions stand among them.
    pub families: Vec<ReadOnlyFamilyStats>,
}

/// A reading of a column family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOnlyFamilyStats {
    /// Its name.
    pub name: String,
    /// Memory of what the log held of it, in bytes.
    pub memtable_bytes: u64,
    /// Entries that the log held of it, and that came since, if it is followed.
    pub memtable_entries: u64,
    /// The tables of each level.
    pub tables: [usize; LEVELS],
    /// Their bytes.
    pub table_bytes: [u64; LEVELS],
    /// Entries in them, hidden ones included.
    pub entries: u64,
    /// Deleted and dropped ranges on record.
    pub ranges: usize,
    /// Its blob files.
    pub blobs: BlobStats,
}
