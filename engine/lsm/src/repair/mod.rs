//! Layer 9: making a new store from what is left of a damaged one.
//!
//! # Steps
//! 1. **Survey** ([`survey`]): which manifest can be believed, what is left of each table and of each
//!    segment of the log. Nothing is written, and nothing in the damaged directory ever is.
//! 2. **Build** ([`build`]): tables that are whole are copied as they are, of others the blocks that are
//!    left are rewritten, the log is replayed into tables; then a log and a manifest are written, and
//!    `CURRENT` last of all. Until then the new directory is plainly incomplete, and a second repair
//!    begins it anew.
//! 3. **Check**: the new store is opened and verified.
//!
//! # What is known without the manifest
//! With an intact manifest it is known which tables are live, and at which level; what is lost is
//! exactly what their damaged blocks held. Without it, every table in the directory is taken, and merged
//! by sequence number: a table that a compaction had already replaced can then bring back what the
//! compaction removed. The report says so ([`RepairReport::comebacks`]).

mod build;
mod log;
mod manifest;
mod report;
mod run;
mod salvage;
mod survey;
mod tables;

pub use report::{
    Comeback, FamilyReport, FileReport, FileState, LogGap, LostRange, ManifestUse, RepairReport,
};
pub use run::Repair;
