//! Layer 6: the write path: order, log, memtable, publish.

mod durable;
mod queue;

pub use durable::{Callback, Durable, Synced};
pub use queue::Queue;
