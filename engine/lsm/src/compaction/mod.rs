//! Layer 5: choosing compactions, and the merge that carries them out (flushes too).

mod below;
mod hooks;
mod merge;
mod picker;
mod plan;

#[cfg(all(test, not(loom)))]
mod picker_tests;

pub use below::Below;
pub use hooks::{FoldLimits, JobHooks, OnPanic, Shown};
pub use merge::{MergeSpec, Merged, merge};
pub use picker::{Busy, Moment, ShapeOptions, Targets, debt_bytes, pick, pick_manual, targets};
pub use plan::{Claim, Claims, Plan, Reason};
