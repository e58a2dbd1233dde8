//! What memory a store holds, and what for.

use super::handle::Db;
use crate::base::sync::Arc;
use crate::memtable::Memtable;
use crate::tree::{Family, View};
use std::fmt;

/// What memory a store holds, by what it is for. A reading, taken at one moment but not in one step.
///
/// What the callers own is theirs: batches that are being filled, the writes of open transactions (each
/// bounded by [`crate::TransactionOptions::max_bytes`]), values that were copied out. The log's mapped
/// segment is the system's memory and not counted either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryReport {
    /// [`crate::Options::memory_budget`].
    pub budget_bytes: u64,
    /// The column families, and behind them those that were dropped and that readers still hold.
    pub families: Vec<FamilyMemory>,
    /// What active memtables may take before the largest is sealed.
    pub active_budget_bytes: u64,
    /// What sealed memtables may take before writers are stopped.
    pub sealed_budget_bytes: u64,
    /// Memory that memtables have left to those that follow them. It goes back to the system once none has
    /// grown for [`Options::sync_interval`](crate::Options::sync_interval), and for a second.
    pub spare_bytes: u64,
    /// How much of that is kept.
    pub spare_budget_bytes: u64,
    /// What the ranges of all families may take before they are compacted away.
    pub range_budget_bytes: u64,
    /// Blocks, and parts of indexes and filters, in the cache, with what it takes to find them.
    pub cache_bytes: u64,
    /// What the cache may hold now: its share less what readers and open tables take.
    pub cache_budget_bytes: u64,
    /// The share of the budget that the cache, open tables and readers have together.
    pub block_budget_bytes: u64,
    /// Blocks, and indexes and filters of tables that were replaced, which only iterators, snapshots and
    /// [`crate::Slice`]s hold.
    pub reader_bytes: u64,
    /// Values of blob files that iterators stand on, or that [`crate::Slice`]s hold. The cache has none of
    /// them.
    pub value_bytes: u64,
    /// The table of recent writes, against which transactions are validated.
    pub recent_writes_bytes: u64,
    /// What that table may take: [`field@crate::Options::recent_writes_bytes`].
    pub recent_writes_budget_bytes: u64,
    /// Keys that transactions have locked, and what is prepared, roughly.
    pub lock_bytes: u64,
    /// The buffer in which groups are put together for the log.
    pub log_buffer_bytes: u64,
    /// Events that wait for listeners, roughly.
    pub event_bytes: u64,
    /// What they may take.
    pub event_budget_bytes: u64,
    /// Table files that are open.
    pub open_files: usize,
    /// How many may be: [`crate::Options::max_open_files`].
    pub open_files_budget: usize,
    /// Iterators, cursors and snapshots, each of which may hold something.
    pub readers: usize,
}

/// What memory a column family holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FamilyMemory {
    /// Its name.
    pub name: String,
    /// Whether it was dropped.
    pub dropped: bool,
    /// The memtable that takes writes, with the ranges beside it.
    pub active_bytes: u64,
    /// Memtables that wait to be flushed.
    pub sealed_bytes: u64,
    /// Memtables that were flushed and that iterators or snapshots still hold.
    pub held_bytes: u64,
    /// Deleted and dropped ranges that were flushed.
    pub range_bytes: u64,
    /// Indexes and filters that open tables keep in memory.
    pub table_bytes: u64,
    /// What is known of its blob files: their readers, and which table refers to how much of each.
    pub blob_bytes: u64,
}

/// A part of [`MemoryReport::total_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPart {
    /// A short name, made of letters and `_`.
    pub name: &'static str,
    /// What it takes, in bytes.
    pub bytes: u64,
    /// What it may take, if there is a bound of its own.
    pub budget_bytes: Option<u64>,
}

impl FamilyMemory {
    pub(super) fn of(family: &Family, view: &View) -> FamilyMemory {
        let bytes = |memtable: &Arc<Memtable>| memtable.allocated_bytes() as u64;
        FamilyMemory {
            name: family.name().to_owned(),
            dropped: family.is_dropped(),
            active_bytes: bytes(&view.active),
            sealed_bytes: view.sealed.iter().map(|sealed| bytes(&sealed.memtable)).sum(),
            held_bytes: 0,
            range_bytes: view.ranges.bytes() as u64,
            table_bytes: view.version.tables().map(|(_, table)| table.reader.pinned_bytes() as u64).sum(),
            blob_bytes: view.version.blobs().memory_bytes(),
        }
    }

    /// The sum.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let memtables = self.active_bytes + self.sealed_bytes + self.held_bytes;
        memtables + self.range_bytes + self.table_bytes + self.blob_bytes
    }
}

impl MemoryReport {
    /// All that is counted, part by part.
    #[must_use]
    pub fn parts(&self) -> Vec<MemoryPart> {
        let of_families = |of: fn(&FamilyMemory) -> u64| self.families.iter().map(of).sum();
        let part = |name, bytes, budget_bytes| MemoryPart { name, bytes, budget_bytes };
        vec![
            part("active_memtables", of_families(|f| f.active_bytes), Some(self.active_budget_bytes)),
            part("sealed_memtables", of_families(|f| f.sealed_bytes), Some(self.sealed_budget_bytes)),
            part("held_memtables", of_families(|f| f.held_bytes), None),
            part("spare_memtables", self.spare_bytes, Some(self.spare_budget_bytes)),
            part("ranges", of_families(|f| f.range_bytes), Some(self.range_budget_bytes)),
            part("block_cache", self.cache_bytes, Some(self.cache_budget_bytes)),
            part("table_indexes", of_families(|f| f.table_bytes), None),
            part("blob_files", of_families(|f| f.blob_bytes), None),
            part("held_blocks", self.reader_bytes, None),
            part("held_values", self.value_bytes, None),
            part("recent_writes", self.recent_writes_bytes, Some(self.recent_writes_budget_bytes)),
            part("locks", self.lock_bytes, None),
            part("log_buffer", self.log_buffer_bytes, None),
            part("events", self.event_bytes, Some(self.event_budget_bytes)),
        ]
    }

