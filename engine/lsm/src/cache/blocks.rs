//! The block cache: pieces of tables by where they stand, within a number of bytes.
//!
//! The replacement itself is `quick_cache`'s (an S3-FIFO variant; Yang et al., 2023). This module
//! fixes the key, weighs by bytes, counts, and shows what is alive although evicted.

use crate::base::memory::Account;
use crate::base::sync::Arc;
use crate::base::sync::quiet::{AtomicU64, Ordering};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

/// Where a piece stands: a table by its identity, and the offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// The identity of the table.
    pub table: u64,
    /// The offset of the piece in it.
    pub offset: u64,
}

/// What can be cached: cheap to clone, with a size.
pub trait Weigh: Clone {
    /// Bytes that it takes in memory.
    fn size_bytes(&self) -> usize;
}

/// What a piece takes besides its bytes: the entry of the cache, the `Arc`, the struct behind it.
const OVERHEAD_BYTES: u64 = 160;
/// The size by which the number of entries is guessed, so that few rehashes are needed.
const TYPICAL_BYTES: u64 = 8 << 10;
/// Counters are kept apart by this many cache lines, so that threads do not fight over one.
const STRIPES: usize = 8;

#[derive(Clone, Debug, Default)]
struct ByBytes;

impl<V: Weigh> quick_cache::Weighter<BlockKey, V> for ByBytes {
    fn weight(&self, _: &BlockKey, piece: &V) -> u64 {
        piece.size_bytes() as u64 + OVERHEAD_BYTES
    }
}

/// Mixes the two words of a [`BlockKey`]: the identity is random already.
#[derive(Clone, Debug, Default)]
struct KeyHash;

#[derive(Default)]
struct KeyHasher(u64);

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(0)
    }
}

impl Hasher for KeyHasher {
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a cache did and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Lookups that found their piece.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Bytes that the cache holds.
    pub cached_bytes: u64,
    /// Bytes of all pieces alive: cached, or held by readers only.
    pub alive_bytes: u64,
    /// Bytes that the cache may hold.
    pub capacity_bytes: u64,
}

/// A cache of pieces of tables. All methods may be called from several threads at once.
pub struct BlockCache<V: Weigh> {
    pieces: quick_cache::sync::Cache<BlockKey, V, ByBytes, KeyHash>,
    account: Arc<Account>,
    counters: [Counters; STRIPES],
}

impl<V: Weigh> fmt::Debug for BlockCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockCache").field(&self.stats()).finish()
    }
}

impl<V: Weigh> BlockCache<V> {
    /// A cache that holds up to `capacity_bytes`.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> BlockCache<V> {
        let items = usize::try_from(capacity_bytes / TYPICAL_BYTES).unwrap_or(usize::MAX).clamp(16, 1 << 22);
        BlockCache {
            pieces: quick_cache::sync::Cache::with(
                items,
                capacity_bytes,
                ByBytes,
                KeyHash,
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            account: Account::new(),
            counters: Default::default(),
        }
    }

    /// The piece, if it is cached.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &BlockKey) -> Option<V> {
        let found = self.pieces.get(key);
        self.count(key, found.is_some());
        found
    }

    /// The piece, if it is cached, without making it look used: for scans that shall leave no
    /// trace.
    #[must_use]
    pub fn peek(&self, key: &BlockKey) -> Option<V> {
        let found = self.pieces.peek(key);
        self.count(key, found.is_some());
        found
    }

    #[inline]
    fn count(&self, key: &BlockKey, found: bool) {
        let counters = &self.counters[(key.offset >> 12) as usize % STRIPES];
        let counter = if found { &counters.hits } else { &counters.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Caches a piece; others may be evicted, or the piece itself if it is larger than the cache.
    pub fn insert(&self, key: BlockKey, piece: V) {
        self.pieces.insert(key, piece);
    }

    /// Forgets every piece of a table.
    pub fn forget_table(&self, table: u64) {
        self.pieces.retain(|key, _| key.table != table);
    }

    /// Changes the capacity; pieces are evicted at once if it shrinks.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.pieces.set_capacity(capacity_bytes);
    }

    /// The account that pieces are charged to when they are loaded.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// What the cache did and holds.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let sum = |of: fn(&Counters) -> &AtomicU64| {
            self.counters.iter().map(|counters| of(counters).load(Ordering::Relaxed)).sum()
        };
        CacheStats {
            hits: sum(|counters| &counters.hits),
            misses: sum(|counters| &counters.misses),
            cached_bytes: self.pieces.weight(),
            alive_bytes: self.account.bytes(),
            capacity_bytes: self.pieces.capacity(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Charge;

    #[derive(Clone)]
    struct Piece(Arc<(usize, Charge)>);

    impl Weigh for Piece {
        fn size_bytes(&self) -> usize {
            self.0.0
        }
    }

    #[test]
    fn the_cache_stays_within_its_bytes_and_shows_what_is_pinned() {
        let cache = BlockCache::new(1 << 20);
        let piece = |bytes| Piece(Arc::new((bytes, cache.account().charge(bytes))));
        let held = piece(5000);
        cache.insert(BlockKey { table: 1, offset: 0 }, held.clone());
        for i in 1..2000 {
            cache.insert(BlockKey { table: 1, offset: i * 4096 }, piece(4096));
        }
        let stats = cache.stats();
        assert!(stats.cached_bytes <= 1 << 20 && stats.cached_bytes > 1 << 19, "{stats:?}");
        assert!(stats.alive_bytes <= stats.cached_bytes + 5000, "{stats:?}");
        cache.forget_table(1);
        assert_eq!(cache.stats().alive_bytes, 5000, "evicted, but held");
        drop(held);
        assert_eq!(cache.stats().alive_bytes, 0);
    }

    #[test]
    fn lookups_are_counted() {
        let cache = BlockCache::new(1 << 20);
        let key = BlockKey { table: 7, offset: 4096 };
        assert!(cache.get(&key).is_none());
        cache.insert(key, Piece(Arc::new((10, Charge::none()))));
        assert!(cache.get(&key).is_some() && cache.peek(&key).is_some());
        assert!(cache.get(&BlockKey { table: 8, offset: 4096 }).is_none());
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (2, 2));
    }
}
