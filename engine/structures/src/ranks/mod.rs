//! Layer 1: the counts of a sorted set as a process remembers them, and which sets it remembers.

mod known;
mod tree;

pub use known::{Known, Of};
pub use tree::{Change, Counted, Tree};
