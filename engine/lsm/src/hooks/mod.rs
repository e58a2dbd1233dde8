//! Layer 1: what a user's code does inside the engine: merging operands, filtering what is compacted,
//! hearing of what happens.

mod compaction_filter;
mod event_listener;
mod event_queue;
mod events;
mod family_hooks;
mod merge_operator;
mod operators;

pub use compaction_filter::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
pub use event_listener::EventListener;
pub use event_queue::Events;
pub use events::{
    BackgroundError, BackgroundErrorEnded, BackgroundJob, BackupEnded, BecameReadOnly, CheckpointEnded,
    Closed, CompactionBegun, CompactionEnded, CompactionReason, CompactionWay, Event, EventsDropped,
    FamilyCreated, FamilyDropped, FileCreated, FileRemoved, FlushBegun, FlushEnded, IngestEnded,
    MemtableSealed, SealReason, Stall, StallChanged, StallReason, Stalled, TableInfo,
};
pub use family_hooks::{Decided, FamilyHooks, HookCounts, MergeFailure};
pub use merge_operator::{MergeError, MergeOperator};
pub use operators::{Append, Counter, Maximum, Minimum};
