//! Layer 1: deleted and dropped ranges of keys.
//!
//! A range has a sequence number like every operation, and concerns what is older than it: a *deleted*
//! range hides it, a *dropped* one is the owner's promise never to read it again. Ranges never stand in
//! sorted runs. They stand beside a memtable, and once that is flushed in the registry of their family,
//! which the manifest keeps.

mod range;
mod set;

#[cfg(all(test, not(loom)))]
mod set_tests;

pub use range::{Range, RangeKind};
pub use set::{RangeSet, RangeWalk, Stretch};
