//! Layer 9: the change feed: what was committed and is durable, in order. `docs/feed.md` says what it
//! promises.

mod batch;
mod consumer;
mod group;
mod operations;
mod reader;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use batch::ChangeBatch;
pub use consumer::FeedConsumer;
pub use operations::{Change, Operation, Operations};
pub use reader::ChangeFeed;
