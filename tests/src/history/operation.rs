//! The words of the language.

use esker::Durability;
use esker::base::limits::MAX_KEY_BYTES;
use esker::fs::sim::Image;
use std::ops::Bound;

/// One step of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Changes that are committed together. One alone may also be written without a batch.
    Write {
        /// The changes, in their order.
        changes: Vec<Change>,
        /// What they must survive.
        durability: Durability,
    },
    /// Changes made by a transaction: each key is read first.
    Transaction {
        /// How the transaction guards what it does.
        kind: TransactionKind,
        /// Its changes, in their order.
        changes: Vec<Change>,
        /// What somebody else writes before it commits.
        meddle: Vec<Change>,
        /// What it, and what somebody else writes, must survive.
        durability: Durability,
    },
    /// Changes made by a transaction that is prepared, and kept under a number until it is resolved.
    Prepare {
        /// The number.
        slot: u32,
        /// How the transaction guards what it does.
        kind: TransactionKind,
        /// Its changes, in their order.
        changes: Vec<Change>,
        /// What it must survive to be prepared.
        durability: Durability,
    },
    /// The prepared transaction with this number is committed.
    CommitPrepared {
        /// The number.
        slot: u32,
        /// What the commit must survive.
        durability: Durability,
    },
    /// The prepared transaction with this number is rolled back.
    RollbackPrepared(u32),
    /// Changes that are committed together if a condition holds.
    If {
        /// The condition.
        condition: Condition,
        /// The changes, in their order.
        changes: Vec<Change>,
        /// What they must survive.
        durability: Durability,
    },
    /// A key gets another expiry.
    Expire {
        /// The family.
        family: String,
        /// The key.
        key: Vec<u8>,
        /// In how many milliseconds it expires; never if there is no number.
        ttl_ms: Option<u64>,
    },
    /// Changes that are written into tables outside of the store, one for each family, which are ingested
    /// together.
    Ingest {
        /// The changes; the last one of each key counts.
        changes: Vec<Change>,
        /// Whether the files are moved.
        move_files: bool,
    },
    /// The store is read from outside, without its lock: by somebody who follows it, and by somebody who
    /// opens it anew.
    Look,
    /// Everything logged becomes durable.
    Sync,
    /// Everything becomes durable, in tables.
    Flush,
    /// Everything is compacted.
    Compact,
    /// A range of a family is compacted.
    CompactRange {
        /// The family.
        family: String,
        /// Which keys.
        span: Span,
    },
    /// So many steps of background work.
    Tick(u32),
    /// Time passes, in milliseconds.
    Advance(u64),
    /// Somebody sets the wall clock by so many milliseconds, forward or back.
    Clock(i64),
    /// From the next opening on the store has the options with this number, counted from those it began with.
    Options(u32),
    /// The open store takes over the sizes of the options with this number, and its families how their tables
    /// are written.
    Adjust(u32),
    /// A callback is asked for once everything published so far is durable.
    OnDurable,
    /// A family is created.
    Create(String),
    /// A family is dropped.
    Drop(String),
    /// A snapshot is taken and kept under a number, in place of an earlier one.
    Snapshot(u32),
    /// The snapshot with this number is released.
    Release(u32),
    /// One key is read in each way that there is.
    Get {
        /// The snapshot to read, or the present.
        at: Option<u32>,
        /// The family.
        family: String,
        /// The key.
        key: Vec<u8>,
    },
    /// Several keys are read at once.
    MultiGet {
        /// The snapshot to read, or the present.
        at: Option<u32>,
        /// The family.
        family: String,
        /// The keys.
        keys: Vec<Vec<u8>>,
    },
    /// A range is read.
    Scan {
        /// The snapshot to read, or the present.
        at: Option<u32>,
        /// The family.
        family: String,
        /// Which keys.
        span: Span,
        /// From which ends.
        step: Step,
    },
    /// A cursor is made and kept under a number, in place of an earlier one. It stands nowhere yet.
    Cursor {
        /// The number.
        slot: u32,
        /// The snapshot that it shows, or the present.
        at: Option<u32>,
        /// The family.
        family: String,
        /// Which keys.
        span: Span,
    },
    /// The cursor with this number moves.
    Move {
        /// The number.
        slot: u32,
        /// Where to.
        to: Movement,
    },
    /// The cursor with this number is let go.
    LetGo(u32),
    /// The families are listed.
    Families,
    /// The store's own check of everything on disk.
    Verify,
    /// A checkpoint is made and read.
    Checkpoint,
    /// A backup is made, old ones are pruned, and what is left is restored and read.
    Backup,
    /// The store is closed and opened again.
    Reopen,
    /// The process is killed; the store is opened again on what the system still has in memory.
    Kill,
    /// Power is lost; the store is opened again on what is left.
    PowerLoss {
        /// What is left.
        image: Image,
        /// Decides where the image leaves it open.
        seed: u64,
    },
}

impl Operation {
    /// All changes that it may make.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        let (own, meddle): (&[Change], &[Change]) = match self {
            Operation::Write { changes, .. }
            | Operation::If { changes, .. }
            | Operation::Prepare { changes, .. }
            | Operation::Ingest { changes, .. } => (changes, &[]),
            Operation::Transaction { changes, meddle, .. } => (changes, meddle),
            _ => (&[], &[]),
        };
        own.iter().chain(meddle)
    }
}

