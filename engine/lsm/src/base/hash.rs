//! The one 64-bit hash of a key, which serves every filter that a read meets.

/// XXH3-64 of a user key (Collet, 2019). Filters on disk depend on it: it must never change.
#[must_use]
pub fn key_hash(user_key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(user_key)
}
