//! What a store tells those who listen: see [`super::EventListener`].

use crate::base::error::Error;
use crate::base::filename::{FileKind, FileNumber};
use crate::base::sync::Arc;
use std::path::Path;
use std::time::Duration;

/// Something that has happened in a store.
///
/// Its time, `at_ms`, is that of the wall clock, in milliseconds since the epoch: when it happened, not when
/// it is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A memtable was closed.
    MemtableSealed(MemtableSealed),
    /// A memtable is being written to tables.
    FlushBegun(FlushBegun),
    /// It was, or could not be.
    FlushEnded(FlushEnded),
    /// Tables are being merged, moved or dropped.
    CompactionBegun(CompactionBegun),
    /// They were, or could not be.
    CompactionEnded(CompactionEnded),
    /// Writers must do something else than before.
    StallChanged(StallChanged),
    /// A kind of background work fails.
    BackgroundError(BackgroundError),
    /// That kind of background work succeeds again.
    BackgroundErrorEnded(BackgroundErrorEnded),
    /// A file was created.
    FileCreated(FileCreated),
    /// A file was removed.
    FileRemoved(FileRemoved),
    /// A column family was created.
    FamilyCreated(FamilyCreated),
    /// A column family was dropped.
    FamilyDropped(FamilyDropped),
    /// A checkpoint was made, or could not be.
    CheckpointEnded(CheckpointEnded),
    /// A backup was made, or could not be.
    BackupEnded(BackupEnded),
    /// Tables from outside were taken in, or could not be.
    IngestEnded(IngestEnded),
    /// The store has become read-only.
    BecameReadOnly(BecameReadOnly),
    /// The store was closed.
    Closed(Closed),
    /// Events that would stand here are missing: there were more than fit into memory.
    EventsDropped(EventsDropped),
}

/// Why a memtable was closed, and so why it is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealReason {
    /// It is as large as one may be ([`field@crate::Options::memtable_bytes`]).
    Full,
    /// All memtables together take too much memory, and it was the largest.
    Memory,
    /// The log has become long, and it holds the oldest of what the log is kept for.
    LogSize,
    /// Its first entry is old, and so is the log that is kept for it.
    Age,
    /// A range is deleted or dropped that covers much of it.
    RangeDeleted,
    /// Many deleted or dropped ranges stand beside it.
    ManyRanges,
    /// The reserve for a full disk could not be made large enough for it.
    SmallReserve,
    /// Somebody asked for it: [`crate::Db::flush`], a compaction of all, a close.
    Asked,
    /// It may hold what stands in the way of a table that is ingested: [`crate::Db::ingest`].
    Ingest,
    /// Another was closed while some memtable held what stands in no log: all are then closed together.
    Together,
}

/// Why a compaction was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionReason {
    /// Level 0 holds too many tables.
    Level0,
    /// A level is larger than its target.
    LevelSize,
    /// Runs are similar, or too many, or take too much space, in a family that is compacted in tiers.
    Tier,
    /// Tables are the oldest of a family that keeps only the newest, and it is too large or they are too old.
    Oldest,
    /// A table of the deepest level holds deletions that no snapshot needs any more.
    BottomDeletions,
    /// Every entry of a table has expired.
    Expired,
    /// A table has hidden deleted or expired bytes for too long.
    Erasure,
    /// A table holds little but deletions.
    Deletions,
    /// Every entry of a table lies in a range that was deleted or dropped behind it.
    Covered,
    /// A table holds entries of ranges that were deleted or dropped.
    Ranges,
    /// A table refers to a blob file of which much is dead: what lives of it goes to a new one.
    DeadValues,
    /// Nothing else is to be done, and reads get less to look into.
    Calm,
    /// Somebody asked for it.
    Manual,
}

/// What a compaction does with its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompactionWay {
    /// They are merged into new ones.
    Merged,
    /// They only change their level.
    Moved,
    /// They go without being read: nothing in them counts any more.
    Dropped,
}

/// A table in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// The number in its name.
    pub number: FileNumber,
    /// Its level.
    pub level: usize,
    /// Its size.
    pub bytes: u64,
    /// Its entries, all versions counted.
    pub entries: u64,
}

impl TableInfo {
    /// Describes a table.
    #[must_use]
    pub fn new(number: FileNumber, level: usize, bytes: u64, entries: u64) -> TableInfo {
        TableInfo { number, level, bytes, entries }
    }
}

/// What a writer must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// Go on.
    None,
    /// Keep to this many bytes per second.
    Slow(u64),
    /// Wait until the pressure falls.
    Stop,
}

/// Which writers a stall is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stalled {
    /// All.
    Writers,
    /// Those who delete or drop ranges.
    RangeWriters,
}

/// What of it presses most on writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallReason {
    /// Nothing any more.
    Nothing,
    /// So many memtables wait to be flushed.
    Memtables(usize),
    /// So many tables stand in a family's level 0.
    Level0(usize),
    /// Compactions have yet to move so many bytes.
    Debt(u64),
    /// So many thousandths of a family's blob files are dead values.
    DeadValues(u64),
    /// A family's deleted and dropped ranges, in thousandths of what it may have.
    Ranges(u64),
}

