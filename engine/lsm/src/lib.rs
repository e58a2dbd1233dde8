//! Esker: a persistent, ordered key-value engine.
//!
//! ```
//! # fn main() -> esker::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("data");
//! let db = esker::Db::open(&path)?;
//! db.put(b"user:1", b"Ada")?; // on disk when it returns
//! assert_eq!(db.get(b"user:1")?.unwrap(), b"Ada");
//! for entry in db.prefix(b"user:")? {
//!     let (key, value) = entry?;
//!     println!("{key:?} = {value:?}");
//! }
//! db.close()
//! # }
//! ```
//!
//! An LSM tree: writes go to a log and a sorted table in memory; full tables in memory are written
//! to disk in the background and merged there, level by level. The folders of this crate are
//! layers; each imports only from layers below it (see `docs/architecture.md`). What each
//! durability mode promises stands in `docs/durability.md`.

pub mod base;
pub mod batch;
pub mod blob;
pub mod block;
pub mod cache;
pub mod compress;
pub mod filter;
pub mod fs;
pub mod hooks;
pub mod iter;
pub mod memtable;
pub mod metrics;
pub mod ranges;
pub mod record;
pub mod table;
pub mod wal;

pub mod locks;
pub mod version;

pub mod compaction;
pub mod inspect;
pub mod tree;

pub mod commit;

pub mod background;

pub mod db;

pub mod backup;
pub mod feed;
pub mod follower;
pub mod repair;
pub mod txn;

pub use background::RestingFamily;
pub use backup::{Backup, BackupOptions, Backups, Checkpoint, Keep};
pub use base::error::{Corruption, Error, HookFailure, IoFailure, Result};
pub use base::observe::ReadContext;
pub use base::position::Position;
pub use base::refusal::{Expected, FoundInstead, IngestRefusal, LockWait};
pub use base::slice::Slice;
pub use batch::{Versioned, WriteBatch};
pub use commit::{
    CopyStats, Durability, FeedConsumerInfo, FeedOptions, FeedStats, PreparedStats, Ticket, TransactionStats,
};
pub use db::explain;
pub use db::{
    BlobStats, Builder, Changes, ColumnFamily, Cursor, Db, DictionaryStats, FamilyChanges, FamilyMemory,
    FamilyOptions, FamilyStats, Health, IngestBatch, IngestOptions, Ingested, IngestedFile, Iter, LevelStats,
    MemoryPart, MemoryReport, Metrics, OpenTransactionStats, OptionChange, Options, PinInfo, RangeStats,
    Recovery, ScanOptions, Snapshot, SstFile, SstSettings, SstWriter, Stats, StoredOptions, Ttl,
    VerifyReport,
};
pub use feed::{Change, ChangeBatch, ChangeFeed, FeedConsumer, Operation, Operations};
pub use filter::{FilterPolicy, PrefixExtractor, PrefixFilterStats};
pub use follower::{
    CaughtUp, Follower, FollowerStats, Lag, ReadOnlyCursor, ReadOnlyDb, ReadOnlyFamily, ReadOnlyFamilyStats,
    ReadOnlyIter, ReadOnlyPrepared, ReadOnlyStats, Restart,
};
pub use repair::{Repair, RepairReport};
pub use tree::PinKind;
pub use txn::{
    CommitError, Locking, Prepared, PreparedInfo, Savepoint, Transaction, TransactionIter, TransactionOptions,
};
pub use version::{CompactionStyle, Fifo, Tiered};
