//! Layer 7: what happens behind the user's back: flushes, compactions, syncs, removal of files.

mod compact;
mod erase;
mod events;
mod flush;
mod ingest;
mod jobs;
mod resting;
mod scheduler;

pub use ingest::{Taken, TakenIn};
pub use jobs::Jobs;
pub use resting::RestingFamily;
pub use scheduler::{Mode, Scheduler};
