//! What a store is made of and has done.

use super::handle::Db;
use crate::base::key::{NEVER, SeqNum};
use crate::base::limits::LEVELS;
use crate::commit::{CopyStats, FeedStats, PreparedStats, TransactionStats};
use crate::compaction::{oldest_range_ms, unerased};
use crate::filter::PrefixFilterStats;
use crate::hooks::HookCounts;
use crate::ranges::RangeKind;
use crate::tree::View;
use crate::version::{BlobUse, Version};
use std::ops::AddAssign;
use std::time::Duration;

/// A reading of a store, taken at one moment but not in one step. Bytes unless said otherwise;
/// counters since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The column families; the one in which [prepared transactions](crate::Transaction::prepare) stand among
    /// them, once there was one.
    pub families: Vec<FamilyStats>,
    /// The last sequence number that reads see.
    pub visible_seq: SeqNum,
    /// The last sequence number that survives a loss of power.
    pub durable_seq: SeqNum,
    /// Records in the log segments that are still needed.
    pub wal_bytes: u64,
    /// The manifest in force.
    pub manifest_bytes: u64,
    /// What the store holds in memory: the sum of [`Db::memory_report`].
    pub memory_bytes: u64,
    /// Blocks in the cache.
    pub cache_bytes: u64,
    /// Blocks, indexes, filters and dictionaries alive: in the cache, in open tables, or held by readers.
    pub alive_block_bytes: u64,
    /// Indexes, filters and dictionaries that open tables keep in memory.
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
    /// Compactions that run.
    pub running_compactions: usize,
    /// Tables that changed their level, or went, without being rewritten.
    pub table_moves: u64,
    /// Bytes that compactions read.
    pub compacted_bytes_in: u64,
    /// Bytes that compactions wrote.
    pub compacted_bytes_out: u64,
    /// Bytes of blob files that flushes and compactions wrote; part of `flushed_bytes` and
    /// `compacted_bytes_out`.
    pub separated_bytes: u64,
    /// Separated values that were read; of the compactions' own reading, too.
    pub blob_reads: u64,
    /// Their stored bytes.
    pub blob_read_bytes: u64,
    /// Tables that were ingested.
    pub ingested_files: u64,
    /// Their bytes.
    pub ingested_bytes: u64,
    /// Tables that went because they were the oldest of a family that keeps only the newest
    /// ([`CompactionStyle::Fifo`](crate::CompactionStyle::Fifo)).
    pub outlived_tables: u64,
    /// Their bytes.
    pub outlived_bytes: u64,
    /// Checkpoints, backups and calls that took tables in.
    pub copies: CopyStats,
    /// Bytes that were written to the log.
    pub logged_bytes: u64,
    /// How long writers were slowed, in all.
    pub slowed: Duration,
    /// How often a writer was stopped.
    pub stops: u64,
    /// What became of transactions and conditional writes.
    pub transactions: TransactionStats,
    /// How many transactions are open.
    pub open_transactions: usize,
    /// Of these the oldest, at most a hundred, the oldest first.
    pub oldest_transactions: Vec<OpenTransactionStats>,
    /// Transactions that are prepared; [`Db::prepared`] lists them.
    pub prepared: PreparedStats,
    /// How changes are kept for those who read them with [`Db::changes`].
    pub feed: FeedStats,
    /// Keys that transactions, prepared ones too, and writes that waited for them, have locked.
    pub locked_keys: usize,
    /// The table of recent writes, against which transactions are validated.
    pub recent_writes_bytes: u64,
    /// What merge operators and compaction filters have done in the background, and how often a hook
    /// has panicked. Families that were dropped do not count.
    pub hooks: HookCounts,
}

/// A reading of an open transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenTransactionStats {
    /// Its number, which errors about locks name.
    pub id: u64,
    /// How long it has been open. Compactions keep what it sees.
    pub age: Duration,
    /// The sequence number that it reads at.
    pub seq: SeqNum,
    /// Keys that it has locked.
    pub locks: usize,
    /// Whether it locks what it writes.
    pub pessimistic: bool,
}

