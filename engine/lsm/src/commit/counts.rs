//! What became of transactions and conditional writes, and of copies of the store.

use crate::base::error::Error;
use crate::base::sync::quiet::{AtomicU64, Ordering};

/// Counters since the store was opened.
#[derive(Debug, Default)]
pub struct TransactionCounts {
    committed: AtomicU64,
    conflicts: AtomicU64,
    lock_timeouts: AtomicU64,
    deadlocks: AtomicU64,
    failed_conditions: AtomicU64,
    looked_into_tree: AtomicU64,
}

/// A reading of [`TransactionCounts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionStats {
    /// Transactions that were committed with writes.
    pub committed: u64,
    /// Calls that ended with [`Error::Conflict`].
    pub conflicts: u64,
    /// Calls that ended with [`Error::LockTimeout`] or [`Error::HeldByPrepared`].
    pub lock_timeouts: u64,
    /// Calls that ended with [`Error::Deadlock`].
    pub deadlocks: u64,
    /// Writes that ended with [`Error::ConditionFailed`].
    pub failed_conditions: u64,
    /// How often the table of recent writes did not reach back far enough, so that the tree was asked.
    pub looked_into_tree: u64,
}

/// Counters of copies of a store, and of tables taken into it, since it was opened.
#[derive(Debug, Default)]
pub struct CopyCounts {
    checkpoints: AtomicU64,
    backups: AtomicU64,
    backup_bytes: AtomicU64,
    failed: AtomicU64,
    ingests: AtomicU64,
    failed_ingests: AtomicU64,
}

/// A reading of [`CopyCounts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyStats {
    /// Checkpoints that were made.
    pub checkpoints: u64,
    /// Backups that were made.
    pub backups: u64,
    /// What these added to their directories: what no earlier backup had.
    pub backup_bytes: u64,
    /// Checkpoints and backups that failed.
    pub failed: u64,
    /// Calls that took tables in.
    pub ingests: u64,
    /// Calls that could not.
    pub failed_ingests: u64,
}

impl CopyCounts {
    /// Counts a checkpoint.
    pub fn count_checkpoint(&self, made: bool) {
        let count = if made { &self.checkpoints } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a backup that has added so many bytes, or has failed.
    pub fn count_backup(&self, new_bytes: Option<u64>) {
        let count = if new_bytes.is_some() { &self.backups } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.backup_bytes.fetch_add(new_bytes.unwrap_or(0), Ordering::Relaxed);
    }

    /// Counts a call that took tables in, or could not.
    pub fn count_ingest(&self, done: bool) {
        let count = if done { &self.ingests } else { &self.failed_ingests };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn read(&self) -> CopyStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CopyStats {
            checkpoints: read(&self.checkpoints),
            backups: read(&self.backups),
            backup_bytes: read(&self.backup_bytes),
            failed: read(&self.failed),
            ingests: read(&self.ingests),
            failed_ingests: read(&self.failed_ingests),
        }
    }
}

impl TransactionCounts {
    /// Counts a commit.
    pub fn count_commit(&self) {
        self.committed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a look into the tree.
    pub(super) fn count_look(&self) {
        self.looked_into_tree.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an error, if it is one of those that are counted.
    pub fn count_error(&self, error: &Error) {
        let count = match error {
            Error::Conflict { .. } => &self.conflicts,
            Error::LockTimeout { .. } | Error::HeldByPrepared { .. } => &self.lock_timeouts,
            Error::Deadlock { .. } => &self.deadlocks,
            Error::ConditionFailed { .. } => &self.failed_conditions,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn read(&self) -> TransactionStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        TransactionStats {
            committed: read(&self.committed),
            conflicts: read(&self.conflicts),
            lock_timeouts: read(&self.lock_timeouts),
            deadlocks: read(&self.deadlocks),
            failed_conditions: read(&self.failed_conditions),
            looked_into_tree: read(&self.looked_into_tree),
        }
    }
}
