//! Layer 8: what a user holds.

mod builder;
mod changes;
mod conditional;
mod cursor;
mod expiry;
pub mod explain;
mod explain_text;
mod family;
mod handle;
mod health;
mod hooks;
mod ingest;
mod inner;
mod iter;
mod maintenance;
mod open;
mod options;
mod pins;
mod read;
mod replay;
mod scan;
mod sizes;
mod snapshot;
mod sst_writer;
mod stats;
mod verify;

pub use builder::Builder;
pub use cursor::Cursor;
pub use expiry::Ttl;
pub(crate) use expiry::value_and_expiry;
pub use family::ColumnFamily;
pub use handle::Db;
pub use health::Health;
pub use ingest::{IngestBatch, IngestOptions, Ingested, IngestedFile};
pub use iter::Iter;
pub(crate) use open::PLAIN;
pub use open::Recovery;
pub use options::{FamilyOptions, Options};
pub use pins::PinInfo;
pub use scan::ScanOptions;
pub use snapshot::Snapshot;
pub use sst_writer::{SstFile, SstSettings, SstWriter};
pub use stats::{FamilyStats, LevelStats, OpenTransactionStats, RangeStats, Stats};
pub use verify::VerifyReport;

#[cfg(all(test, shuttle))]
pub(crate) mod tests;