/// So many open transactions are shown.
const SHOWN_TRANSACTIONS: usize = 100;

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
    /// When the oldest deletion or deleted range was written of which memtables, tables or blob files may
    /// still hold something, or the oldest entry in them expired that has, in milliseconds since the epoch;
    /// `None` if there is nothing of the kind. Log segments and the manifest do not count: they may hold the
    /// bytes for a while longer. [`crate::FamilyOptions::erase_within`] bounds the age of all of it.
    pub hidden_since_ms: Option<u64>,
    /// Tables and blob files that hide something for so long that they are about to be compacted or collected
    /// for it.
    pub erase_due_bytes: u64,
    /// Of these, tables of which nothing can go before a snapshot is released ([`Db::pins`] lists them).
    pub erase_held_bytes: u64,
    /// The dictionaries of its tables.
    pub dictionaries: DictionaryStats,
    /// Its blob files.
    pub blobs: BlobStats,
    /// Its deleted and dropped ranges.
    pub ranges: RangeStats,
    /// What filters have said to scans of one prefix; all 0 without
    /// [`FamilyOptions::prefix`](crate::FamilyOptions::prefix).
    pub prefix_filters: PrefixFilterStats,
}

/// A reading of the deleted and dropped ranges of a column family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeStats {
    /// Ranges beside memtables, which are yet to be flushed.
    pub unflushed: usize,
    /// Deleted ranges of which a table may still hold something.
    pub deleted: usize,
    /// Dropped ranges of which a table may still hold something.
    pub dropped: usize,
    /// The memory of those that were flushed; the others count with their memtables.
    pub bytes: u64,
    /// How long ago the oldest of all was written, by the store's expiry clock.
    pub oldest: Option<Duration>,
}

impl RangeStats {
    fn of(view: &View, now_ms: u64) -> RangeStats {
        let beside: Vec<_> = view.memtables().map(|memtable| memtable.ranges()).collect();
        let sets = || beside.iter().map(|set| &***set).chain([&*view.ranges]);
        let of_kind = |kind| view.ranges.ranges().iter().filter(move |range| range.kind == kind).count();
        let oldest_ms = sets().filter_map(oldest_range_ms).min();
        RangeStats {
            unflushed: beside.iter().map(|set| set.len()).sum(),
            deleted: of_kind(RangeKind::Deleted),
            dropped: of_kind(RangeKind::Dropped),
            bytes: view.ranges.bytes() as u64,
            oldest: oldest_ms.map(|ms| Duration::from_millis(now_ms.saturating_sub(ms))),
        }
    }
}

/// A reading of the dictionaries that the tables of a column family have
/// ([`FamilyOptions::dictionary_bytes`](crate::FamilyOptions::dictionary_bytes)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DictionaryStats {
    /// Tables with a dictionary.
    pub tables: u64,
    /// Bytes of the dictionaries in the files.
    pub bytes: u64,
}

impl DictionaryStats {
    fn of(version: &Version) -> DictionaryStats {
        let mut found = DictionaryStats::default();
        for handle in version.tables().filter_map(|(_, table)| table.reader.properties().dictionary) {
            found.tables += 1;
            found.bytes += handle.stored_bytes();
        }
        found
    }
}

/// A reading of the blob files of a column family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobStats {
    /// Blob files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Of that, values that no table refers to any more; the space comes back when their files are collected.
    pub dead_bytes: u64,
}

impl BlobStats {
    pub(crate) fn of(version: &Version) -> BlobStats {
        let files = version.blobs().files();
        BlobStats {
            files: files.len() as u64,
            bytes: files.iter().map(|of| of.file.meta.size).sum(),
            dead_bytes: files.iter().map(BlobUse::dead_bytes).sum(),
        }
    }
}

