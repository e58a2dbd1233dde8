//! Pages of the documents, so that their examples are run.

#[doc = include_str!("../../../../docs/coming-from-rocksdb.md")]
struct ComingFromRocksDb;