/// Kinds of background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackgroundJob {
    /// Writing memtables to tables.
    Flush,
    /// Compaction.
    Compaction,
    /// Syncing the log.
    Sync,
    /// What else is done now and then: removing files, making room.
    Upkeep,
}

/// A memtable was closed; it will be flushed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemtableSealed {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The column family.
    pub family: Arc<str>,
    /// Why.
    pub reason: SealReason,
    /// Its memory.
    pub bytes: u64,
    /// Its entries, all versions counted.
    pub entries: u64,
}

/// A memtable is being written to tables of level 0.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlushBegun {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The column family.
    pub family: Arc<str>,
    /// Why the memtable was closed.
    pub reason: SealReason,
    /// The memory of the memtable.
    pub bytes: u64,
    /// Its entries, all versions counted.
    pub entries: u64,
}

/// A flush has ended. What [`FlushBegun`] told of the same family was about the same memtable.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlushEnded {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The column family.
    pub family: Arc<str>,
    /// Why the memtable was closed.
    pub reason: SealReason,
    /// The tables that were written; none if nothing of the memtable was left, or after a failure.
    pub tables: Vec<TableInfo>,
    /// How long it took: for memtables that were closed together, all of them.
    pub took: Duration,
    /// Why it failed, if it did. It is tried again.
    pub error: Option<Error>,
}

impl FlushEnded {
    /// Bytes that were written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }

    /// Entries that were written.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.tables.iter().map(|table| table.entries).sum()
    }
}

/// A compaction begins.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CompactionBegun {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The column family.
    pub family: Arc<str>,
    /// Why.
    pub reason: CompactionReason,
    /// What is done with the tables.
    pub way: CompactionWay,
    /// The tables that go, with their levels.
    pub inputs: Vec<TableInfo>,
    /// The level that what remains goes to.
    pub output_level: usize,
}

/// A compaction has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CompactionEnded {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The column family.
    pub family: Arc<str>,
    /// Why it was chosen.
    pub reason: CompactionReason,
    /// What was done with the tables.
    pub way: CompactionWay,
    /// The tables that went, with the levels that they had.
    pub inputs: Vec<TableInfo>,
    /// The tables that came, with their levels; none after a failure.
    pub outputs: Vec<TableInfo>,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did: nothing was changed then. What ended it may be a close.
    pub error: Option<Error>,
}

/// Writers must do something else than before: go on, slow down, or stop. How slow they are to be is told
/// when they begin to be slowed, and not again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StallChanged {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Which writers.
    pub who: Stalled,
    /// What they had to do.
    pub old: Stall,
    /// What they must do now.
    pub new: Stall,
    /// What presses most now.
    pub reason: StallReason,
}

/// A kind of background work fails, and is tried again. A failure of the same kind right behind it
/// (the disk is full, say) is not told again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackgroundError {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Which kind.
    pub job: BackgroundJob,
    /// What failed.
    pub error: Error,
}

/// A kind of background work that failed has succeeded, or there is nothing left of it to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackgroundErrorEnded {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Which kind.
    pub job: BackgroundJob,
    /// The last failure.
    pub error: Error,
}

/// A table, a segment of the log or a manifest was created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileCreated {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Which file.
    pub file: FileKind,
    /// Its size: of a segment of the log what was set aside for it, as far as that could be had.
    pub bytes: u64,
}

/// A table, a segment of the log or a manifest was removed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileRemoved {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Which file.
    pub file: FileKind,
    /// The size that it had.
    pub bytes: u64,
}

/// A column family was created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FamilyCreated {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Its name.
    pub family: Arc<str>,
}

/// A column family was dropped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FamilyDropped {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The name that it had.
    pub family: Arc<str>,
}

/// The store has become read-only, until it is opened again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BecameReadOnly {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Why.
    pub why: Arc<str>,
}

/// The store was closed. It is the last event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Closed {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What went wrong in closing it, if anything.
    pub error: Option<Error>,
}

/// Listeners were slower than what happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EventsDropped {
    /// When the first of them happened, in milliseconds since the epoch.
    pub at_ms: u64,
    /// How many events are missing here.
    pub count: u64,
}

/// A checkpoint has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckpointEnded {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The directory of the copy.
    pub path: Arc<Path>,
    /// Tables and segments of the log in it; 0 after a failure.
    pub files: usize,
    /// Bytes in it, linked or copied; 0 after a failure.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub error: Option<Error>,
}

/// A backup has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupEnded {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The directory of backups.
    pub path: Arc<Path>,
    /// Its number there; 0 after a failure.
    pub number: u64,
    /// Bytes in it; 0 after a failure.
    pub bytes: u64,
    /// Bytes that no earlier backup had; 0 after a failure.
    pub new_bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub error: Option<Error>,
}

/// An ingest has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IngestEnded {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The files that were offered.
    pub files: usize,
    /// Their bytes; 0 after a failure.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did. Then nothing was taken in.
    pub error: Option<Error>,
}
