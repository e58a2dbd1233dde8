//! Layer 6: the write path: order, log, memtable, publish.

mod durable;
mod options;
mod poison;
mod queue;
mod request;
mod reserve;
mod rotation;
mod stall;
mod store;
mod work;
mod write;

pub use durable::{Callback, Durable, Synced};
pub use options::CommitOptions;
pub use poison::Poison;
pub use queue::Queue;
pub use request::{Durability, Request, Ticket};
pub use reserve::Reserve;
pub use rotation::MOST_RANGES;
pub use stall::{Gate, Pressure, RANGE_COST_BYTES, Stall, StallLimits, stall, stall_ranges};
pub use store::{Parts, Store, Target, Writer};
pub use work::{Task, Work, WorkState};
