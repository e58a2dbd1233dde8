//! Layer 3: the write-ahead log: segments, the groups in them, replay, and reading along.

mod group;
mod log;
mod replay;
mod salvage;
mod segment_tail;
mod tail;

#[cfg(all(test, not(loom)))]
mod segment_tail_tests;
#[cfg(all(test, not(loom)))]
mod tail_tests;
#[cfg(all(test, not(loom)))]
mod tests;

pub use group::{
    CloseMark, GroupHeader, LoggedBatch, ManifestEnd, RecordKind, begin_group, decode_group, push_batch,
};
pub use log::{Room, SegmentInfo, Unsynced, Wal, WalOptions};
pub use replay::{Cut, LogKnown, Replay, ReplayedSegment, replay};
pub use salvage::{Salvaged, salvage};
pub use segment_tail::{SegmentTail, Tailed};
pub use tail::{LogTail, Reached};
