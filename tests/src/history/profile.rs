//! What kinds of history there are, by the weights of their operations.

/// What kind of history, by the weights of its operations.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The least number of operations, and how many there may be beyond it.
    pub operations: (u64, u64),
    /// How often each kind of operation comes up, in proportion to the sum of all.
    pub weights: &'static [(Kind, u64)],
    /// Different keys.
    pub keys: u64,
    /// The longest ordinary value, in bytes.
    pub value_bytes: u64,
    /// One of so many values is larger than a memtable, up to `LARGEST_VALUE_BYTES`.
    pub large_every: u64,
    /// How many of a hundred changes are operands.
    pub merges: u64,
    /// Whether the history begins with a value that makes the last level large, so that the levels above it
    /// have their targets far apart, and the smallest tables: then few writes fill many levels.
    pub deep: bool,
}

/// The kinds of operation among which the weights choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One change.
    Single,
    /// Several changes, in any families.
    Batch,
    /// As [`super::Operation::Transaction`].
    Transaction,
    /// As [`super::Operation::Prepare`].
    Prepare,
    /// As [`super::Operation::CommitPrepared`] or [`super::Operation::RollbackPrepared`].
    Resolve,
    /// As [`super::Operation::If`].
    If,
    /// As [`super::Operation::Expire`].
    Expire,
    /// As [`super::Operation::Ingest`].
    Ingest,
    /// As [`super::Operation::Sync`].
    Sync,
    /// As [`super::Operation::Flush`].
    Flush,
    /// As [`super::Operation::Compact`] or [`super::Operation::CompactRange`].
    Compact,
    /// As [`super::Operation::Tick`].
    Tick,
    /// As [`super::Operation::Advance`].
    Advance,
    /// As [`super::Operation::Create`], or [`super::Operation::Drop`] if there are many families.
    Family,
    /// As [`super::Operation::Snapshot`] or [`super::Operation::Release`].
    Snapshot,
    /// One of the reads.
    Read,
    /// As [`super::Operation::Cursor`], [`super::Operation::Move`] or [`super::Operation::LetGo`].
    Cursor,
    /// As [`super::Operation::Verify`].
    Verify,
    /// As [`super::Operation::Checkpoint`] or [`super::Operation::Backup`].
    Copy,
    /// As [`super::Operation::Look`].
    Look,
    /// As [`super::Operation::Reopen`].
    Reopen,
    /// As [`super::Operation::Kill`] or [`super::Operation::PowerLoss`].
    Crash,
    /// As [`super::Operation::Clock`].
    Clock,
    /// As [`super::Operation::Options`] or [`super::Operation::Adjust`].
    Options,
    /// As [`super::Operation::OnDurable`].
    OnDurable,
}

impl Profile {
    /// All of them, by name.
    pub const ALL: [(&'static str, &'static Profile); 6] = [
        ("crash", &Profile::CRASH),
        ("long", &Profile::LONG),
        ("deep", &Profile::DEEP),
        ("model", &Profile::MODEL),
        ("prepared", &Profile::PREPARED),
        ("readers", &Profile::READERS),
    ];

    /// For the crash tests: mostly writes, few keys, values large enough for small memtables to fill.
    pub const CRASH: Profile = Profile {
        operations: (40, 40),
        weights: &[
            (Kind::Single, 50),
            (Kind::Batch, 20),
            (Kind::Transaction, 8),
            (Kind::If, 5),
            (Kind::Expire, 3),
            (Kind::Ingest, 4),
            (Kind::Sync, 3),
            (Kind::Flush, 3),
            (Kind::Compact, 2),
            (Kind::Tick, 8),
            (Kind::Advance, 5),
            (Kind::Family, 4),
            (Kind::Snapshot, 3),
            (Kind::Read, 4),
            (Kind::Cursor, 6),
            (Kind::Reopen, 2),
            (Kind::Crash, 2),
            (Kind::Clock, 2),
            (Kind::Options, 1),
            (Kind::OnDurable, 2),
            (Kind::Copy, 1),
        ],
        keys: 32,
        value_bytes: 2_000,
        merges: 12,
        large_every: 300,
        deep: false,
    };

