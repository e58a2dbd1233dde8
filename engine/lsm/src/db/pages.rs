//! Pages of the documents, so that their examples are run.

#[doc = include_str!("../../../../docs/coming-from-rocksdb.md")]
struct ComingFromRocksDb;

#[doc = include_str!("../../../../docs/blobs.md")]
struct LargeValues;

#[doc = include_str!("../../../../docs/followers.md")]
struct Followers;
