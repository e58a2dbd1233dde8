//! Layer 5: choosing compactions, and the merge that carries them out (flushes too).

mod below;
mod blobs;
mod calm;
mod erasure;
mod fifo;
mod hooks;
mod intake;
mod merge;
mod picker;
mod plan;
mod pressure;
mod ranges;
mod tiered;
mod values;

#[cfg(all(test, not(loom)))]
mod blobs_tests;
#[cfg(all(test, not(loom)))]
mod fifo_tests;
#[cfg(all(test, not(loom)))]
mod picker_tests;
#[cfg(all(test, not(loom)))]
mod ranges_tests;
#[cfg(all(test, not(loom)))]
mod tiered_tests;

pub use below::Below;
pub use blobs::{DEAD_PERCENT, blob_file_bytes, dead_blobs, dead_pressure, holds_dead_since, small_blobs};
pub use calm::{Calm, pick_calm};
pub use erasure::{
    Unerased, can_be_erased, ended_ms, hides_since, hides_since_before, is_due, leftover, unerased,
};
pub use fifo::has_outlived;
pub use hooks::{FoldLimits, JobHooks, OnPanic, Shown};
pub use intake::deepest_free;
pub use merge::{MergeSpec, Merged, merge};
pub use picker::{Busy, Moment, ShapeOptions, Targets, pick, pick_erasure, pick_manual, targets};
pub use plan::{Claim, Claims, Plan, Reason};
pub use pressure::{debt_bytes, level0_pressure};
pub use ranges::{is_seen, joined, oldest_range_ms, retired};
pub use values::ValueSpec;
