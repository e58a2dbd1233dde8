//! Carrying histories out on real stores, and looking at what they leave.

mod crash;
mod fault;
mod place;
mod read;
mod runner;
mod shrink;
mod watchdog;

pub use crash::{Cell, Figures, catching, crash_everywhere, file_kind};
pub use fault::{
    Cramped, FaultKind, count_operations, run_on_small_disk, run_with_fault, run_with_full_disk, sync_fails,
};
pub use place::Place;
pub use runner::{Reached, Session, run};
pub use shrink::{keep_failure, shrink};
pub use watchdog::Watchdog;
