//! Layer 2: how sorted runs become what a user walks: runs of a level one behind the other
//! ([`Concat`]), all runs of a family merged ([`Merge`]), and of that what is visible ([`Visible`]).

mod concat;
mod edges;
mod fold;
mod gather;
mod hidden;
mod merge;
mod retain;
mod values;
mod visible;

#[cfg(all(test, not(loom)))]
mod concat_tests;
#[cfg(all(test, not(loom)))]
mod fold_tests;
#[cfg(all(test, not(loom)))]
mod merge_tests;
#[cfg(all(test, not(loom)))]
mod runs;
#[cfg(all(test, not(loom)))]
mod visible_tests;

pub use concat::{Concat, RunSource};
pub use fold::{Fold, Folded, Version};
pub use gather::{Merged, gather, merge_operands};
pub use hidden::Hidden;
pub use merge::Merge;
pub use retain::{Fate, Horizon, Retain};
pub use values::{SharedValues, Values};
pub use visible::Visible;
