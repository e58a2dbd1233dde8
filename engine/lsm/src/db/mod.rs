//! Layer 8: what a user holds.

mod builder;
mod changes;
mod conditional;
mod cursor;
mod expiry;
pub mod explain;
mod explain_text;
mod family;
mod feed;
pub(crate) mod filling;
mod handle;
mod health;
mod hooks;
mod ingest;
mod inner;
mod iter;
mod maintenance;
mod memory;
mod metrics;
mod open;
mod option_fields;
mod options;
pub(crate) mod options_file;
#[cfg(doctest)]
mod pages;
mod pins;
pub(crate) mod prepared;
mod prometheus;
mod read;
mod reading;
mod replay;
mod rewriting;
mod scan;
mod sizes;
mod snapshot;
mod sst_writer;
mod stats;
mod stored;
mod verify;
mod versions;
mod wishes;

pub use builder::Builder;
pub use changes::{Changes, FamilyChanges};
pub use cursor::Cursor;
pub use expiry::Ttl;
pub(crate) use expiry::value_and_expiry;
pub use family::ColumnFamily;
pub use handle::Db;
pub use health::Health;
pub use ingest::{IngestBatch, IngestOptions, Ingested, IngestedFile};
pub use iter::Iter;
pub use memory::{FamilyMemory, MemoryPart, MemoryReport};
pub use metrics::Metrics;
pub use open::Recovery;
pub(crate) use open::{DEFAULT_FAMILY, PLAIN};
pub use options::{FamilyOptions, Options};
pub use options_file::{OptionChange, StoredOptions};
pub use pins::PinInfo;
pub use scan::ScanOptions;
pub use snapshot::Snapshot;
pub use sst_writer::{SstFile, SstSettings, SstWriter};
pub use stats::{
    BlobStats, DictionaryStats, FamilyStats, LevelStats, OpenTransactionStats, RangeStats, Stats,
};
pub use verify::VerifyReport;

#[cfg(all(test, shuttle))]
pub(crate) mod tests;