impl AddAssign for BlobStats {
    fn add_assign(&mut self, other: BlobStats) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.dead_bytes += other.dead_bytes;
    }
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
        let (wal_bytes, logged_bytes) = store.with_writer(|writer| (writer.wal.bytes(), writer.wal.lsn()));
        let mut stats = Stats {
            visible_seq: store.read_seq(),
            durable_seq: store.durable.seq(),
            wal_bytes,
            logged_bytes,
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
            let now_ms = store.clock.now_ms();
            let (jobs, horizons) = (inner.scheduler.jobs(), inner.scheduler.jobs().shown_horizons(&family));
            let moment = jobs.moment(&family, &horizons, &view.ranges);
            let unerased = unerased(&view.version, moment, now_ms);
            let of_memtables = view.memtables().flat_map(|memtable| {
                let expired = Some(memtable.earliest_expiry()).filter(|at| *at <= now_ms);
                let ranges = oldest_range_ms(&memtable.ranges());
                memtable.oldest_deletion_ms().into_iter().chain(ranges).chain(expired)
            });
            let since_ms = of_memtables.fold(unerased.since_ms, u64::min);
            stats.families.push(FamilyStats {
                hidden_since_ms: (since_ms != NEVER).then_some(since_ms),
                erase_due_bytes: unerased.due_bytes,
                erase_held_bytes: unerased.held_bytes,
                name: family.name().to_owned(),
                memtable_bytes: view.memtables().map(|m| m.allocated_bytes() as u64).sum(),
                sealed_memtables: view.sealed.len(),
                levels,
                dictionaries: DictionaryStats::of(&view.version),
                blobs: BlobStats::of(&view.version),
                ranges: RangeStats::of(&view, store.clock.now_ms()),
                prefix_filters: family.prefix_counts().read(),
            });
            stats.hooks += family.hooks().counts();
        }
        let cache = store.tables.cache().stats();
        stats.cache_bytes = cache.cached_bytes;
        stats.alive_block_bytes = cache.alive_bytes;
        stats.cache_hits = cache.hits;
        stats.cache_misses = cache.misses;
        stats.memory_bytes = self.memory_report().total_bytes();
        stats.running_compactions = inner.scheduler.jobs().running_compactions();
        let jobs = inner.scheduler.jobs().counts();
        stats.flushes = jobs.flushes;
        stats.flushed_bytes = jobs.flushed_bytes;
        stats.compactions = jobs.compactions;
        stats.table_moves = jobs.moves;
        stats.compacted_bytes_in = jobs.compacted_bytes_in;
        stats.compacted_bytes_out = jobs.compacted_bytes_out;
        stats.separated_bytes = jobs.separated_bytes;
        let read = store.blobs.counts();
        (stats.blob_reads, stats.blob_read_bytes) = (read.reads(), read.read_bytes());
        stats.ingested_files = jobs.ingested_files;
        stats.ingested_bytes = jobs.ingested_bytes;
        (stats.outlived_tables, stats.outlived_bytes) = (jobs.outlived_tables, jobs.outlived_bytes);
        (stats.slowed, stats.stops) = store.gate.waits();
        stats.copies = store.copy_counts.read();
        stats.transactions = store.transaction_counts.read();
        stats.open_transactions = store.transactions.len();
        stats.oldest_transactions = self.oldest_transactions();
        stats.prepared = store.prepared_stats();
        stats.feed = store.feed_stats();
        stats.locked_keys = store.locks.held();
        stats.recent_writes_bytes = store.recent_writes_bytes();
        stats
    }

    fn oldest_transactions(&self) -> Vec<OpenTransactionStats> {
        let store = &self.inner().store;
        let now = store.clock.source().monotonic();
        let open = store.transactions.oldest(SHOWN_TRANSACTIONS).into_iter();
        open.map(|(id, open)| OpenTransactionStats {
            id,
            age: now.saturating_sub(open.began),
            seq: open.seq,
            locks: open.locks,
            pessimistic: open.pessimistic,
        })
        .collect()
    }
}
