//! Layer 1: what a user's code does inside the engine: merging operands, filtering what is compacted.

mod compaction_filter;
mod family_hooks;
mod merge_operator;
mod operators;

pub use compaction_filter::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
pub use family_hooks::{Decided, FamilyHooks, HookCounts, MergeFailure};
pub use merge_operator::{MergeError, MergeOperator};
pub use operators::{Append, Counter, Maximum, Minimum};
