//! Layer 3: the write-ahead log: segments, the groups in them, and replay.

mod group;
mod log;
mod replay;

#[cfg(all(test, not(loom)))]
mod tests;

pub use group::{
    CloseMark, GroupHeader, LoggedBatch, ManifestEnd, RecordKind, begin_group, decode_group, push_batch,
};
pub use log::{Room, SegmentInfo, Unsynced, Wal, WalOptions};
pub use replay::{Cut, LogKnown, Replay, replay};
