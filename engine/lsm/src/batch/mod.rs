//! Layer 1: write batches, in the exact bytes that the write-ahead log stores.

mod builder;
mod condition;
mod copied;
mod decode;

pub use builder::{FamilyRef, WriteBatch};
pub use condition::{Condition, Requirement, Versioned};
pub use decode::{Op, OpIter, decode_ops};
