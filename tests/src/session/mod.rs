//! Carrying histories out on real stores, and looking at what they leave.

mod adjust;
mod audit;
mod audit_blobs;
mod batch;
mod copies;
mod crash;
mod cursors;
mod fault;
mod feed;
mod ingest;
mod leave;
mod look;
mod options;
mod place;
mod prepared;
mod reached;
mod read;
mod runner;
mod seeds;
mod settle;
mod shrink;
mod span;
mod standing;
mod transact;
mod watchdog;

pub use audit::audit;
pub(crate) use crash::mix;
pub use crash::{Cell, Figures, catching, crash_everywhere, file_kind};
pub use fault::{
    Cramped, FaultKind, calls_to_fail, kinds_of_calls, run_on_small_disk, run_with_fault, run_with_full_disk,
    sync_fails,
};
pub use leave::{Left, leave, leave_in};
pub use options::{OPTION_SETS, OptionSet};
pub use place::Place;
pub use reached::Reached;
pub use runner::{Session, digests, run};
pub use seeds::{for_each_seed, number};
pub use shrink::{keep_failure, shrink};
pub(crate) use span::{Entries, compact_span, open_iter, remove_span, scan_options, walk};
pub(crate) use standing::{Standing, move_to};
pub(crate) use transact::change_of;
pub use watchdog::Watchdog;
