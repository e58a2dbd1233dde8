//! What a reader of changes is handed.

use super::operations::Operations;
use crate::base::key::SeqNum;
use crate::base::position::Position;
use crate::base::sync::Arc;
use crate::fs::OpenFile;
use crate::version::IngestMark;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// The names of the column families that are there.
pub(super) type Names = BTreeMap<u32, Arc<str>>;

/// A batch of writes that was committed, and is durable: all of it, or none.
///
/// Owned, and may move between threads. What it was read from may be gone meanwhile; a batch of more than 4
/// MiB is not held in memory, but read from the log while its operations are walked.
#[derive(Clone)]
pub struct ChangeBatch {
    pub(super) history: u64,
    pub(super) first_seq: SeqNum,
    pub(super) last_seq: SeqNum,
    pub(super) clock_ms: u64,
    pub(super) missing: u64,
    pub(super) content: Content,
    pub(super) names: Arc<Names>,
    /// The family whose operations are none of the user's.
    pub(super) hidden: Option<u32>,
}

/// Where the operations of a batch stand.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// In the payload of a group that stands in a file at `base`.
    Loaded { payload: Arc<[u8]>, range: Range<usize>, file: Arc<OpenFile>, base: u64 },
    /// In a file.
    Stored { file: Arc<OpenFile>, range: Range<u64> },
    /// In a table that was ingested.
    Ingested(Arc<IngestMark>),
}

impl fmt::Debug for ChangeBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ChangeBatch");
        shown.field("first_seq", &self.first_seq).field("last_seq", &self.last_seq).finish_non_exhaustive()
    }
}

impl ChangeBatch {
    /// The position behind it: who has dealt with it may go on from there.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { history: self.history, seq: self.last_seq }
    }

    /// The number of the history that it was written in.
    #[must_use]
    pub fn history(&self) -> u64 {
        self.history
    }

    /// The sequence number of its first operation; each further one has the next.
    #[must_use]
    pub fn first_seq(&self) -> SeqNum {
        self.first_seq
    }

    /// The sequence number of its last operation.
    #[must_use]
    pub fn last_seq(&self) -> SeqNum {
        self.last_seq
    }

    /// What the store's expiry clock showed when it was written, or earlier in the same history, in
    /// milliseconds since the epoch.
    #[must_use]
    pub fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    /// How many sequence numbers between the batch before, or the position that was asked for, and this one
    /// are in no batch: they went to writes of [`Durability::None`](crate::Durability::None), which are not
    /// in the log, or to writes that failed. 0 for the first batch of a history, where it cannot be told.
    #[must_use]
    pub fn missing_before(&self) -> u64 {
        self.missing
    }

    /// Walks its operations, in order.
    #[must_use]
    pub fn operations(&self) -> Operations<'_> {
        Operations::of(self)
    }
}
