//! What a store is made of and has done.

use super::handle::Db;
use crate::base::key::SeqNum;
use crate::base::limits::LEVELS;
use crate::hooks::HookCounts;
use std::time::Duration;

/// A reading of a store, taken at one moment but not in one step. Bytes unless said otherwise;
/// counters since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The column families.
    pub families: Vec<FamilyStats>,
    /// The last sequence number that reads see.
    pub visible_seq: SeqNum,
    /// The last sequence number that survives a loss of power.
    pub durable_seq: SeqNum,
    /// Records in the log segments that are still needed.
    pub wal_bytes: u64,
    /// The manifest in force.
    pub manifest_bytes: u64,
    /// Memtables, and blocks, indexes and filters in the cache, open tables or the hands of readers.
    pub memory_bytes: u64,
    /// Blocks in the cache.
    pub cache_bytes: u64,
    /// Blocks, indexes and filters alive: in the cache, in open tables, or held by readers.
    pub alive_block_bytes: u64,
    /// Indexes and filters that open tables keep in memory.
    pub pinned_table_bytes: u64,
    /// Look-ups in the block cache that found their block.
    pub cache_hits: u64,
    /// Look-ups in the block cache that did not.
    pub cache_misses: u64,
    /// Table files that are open.
    pub open_files: usize,
    /// Snapshots that are held.
    pub snapshots: usize,
    /// Flushes.
    pub flushes: u64,
    /// Bytes that flushes wrote.
    pub flushed_bytes: u64,
    /// Compactions that rewrote tables.
    pub compactions: u64,
    /// Tables that changed their level, or went, without being rewritten.
    pub table_moves: u64,
    /// Bytes that compactions read.
    pub compacted_bytes_in: u64,
    /// Bytes that compactions wrote.
    pub compacted_bytes_out: u64,
    /// How long writers were slowed, in all.
    pub slowed: Duration,
    /// How often a writer was stopped.
    pub stops: u64,
    /// What merge operators and compaction filters have done in the background, and how often a hook
    /// has panicked. Families that were dropped do not count.
    pub hooks: HookCounts,
}

/// A reading of a column family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FamilyStats {
    /// Its name.
    pub name: String,
    /// Memory of its memtables, sealed ones included.
    pub memtable_bytes: u64,
    /// Memtables that wait to be flushed.
    pub sealed_memtables: usize,
    /// Its levels, from 0 to 6.
    pub levels: Vec<LevelStats>,
}

/// A reading of a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelStats {
    /// Tables.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Entries, all versions counted.
    pub entries: u64,
    /// Entries that are deletions.
    pub deletions: u64,
}

impl FamilyStats {
    /// Bytes of all tables.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.levels.iter().map(|level| level.bytes).sum()
    }
}

impl Db {
    /// What the store is made of and has done since it was opened.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"v")?;
    /// let stats = db.stats();
    /// assert_eq!(stats.visible_seq, 1);
    /// assert!(stats.wal_bytes > 0 && stats.families[0].memtable_bytes > 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = self.inner();
        let store = &inner.store;
        let mut stats = Stats {
            visible_seq: store.read_seq(),
            durable_seq: store.durable.seq(),
            wal_bytes: store.with_writer(|writer| writer.wal.bytes()),
            manifest_bytes: store.with_manifest(|manifest| manifest.bytes()),
            open_files: store.tables.open_files(),
            snapshots: store.snapshots.held().0,
            ..Stats::default()
        };
        for family in store.families() {
            let view = family.view();
            let mut levels = vec![LevelStats::default(); LEVELS];
            for (level, table) in view.version.tables() {
                let stats_of = &mut levels[level];
                stats_of.files += 1;
                stats_of.bytes += table.meta.size;
                stats_of.entries += table.meta.entries;
                stats_of.deletions += table.meta.deletions;
                stats.pinned_table_bytes += table.reader.pinned_bytes() as u64;
            }
            stats.families.push(FamilyStats {
                name: family.name().to_owned(),
                memtable_bytes: view.memtables().map(|m| m.allocated_bytes() as u64).sum(),
                sealed_memtables: view.sealed.len(),
                levels,
            });
            stats.hooks += family.hooks().counts();
        }
        let cache = store.tables.cache().stats();
        stats.cache_bytes = cache.cached_bytes;
        stats.alive_block_bytes = cache.alive_bytes;
        stats.cache_hits = cache.hits;
        stats.cache_misses = cache.misses;
        let memtables: u64 = stats.families.iter().map(|f| f.memtable_bytes).sum();
        stats.memory_bytes = memtables + stats.pinned_table_bytes + cache.alive_bytes.max(cache.cached_bytes);
        let jobs = inner.scheduler.jobs().counts();
        stats.flushes = jobs.flushes;
        stats.flushed_bytes = jobs.flushed_bytes;
        stats.compactions = jobs.compactions;
        stats.table_moves = jobs.moves;
        stats.compacted_bytes_in = jobs.compacted_bytes_in;
        stats.compacted_bytes_out = jobs.compacted_bytes_out;
        (stats.slowed, stats.stops) = store.gate.waits();
        stats
    }
}
