//! A Bloom filter over a keyed hash (Bloom, 1970), for keys that an adversary may choose: the crate
//! `bloomfilter`, whose probes follow from SipHash-1-3 under a seed of 32 bytes.
//!
//! Who knows how the hash of a key comes about can write keys that all set the same few bits, or ask for
//! absent ones that all pass, so that each look goes on to the disk. Under a seed that is drawn for each
//! table and leaves the machine with no answer, nobody can.
//!
//! Stored form: that of the crate (version `u8` 1, bytes of the bitmap `u64`, probes `u32`, seed, bitmap),
//! then a tail of 8 bytes: policy `u8` (2) and zeros.

use super::policy::{FilterPolicy, TAIL_BYTES};
use crate::base::coding::Malformed;
use bloomfilter::Bloom;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

/// What the crate puts in front of the bits.
const HEADER_BYTES: usize = 45;
/// Bits for a key times ln 2, at most.
const MAX_PROBES: u32 = 64;
const TAIL: [u8; TAIL_BYTES] = [FilterPolicy::Keyed as u8, 0, 0, 0, 0, 0, 0, 0];

/// What decides how the keys of one table are hashed.
pub(super) type Seed = [u8; 32];

/// The seed of a table with this random number.
pub(super) fn seed_of(identity: u64) -> Seed {
    let mut seed = [0; 32];
    for (i, part) in seed.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let mut hasher = SipHasher13::new_with_keys(identity, i as u64);
        hasher.write(b"esker");
        *part = hasher.finish().to_le_bytes();
    }
    seed
}

/// The hash of a key under a seed, which stands for the key from here on: so a builder holds 8 bytes for
/// each.
pub(super) fn hash(seed: &Seed, key: &[u8]) -> u64 {
    let mut halves = [[0; 16]; 2];
    halves.as_flattened_mut().copy_from_slice(seed);
    // Neither of the two keys under which the crate hashes the outcome.
    let mut mixed = halves[0];
    mixed.iter_mut().zip(halves[1]).for_each(|(a, b)| *a ^= b);
    let mut hasher = SipHasher13::new_with_key(&mixed);
    hasher.write(key);
    hasher.finish()
}

/// A hash as eight bytes, the same on every machine.
struct Item([u8; 8]);

impl Hash for Item {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// The bytes that a filter over `count` keys takes.
pub(super) fn stored_bytes(bits_per_key: u32, count: usize) -> usize {
    HEADER_BYTES + bitmap_bytes(bits_per_key, count) + TAIL.len()
}

fn bitmap_bytes(bits_per_key: u32, count: usize) -> usize {
    (count * bits_per_key as usize).div_ceil(8).max(8)
}

/// Appends the filter over these hashes.
pub(super) fn build(
    seed: &Seed,
    bits_per_key: u32,
    hashes: impl ExactSizeIterator<Item = u64>,
    out: &mut Vec<u8>,
) {
    let count = hashes.len();
    let bloom = Bloom::new_with_seed(bitmap_bytes(bits_per_key, count), count.max(1), seed);
    // It refuses nothing but sizes of zero.
    let Ok(mut bloom) = bloom else { return };
    hashes.for_each(|hash| bloom.set(&Item(hash.to_le_bytes())));
    out.extend_from_slice(bloom.as_slice());
    out.extend_from_slice(&TAIL);
}

/// A filter in memory.
pub(super) struct Keyed {
    bloom: Bloom<Item>,
    seed: Seed,
}

impl std::fmt::Debug for Keyed {
    /// Without the seed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyed({} bits, {} probes)", self.bloom.len(), self.bloom.number_of_hash_functions())
    }
}

impl Keyed {
    /// Decodes what stands in front of the tail, and the tail.
    pub(super) fn decode(body: &[u8], tail: &[u8]) -> Result<Keyed, Malformed> {
        if tail != TAIL {
            return Err(Malformed { at: body.len() + 1, expected: "zeros" });
        }
        if body.len() <= HEADER_BYTES {
            return Err(Malformed { at: 0, expected: "a keyed filter with its bits" });
        }
        let bloom = Bloom::<Item>::from_slice(body);
        let bloom = bloom.map_err(|_| Malformed { at: 0, expected: "the header of a keyed filter" })?;
        if bloom.number_of_hash_functions() > MAX_PROBES {
            return Err(Malformed { at: 9, expected: "at most 64 probes" });
        }
        Ok(Keyed { seed: bloom.seed(), bloom })
    }

    pub(super) fn may_contain(&self, key: &[u8]) -> bool {
        self.bloom.check(&Item(hash(&self.seed, key).to_le_bytes()))
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.bloom.as_slice().len()
    }
}
