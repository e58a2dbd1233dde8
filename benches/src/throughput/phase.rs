//! What is measured, one after the other.

use std::str::FromStr;

/// A phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Puts in the order of keys into a new store.
    FillSeq,
    /// Batches of 100 puts in random order into a new store; counted by entry.
    FillBatch,
    /// Puts in random order into a new store, which the later phases go on with.
    FillRandom,
    /// Puts every key again, in another order.
    Overwrite,
    /// Gets in random order, once flushes and compactions have settled.
    ReadRandom,
    /// The same from two threads.
    ReadRandom2,
    /// Gets of the same contiguous twentieth of the keys.
    ReadHot,
    /// Gets of keys that are not there.
    ReadMissing,
    /// A seek to a random key and ten entries from there.
    Seek10,
    /// All entries, forward; counted by entry.
    ScanForward,
    /// All entries, backward.
    ScanReverse,
    /// Deletes every key in random order.
    Delete,
    /// Puts that are synced before they return, one thread.
    Sync1,
    /// The same from eight threads.
    Sync8,
    /// Reads the changes of another store, each a put that was a batch of its own.
    Feed,
}

impl Phase {
    /// All phases, in the order in which they are run.
    pub const ALL: [(Phase, &'static str); 15] = [
        (Phase::FillSeq, "fillseq"),
        (Phase::FillBatch, "fillbatch"),
        (Phase::FillRandom, "fillrandom"),
        (Phase::Overwrite, "overwrite"),
        (Phase::ReadRandom, "readrandom"),
        (Phase::ReadRandom2, "readrandom2"),
        (Phase::ReadHot, "readhot"),
        (Phase::ReadMissing, "readmissing"),
        (Phase::Seek10, "seek10"),
        (Phase::ScanForward, "scan"),
        (Phase::ScanReverse, "scanreverse"),
        (Phase::Delete, "delete"),
        (Phase::Sync1, "sync1"),
        (Phase::Sync8, "sync8"),
        (Phase::Feed, "feed"),
    ];

    /// The names of all phases.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(_, name)| *name)
    }

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(phase, _)| *phase == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Phase, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text).map(|(phase, _)| *phase);
        found.ok_or_else(|| format!("one of {}", Self::names().collect::<Vec<_>>().join(", ")))
    }
}
