//! Layer 1: what a user's code does inside the engine: merging operands, filtering what is compacted.

mod compaction_filter;
mod merge_operator;
mod operators;

pub use compaction_filter::{CompactionFilter, CompactionFilterFactory, FilterContext, Verdict};
pub use merge_operator::{MergeError, MergeOperator};
pub use operators::{Append, Counter, Maximum, Minimum};