    /// For the crash tests: as those, with transactions that are prepared, held and resolved.
    pub const PREPARED: Profile = Profile {
        operations: (40, 40),
        weights: &[
            (Kind::Single, 40),
            (Kind::Batch, 12),
            (Kind::Transaction, 5),
            (Kind::Prepare, 16),
            (Kind::Resolve, 14),
            (Kind::If, 3),
            (Kind::Expire, 2),
            (Kind::Ingest, 2),
            (Kind::Sync, 2),
            (Kind::Flush, 4),
            (Kind::Compact, 3),
            (Kind::Tick, 6),
            (Kind::Advance, 4),
            (Kind::Family, 3),
            (Kind::Snapshot, 2),
            (Kind::Read, 4),
            (Kind::Cursor, 2),
            (Kind::Verify, 1),
            (Kind::Reopen, 4),
            (Kind::Crash, 4),
            (Kind::Options, 1),
            (Kind::Copy, 2),
        ],
        keys: 24,
        value_bytes: 1_500,
        merges: 10,
        large_every: 600,
        deep: false,
    };

    /// For the crash tests: with readers that know nothing of the writer, nor it of them.
    pub const READERS: Profile = Profile {
        operations: (40, 40),
        weights: &[
            (Kind::Single, 40),
            (Kind::Batch, 20),
            (Kind::Transaction, 4),
            (Kind::Prepare, 3),
            (Kind::Resolve, 3),
            (Kind::Expire, 3),
            (Kind::Ingest, 6),
            (Kind::Sync, 3),
            (Kind::Flush, 6),
            (Kind::Compact, 4),
            (Kind::Tick, 8),
            (Kind::Advance, 4),
            (Kind::Family, 4),
            (Kind::Look, 30),
            (Kind::Reopen, 3),
            (Kind::Crash, 3),
            (Kind::Clock, 2),
            (Kind::Options, 1),
        ],
        keys: 24,
        value_bytes: 1_500,
        merges: 15,
        large_every: 600,
        deep: false,
    };

    /// For the crash tests: longer, without crashes of its own, so that levels, log and manifest grow.
    pub const LONG: Profile = Profile {
        operations: (150, 60),
        weights: &[
            (Kind::Single, 40),
            (Kind::Batch, 25),
            (Kind::Transaction, 8),
            (Kind::If, 4),
            (Kind::Expire, 2),
            (Kind::Ingest, 4),
            (Kind::Sync, 2),
            (Kind::Flush, 8),
            (Kind::Compact, 3),
            (Kind::Tick, 12),
            (Kind::Advance, 4),
            (Kind::Family, 3),
            (Kind::Snapshot, 2),
            (Kind::Cursor, 4),
            (Kind::Clock, 1),
            (Kind::OnDurable, 1),
            (Kind::Copy, 1),
        ],
        keys: 48,
        value_bytes: 1_200,
        merges: 15,
        large_every: 2_000,
        deep: false,
    };

    /// For the crash tests: many levels.
    pub const DEEP: Profile = Profile {
        operations: (50, 20),
        weights: &[
            (Kind::Single, 40),
            (Kind::Batch, 30),
            (Kind::Ingest, 5),
            (Kind::Flush, 8),
            (Kind::Tick, 20),
            (Kind::Snapshot, 2),
        ],
        keys: 64,
        value_bytes: 1_000,
        merges: 15,
        large_every: 10_000,
        deep: true,
    };

    /// For the model test: all of the interface.
    pub const MODEL: Profile = Profile {
        operations: (60, 180),
        weights: &[
            (Kind::Single, 40),
            (Kind::Batch, 14),
            (Kind::Transaction, 12),
            (Kind::If, 8),
            (Kind::Expire, 5),
            (Kind::Ingest, 5),
            (Kind::Sync, 1),
            (Kind::Flush, 3),
            (Kind::Compact, 3),
            (Kind::Tick, 6),
            (Kind::Advance, 5),
            (Kind::Family, 3),
            (Kind::Snapshot, 7),
            (Kind::Read, 40),
            (Kind::Cursor, 25),
            (Kind::Verify, 1),
            (Kind::Reopen, 2),
            (Kind::Clock, 2),
            (Kind::Options, 1),
            (Kind::OnDurable, 2),
            (Kind::Copy, 1),
        ],
        keys: 40,
        value_bytes: 3_000,
        merges: 20,
        large_every: 600,
        deep: false,
    };
}
