//! Layer 6: the write path: order, log, memtable, publish.

mod capture;
mod checks;
mod conditions;
mod consumers;
mod counts;
mod durable;
mod events;
mod feed;
mod hold;
mod ingest;
mod keeping;
mod live;
mod options;
mod poison;
mod prepared;
mod queue;
mod ranges;
mod request;
mod reserve;
mod retention;
mod rotation;
mod stall;
mod store;
mod targets;
mod validate;
mod work;
mod write;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use capture::{Capture, CapturedSegment};
pub use checks::{Checks, KeyCheck, RangeCheck, Refused, Why};
pub use consumers::FeedConsumerInfo;
pub use counts::{CopyCounts, CopyStats, TransactionCounts, TransactionStats};
pub use durable::{Callback, Durable, Synced};
pub use feed::{FeedStats, Leaving, kept, let_go};
pub use hold::Hold;
pub use ingest::{Intake, Turned};
pub use keeping::{FeedMoment, FeedOptions};
pub use options::CommitOptions;
pub use poison::Poison;
pub use prepared::{PreparedEntry, PreparedStats};
pub use queue::Queue;
pub use request::{Answer, Durability, Request, Ticket};
pub use reserve::{Drawer, Reserve};
pub use retention::{LogHold, Retention};
pub use rotation::MOST_RANGES;
pub use stall::{Gate, Pressure, RANGE_COST_BYTES, Stall, StallLimits, stall, stall_ranges};
pub use store::{Parts, Store, Writer};
pub use validate::Watch;
pub use work::{Task, Work, WorkState};