    /// The sum of the parts.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.parts().iter().map(|part| part.bytes).sum()
    }
}

/// A number of bytes for people.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        let unit = (self.0.max(1).ilog2() / 10).min(4) as usize;
        let text = match unit {
            0 => format!("{} bytes", self.0),
            _ => format!("{:.1} {}", self.0 as f64 / (1u64 << (10 * unit)) as f64, UNITS[unit]),
        };
        f.pad(&text)
    }
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<18}{:>12} of {}", "memory", Size(self.total_bytes()), Size(self.budget_bytes))?;
        for part in self.parts() {
            write!(f, "  {:<16}{:>12}", part.name, Size(part.bytes))?;
            match part.budget_bytes {
                Some(budget) => writeln!(f, " of {}", Size(budget))?,
                None => writeln!(f)?,
            }
        }
        for family in &self.families {
            let FamilyMemory { active_bytes, sealed_bytes, held_bytes, range_bytes, .. } = *family;
            let (table_bytes, blob_bytes) = (family.table_bytes, family.blob_bytes);
            let dropped = if family.dropped { ", dropped" } else { "" };
            write!(f, "  {:?}{dropped}: memtables {} active, ", family.name, Size(active_bytes))?;
            write!(f, "{} sealed, {} held; ", Size(sealed_bytes), Size(held_bytes))?;
            write!(f, "ranges {}; table indexes {}", Size(range_bytes), Size(table_bytes))?;
            writeln!(f, "; blob files {}", Size(blob_bytes))?;
        }
        write!(f, "  {} of {} table files open", self.open_files, self.open_files_budget)?;
        write!(f, "; {} iterators and snapshots", self.readers)
    }
}

impl Db {
    /// What memory the store holds, and what for, beside what each part may take.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// db.put(b"k", b"v")?;
    /// let report = db.memory_report();
    /// assert!(report.families[0].active_bytes > 0);
    /// assert_eq!(report.total_bytes(), report.parts().iter().map(|part| part.bytes).sum());
    /// assert!(report.total_bytes() < report.budget_bytes);
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn memory_report(&self) -> MemoryReport {
        let inner = self.inner();
        let store = &inner.store;
        let views: Vec<_> = store.families().into_iter().map(|family| (family.view(), family)).collect();
        let mut families: Vec<_> =
            views.iter().map(|(view, family)| FamilyMemory::of(family, view)).collect();
        let readers = self.count_held(&views, &mut families);
        let (options, given) = (store.options(), self.options());
        let cache = store.tables.cache().stats();
        let held = cache.alive_bytes.saturating_sub(cache.piece_bytes);
        let log_buffer_bytes = store.with_writer(|writer| writer.wal.buffer_bytes() as u64);
        let (event_bytes, event_budget_bytes) = store.events.bytes();
        MemoryReport {
            budget_bytes: given.memory_budget,
            active_budget_bytes: options.memtables_bytes as u64,
            spare_bytes: store.spare.bytes() as u64,
            spare_budget_bytes: options.memtable_bytes as u64,
            sealed_budget_bytes: (options.memtable_bytes * options.stall.sealed.1) as u64,
            range_budget_bytes: (options.shape.range_bytes * families.len()) as u64,
            cache_bytes: cache.cached_bytes,
            cache_budget_bytes: cache.capacity_bytes,
            block_budget_bytes: options.cache_bytes,
            value_bytes: store.blobs.counts().held_bytes(),
            reader_bytes: held.saturating_sub(families.iter().map(|family| family.table_bytes).sum()),
            recent_writes_bytes: store.recent_writes_bytes(),
            recent_writes_budget_bytes: options.recent_bytes as u64,
            lock_bytes: store.locks.bytes() + store.prepared.memory_bytes(),
            log_buffer_bytes,
            event_bytes,
            event_budget_bytes,
            open_files: store.tables.open_files(),
            open_files_budget: given.max_open_files,
            readers,
            families,
        }
    }

    /// Adds the memtables that only readers hold, each once however many hold it. Returns how many readers
    /// there are.
    fn count_held(&self, views: &[(Arc<View>, Arc<Family>)], families: &mut Vec<FamilyMemory>) -> usize {
        let mut counted: Vec<Arc<Memtable>> =
            views.iter().flat_map(|(view, _)| view.memtables().cloned()).collect();
        let held = self.inner().store.pins.list();
        for (family, view) in held.iter().flat_map(|held| held.view.iter().chain(&held.pinned)) {
            let Some(view) = view.upgrade() else { continue };
            for memtable in view.memtables() {
                if counted.iter().any(|other| Arc::ptr_eq(other, memtable)) {
                    continue;
                }
                counted.push(memtable.clone());
                let dropped = !views.iter().any(|(_, other)| Arc::ptr_eq(other, family));
                let same = |of: &FamilyMemory| of.name == family.name() && of.dropped == dropped;
                let at = families.iter().position(same).unwrap_or_else(|| {
                    let name = family.name().to_owned();
                    families.push(FamilyMemory { name, dropped, ..FamilyMemory::default() });
                    families.len() - 1
                });
                families[at].held_bytes += memtable.allocated_bytes() as u64;
            }
        }
        held.len()
    }
}
