//! Layer 9: a new store from what is left of a damaged one, with a report of what was lost.
//!
//! # Steps
//! 1. The manifest is read, or what is left of manifests: `catalog`.
//! 2. Every table and every segment of the log is read as far as it can be, and what cannot be is
//!    put down as ranges of keys and sequence numbers: `tables`, `segments`.
//! 3. From that follows, for each family, which files count, and where others may fill in:
//!    `plan`.
//! 4. The sorted runs are merged, newest entry first, into the tables of a new store: `runs`,
//!    `write`. Its `CURRENT` comes last.
//!
//! The damaged store is only ever read. Memory is bounded by what the files that are being merged at
//! one time need: a block each, and the log in sorted pieces.

mod catalog;
mod contents;
mod holes;
mod job;
mod owner;
mod plan;
mod report;
mod runs;
mod segments;
mod tables;
mod text;
mod values;
mod write;

pub use job::Repair;
pub use report::{
    Basis, Doubt, DoubtKind, FileRole, FileState, KeyRange, LogEnd, Loss, Order, RepairReport,
    RepairedFamily, RepairedFile, RepairedLog, SeqRange, Use,
};
