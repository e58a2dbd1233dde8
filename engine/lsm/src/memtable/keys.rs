//! Which keys a memtable may hold: a Bloom filter with all bits of a key in one word (after Putze, Sanders
//! and Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007).
//!
//! Most keys that are looked up are not in the memtable, and to see that in the list costs as many cache
//! misses as a search in a table. Here it costs one.

use crate::base::memory::prefetch;
use crate::base::sync::quiet::{AtomicU64, Ordering};

/// For so many bytes of a memtable there is one of filter: 14 bits for a key of 16 bytes with a value of 100.
const SHARE: usize = 64;
const BITS_OF_A_KEY: u32 = 4;

/// The keys that were inserted, by their [`crate::base::hash::key_hash`]. One thread adds, all ask.
pub(super) struct Keys {
    words: Box<[AtomicU64]>,
}

/// The bits of a hash within its word. The word is chosen by others.
#[inline]
fn bits(hash: u64) -> u64 {
    (0..BITS_OF_A_KEY).fold(0, |bits, i| bits | 1 << ((hash >> (6 * i)) & 63))
}

impl Keys {
    /// No keys yet, of a memtable that may grow to `expected_bytes`.
    pub(super) fn new(expected_bytes: usize) -> Keys {
        let count = (expected_bytes / SHARE / size_of::<u64>()).max(1);
        Keys { words: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The memory that it takes.
    pub(super) fn size_bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    #[inline]
    fn word(&self, hash: u64) -> &AtomicU64 {
        // A multiplication in place of a remainder (Lemire, 2019).
        &self.words[(((hash >> 32) * self.words.len() as u64) >> 32) as usize]
    }

    /// Has the processor fetch what the other calls look at.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch(self.word(hash));
    }

    /// Adds a key; readers learn of it by whatever tells them of the entry.
    #[inline]
    pub(super) fn add(&self, hash: u64) {
        let word = self.word(hash);
        // One thread adds: no read-modify-write is needed.
        word.store(word.load(Ordering::Relaxed) | bits(hash), Ordering::Relaxed);
    }

    /// Whether a key with this hash may have been added. `false` is certain.
    #[inline]
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let bits = bits(hash);
        self.word(hash).load(Ordering::Relaxed) & bits == bits
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::hash::key_hash;

    #[test]
    fn no_key_is_denied_and_few_others_pass() {
        // As many entries of 116 bytes as fill a memtable of 16 MiB.
        let count = 144_000u64;
        let (keys, hash) = (Keys::new(16 << 20), |i: u64| key_hash(format!("user{i:012}").as_bytes()));
        (0..count).for_each(|i| keys.add(hash(i)));
        assert!((0..count).all(|i| keys.may_contain(hash(i))));
        let passed = (count..2 * count).filter(|&i| keys.may_contain(hash(i))).count();
        assert!(passed * 50 < count as usize, "{passed} of {count}");
        assert_eq!(keys.size_bytes(), 256 << 10);
    }

    #[test]
    fn the_smallest_has_a_word() {
        let keys = Keys::new(0);
        assert!(!keys.may_contain(u64::MAX));
        keys.add(u64::MAX);
        assert!(keys.may_contain(u64::MAX));
    }
}