/// How a transaction guards what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    /// It finds out at the commit whether others have written what it writes.
    Optimistic,
    /// It locks what it writes.
    Pessimistic,
    /// Optimistic, and what it has read must be unwritten, too. It has read all of its first family.
    Serialisable,
}

/// What must hold for changes to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The family.
    pub family: String,
    /// The key.
    pub key: Vec<u8>,
    /// What is asked of it.
    pub asked: Asked,
}

/// What a condition asks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// That it has no value.
    Absent,
    /// The value that it has: this holds if it has any.
    Value,
    /// A value that it has not.
    OtherValue,
    /// The version that a read just returned.
    Version,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The family.
    pub family: String,
    /// The key; empty for a change of a range.
    pub key: Vec<u8>,
    /// What happens to it.
    pub what: What,
}

/// The name of the family in which ranges are dropped. It is read with care: see `docs/testing.md`.
pub const DROPPING: &str = "dropped";

/// What happens to a key. Values are given by their length: their bytes follow from the commit, see
/// [`value`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is set.
    Put {
        /// The length of the value, in bytes.
        bytes: usize,
    },
    /// It is set for some time.
    PutTtl {
        /// The length of the value, in bytes; at least `LEAST_TTL_BYTES`.
        bytes: usize,
        /// For how long, in milliseconds.
        ttl_ms: u64,
    },
    /// Its family's operator changes it.
    Merge {
        /// The length of the operand, in bytes; at least `LEAST_TTL_BYTES`.
        bytes: usize,
        /// For how long what starts from nothing lives, in milliseconds; 0 for ever.
        ttl_ms: u64,
    },
    /// It is removed.
    Delete,
    /// All keys of a range are removed.
    DeleteRange(Span),
    /// A range is given up for good.
    DropRange(Span),
}

impl Change {
    /// Of a range.
    #[must_use]
    pub fn of_range(family: &str, what: What) -> Change {
        Change { family: family.into(), key: Vec::new(), what }
    }

    /// The same with a value in place of an operand.
    #[must_use]
    pub fn without_merge(mut self) -> Change {
        if let What::Merge { bytes, .. } = self.what {
            self.what = What::Put { bytes };
        }
        self
    }

    /// Whether the store must refuse it, and with it the whole batch: its key is too long.
    #[must_use]
    pub fn is_out_of_range(&self) -> bool {
        self.key.len() > MAX_KEY_BYTES
    }
}

/// Values that expire must tell which commit wrote them, since their end follows from it; and so must
/// operands.
pub const LEAST_TTL_BYTES: usize = 12;

/// Keys between two bounds, or with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// All keys.
    All,
    /// Keys between bounds.
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
    /// Keys that begin with these bytes.
    Prefix(Vec<u8>),
}

impl Span {
    /// Whether a key belongs to it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Span::All => true,
            Span::Prefix(prefix) => key.starts_with(prefix),
            Span::Range(from, to) => {
                let above = match from {
                    Bound::Included(from) => key >= from.as_slice(),
                    Bound::Excluded(from) => key > from.as_slice(),
                    Bound::Unbounded => true,
                };
                let below = match to {
                    Bound::Included(to) => key <= to.as_slice(),
                    Bound::Excluded(to) => key < to.as_slice(),
                    Bound::Unbounded => true,
                };
                above && below
            }
        }
    }
}

/// How a cursor moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Movement {
    /// To the first entry.
    First,
    /// To the last entry.
    Last,
    /// To the next entry.
    Next,
    /// To the entry before.
    Prev,
    /// To the first entry at or after a key.
    Seek(Vec<u8>),
    /// To the last entry at or before a key.
    SeekForPrev(Vec<u8>),
    /// To the state of this moment.
    Refresh,
}

/// How a range is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From the front.
    Forward,
    /// From the back.
    Reverse,
    /// From both ends until they meet, as this number decides.
    Mixed(u64),
}

/// The value that the change number `change` of the commit number `commit` writes. It begins with both, as
/// far as its length allows, so that two commits never write the same long value.
#[must_use]
pub fn value(commit: u32, change: usize, bytes: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes + 16);
    value.extend_from_slice(&commit.to_be_bytes());
    value.extend_from_slice(&(change as u32).to_be_bytes());
    value.extend_from_slice(&(bytes as u32).to_be_bytes());
    let mut x = u64::from(commit) << 20 | change as u64;
    while value.len() < bytes {
        // Half of it compresses well, as real values do.
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value.extend_from_slice(&x.to_le_bytes()[4..]);
        value.extend_from_slice(b"grit");
    }
    value.truncate(bytes);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_tell_which_commit_wrote_them() {
        assert_eq!(value(1, 2, 0), b"");
        assert_eq!(value(1, 2, 500).len(), 500);
        assert_ne!(value(1, 2, LEAST_TTL_BYTES), value(2, 2, LEAST_TTL_BYTES));
        assert_ne!(value(1, 2, 300), value(1, 3, 300));
    }
}
