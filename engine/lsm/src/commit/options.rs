//! The options of the write path.

use super::keeping::FeedOptions;
use super::stall::StallLimits;
use crate::compaction::ShapeOptions;
use std::time::Duration;

/// How writes are grouped, and when memtables and log segments are closed.
#[derive(Clone, Debug)]
pub struct CommitOptions {
    /// The size to which a log segment is preallocated, in bytes.
    pub segment_bytes: u64,
    /// A memtable of this size is sealed, in bytes.
    pub memtable_bytes: usize,
    /// When all families' active memtables together are larger than this, the largest is sealed.
    pub memtables_bytes: usize,
    /// When the log is larger than this, the families that pin its oldest segment are flushed.
    pub wal_bytes: u64,
    /// How long an `Os` write may be lost to a loss of power; upkeep has the same.
    pub sync_interval: Duration,
    /// A memtable whose first entry is older than this is sealed, so that the log does not grow old.
    pub wal_age: Duration,
    /// The share of the memory budget for blocks, indexes and filters, in bytes.
    pub cache_bytes: u64,
    /// Batches of at most this many bytes together form a group.
    pub group_bytes: usize,
    /// How long a write waits for a key that a transaction has locked.
    pub lock_timeout: Duration,
    /// The memory of the table of recent writes, in bytes, roughly.
    pub recent_bytes: usize,
    /// How many transactions may be prepared.
    pub max_prepared: usize,
    /// How many bytes they may be stored in, together.
    pub max_prepared_bytes: u64,
    /// How long changes are kept for readers, if they are.
    pub feed: Option<FeedOptions>,
    /// The shape that compaction works towards; what is left to do presses on writers.
    pub shape: ShapeOptions,
    /// From where to where writers are slowed.
    pub stall: StallLimits,
}
