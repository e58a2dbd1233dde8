//! What a user can ask the background to do now.

use super::family::ColumnFamily;
use super::handle::Db;
use crate::base::error::Result;
use std::ops::Bound;

impl Db {
    /// Writes the memtables of all families to tables, and returns when that is done. Afterwards
    /// nothing depends on the log, and writes without a log ([`crate::Durability::None`]) survive.
    ///
    /// # Errors
    /// What the flush met; it is tried again in the background.
    ///
    /// ```
    /// # fn main() -> esker::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = esker::Db::open(dir.path().join("data"))?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.put(&db, b"k", b"v");
    /// db.write(batch, esker::Durability::None)?;
    /// db.flush()?; // only now is it safe
    /// assert_eq!(db.stats().families[0].levels[0].entries, 1);
    /// # Ok(()) }
    /// ```
    pub fn flush(&self) -> Result<()> {
        let inner = self.inner();
        inner.store.check_writable()?;
        inner.scheduler.wait_flushed(inner.store.rotate_all())
    }

    /// Compacts every column family down to its last level, as [`ColumnFamily::compact_range`] does.
    ///
    /// # Errors
    /// What flushing and compacting gives.
    pub fn compact(&self) -> Result<()> {
        self.flush()?;
        let inner = self.inner();
        let compact = |family| inner.scheduler.jobs().compact_range(&family, None, None);
        let compacted = inner.store.families().into_iter().try_for_each(compact);
        inner.scheduler.tell();
        compacted
    }
}

impl ColumnFamily {
    pub(super) fn compact_bounds(&self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<()> {
        self.check()?;
        let inner = self.inner();
        inner.store.check_writable()?;
        inner.scheduler.wait_flushed(inner.store.rotate_all())?;
        // An excluded bound is compacted along with the table that it stands in.
        let compacted = inner.scheduler.jobs().compact_range(self.family(), edge(from), edge(to));
        inner.scheduler.tell();
        compacted
    }
}

fn edge(bound: Bound<&[u8]>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "calm_tests.rs"]
mod calm_tests;

#[cfg(all(test, not(any(loom, shuttle))))]
#[path = "rest_tests.rs"]
mod rest_tests;
