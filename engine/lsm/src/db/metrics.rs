//! Everything about a store that can be counted or measured, at once.

use super::handle::Db;
use super::health::Health;
use super::memory::MemoryReport;
use super::stats::Stats;
use crate::metrics::Histogram;

/// A reading of a store: what [`Db::stats`], [`Db::memory_report`] and [`Db::health`] say, and how long
/// operations took since it was opened.
///
/// Times are in nanoseconds. Writes, gets, looks for many keys and seeks are timed only if
/// [`crate::Options::time_one_in`] says so, and then one in so many; the rest always.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// What the store is made of and has done.
    pub stats: Stats,
    /// What memory it holds.
    pub memory: MemoryReport,
    /// How it is.
    pub health: Health,
    /// One in how many of the next four is timed; 0 for none.
    pub time_one_in: u32,
    /// Writes, from the call to the return, as durable as they asked for.
    pub write: Histogram,
    /// Look-ups of one key.
    pub get: Histogram,
    /// Look-ups of many keys at once.
    pub multi_get: Histogram,
    /// Movements of cursors to a key or an end, and the first steps of iterators.
    pub seek: Histogram,
    /// Syncs of the log, but for those with which it is closed.
    pub sync: Histogram,
    /// Flushes, of all memtables that were closed together.
    pub flush: Histogram,
    /// Compactions that rewrote tables.
    pub compaction: Histogram,
    /// Waits of writers that were slowed or stopped; those of less than 0.1 ms do not count.
    pub stall: Histogram,
    /// How many batches were written together, for each group.
    pub group_size: Histogram,
}

impl Db {
    /// Everything about the store that can be counted or measured. [`Metrics::prometheus`] makes text of it.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let db = esker::Db::builder(path).time_one_in(1).open()?;
    /// db.put(b"k", b"v")?;
    /// let metrics = db.metrics();
    /// assert_eq!((metrics.write.count(), metrics.group_size.max(), metrics.sync.count()), (1, 1, 1));
    /// println!("half of the writes took {:?} or less", metrics.write.quantile_time(0.5));
    /// assert!(metrics.prometheus().contains("esker_write_seconds_count 1\n"));
    /// # db.close() }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let store = &self.inner().store;
        let timings = &store.timings;
        Metrics {
            stats: self.stats(),
            memory: self.memory_report(),
            health: self.health(),
            time_one_in: timings.one_in(),
            write: timings.write.read(),
            get: timings.get.read(),
            multi_get: timings.multi_get.read(),
            seek: timings.seek.read(),
            sync: timings.sync.read(),
            flush: timings.flush.read(),
            compaction: timings.compaction.read(),
            stall: timings.stall.read(),
            group_size: store.with_writer(|writer| writer.groups.clone()),
        }
    }
}
