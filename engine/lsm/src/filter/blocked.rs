//! A Bloom filter whose probes for one key all fall into one cache line (Putze, Sanders and
//! Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007).
//!
//! Stored form: lines of 64 bytes, each eight little-endian `u64` words, then a tail of 8 bytes:
//! policy `u8` (1), probes `u8`, two zero bytes, number of lines `u32`.
//!
//! The upper half of the 64-bit hash of a key chooses the line. The hash times an odd constant
//! gives the probes: nine bits each, from the top bits down.

use super::policy::FilterPolicy;
use crate::base::coding::{Decoder, Malformed};
use crate::base::memory::{Account, Charge};
use crate::base::sync::Arc;

const LINE_BYTES: usize = 64;
const LINE_BITS: usize = LINE_BYTES * 8;
const TAIL_BYTES: usize = 8;
/// Seven times nine bits are what a 64-bit number gives.
const MAX_PROBES: u32 = 7;
const PROBE_BITS: u32 = 9;
/// 2^64 divided by the golden ratio, made odd.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// One cache line of bits.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line([u64; 8]);

const _: () = assert!(std::mem::size_of::<Line>() == LINE_BYTES && 1 << PROBE_BITS == LINE_BITS);

/// The line that a hash belongs to: a multiplication in place of a remainder (Lemire, 2019).
#[inline]
fn line_of(hash: u64, lines: usize) -> usize {
    (((hash >> 32) * lines as u64) >> 32) as usize
}

/// The bit positions of a hash within its line.
#[inline]
fn probes_of(hash: u64, probes: u32) -> impl Iterator<Item = (usize, u64)> {
    let spread = hash.wrapping_mul(SPREAD);
    (0..probes).map(move |i| {
        let bit = (spread >> (64 - PROBE_BITS - i * PROBE_BITS)) as usize % LINE_BITS;
        (bit / 64, 1u64 << (bit % 64))
    })
}

/// Collects the hashes of the distinct keys of a container.
#[derive(Debug)]
pub struct FilterBuilder {
    bits_per_key: u32,
    hashes: Vec<u64>,
}

impl FilterBuilder {
    /// A builder that spends `bits_per_key` bits on each key; 10 leave about 1 % false positives.
    #[must_use]
    pub fn new(bits_per_key: u32) -> FilterBuilder {
        FilterBuilder { bits_per_key: bits_per_key.clamp(1, 64), hashes: Vec::new() }
    }

    /// Adds the hash of a key ([`crate::base::hash::key_hash`]).
    pub fn add(&mut self, hash: u64) {
        self.hashes.push(hash);
    }

    /// How many hashes were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether no hash was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The size of the filter over what was added, in bytes.
    #[must_use]
    pub fn estimated_bytes(&self) -> usize {
        self.lines() * LINE_BYTES + TAIL_BYTES
    }

    fn lines(&self) -> usize {
        (self.hashes.len() * self.bits_per_key as usize).div_ceil(LINE_BITS).max(1)
    }

    /// Appends the filter to `out` and starts over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let count = self.lines();
        // The optimum is bits times ln 2; a little less costs nothing within one line.
        let probes = (self.bits_per_key * 3 / 5).clamp(1, MAX_PROBES);
        let mut lines = vec![Line::default(); count];
        for hash in self.hashes.drain(..) {
            let line = &mut lines[line_of(hash, count)];
            for (word, bit) in probes_of(hash, probes) {
                line.0[word] |= bit;
            }
        }
        out.reserve(count * LINE_BYTES + TAIL_BYTES);
        for word in lines.iter().flat_map(|line| line.0) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&[FilterPolicy::Blocked as u8, probes as u8, 0, 0]);
        out.extend_from_slice(&(count as u32).to_le_bytes());
    }
}

/// A filter in memory, its lines aligned to cache lines.
#[derive(Debug)]
pub struct Filter {
    lines: Box<[Line]>,
    probes: u32,
    _charge: Charge,
}

impl Filter {
    /// Decodes a filter and counts its bytes in `account`.
    ///
    /// # Errors
    /// [`Malformed`] if these are not the bytes of a filter that this version knows.
    pub fn decode(bytes: &[u8], account: Option<&Arc<Account>>) -> Result<Filter, Malformed> {
        let body = bytes.len().checked_sub(TAIL_BYTES);
        let body = body.ok_or(Malformed { at: 0, expected: "a filter with its tail" })?;
        let mut decoder = Decoder::new(bytes);
        let lines = decoder.take(body, "filter lines")?;
        let policy = decoder.byte("filter policy")?;
        if FilterPolicy::from_byte(policy) != Some(FilterPolicy::Blocked) {
            return Err(Malformed { at: body, expected: "filter policy 1" });
        }
        let probes = u32::from(decoder.byte("number of probes")?);
        if !(1..=MAX_PROBES).contains(&probes) {
            return Err(Malformed { at: body + 1, expected: "between 1 and 7 probes" });
        }
        if decoder.take(2, "zeros")? != [0, 0] {
            return Err(Malformed { at: body + 2, expected: "zeros" });
        }
        let count = decoder.fixed32("number of filter lines")? as usize;
        if count == 0 || count.checked_mul(LINE_BYTES) != Some(body) {
            return Err(Malformed { at: body + 4, expected: "as many lines as there are bytes for" });
        }
        let (words, _) = lines.as_chunks::<8>();
        let (words, _) = words.as_chunks::<8>();
        let lines: Box<[Line]> = words.iter().map(|line| Line(line.map(u64::from_le_bytes))).collect();
        let charge = account.map_or_else(Charge::none, |account| account.charge(body));
        Ok(Filter { lines, probes, _charge: charge })
    }

    /// Whether a key with this hash may be in the container. `false` is certain.
    #[inline]
    #[must_use]
    pub fn may_contain(&self, hash: u64) -> bool {
        let line = &self.lines[line_of(hash, self.lines.len())];
        probes_of(hash, self.probes).fold(true, |all, (word, bit)| all & (line.0[word] & bit != 0))
    }

    /// Bytes that the filter takes in memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::key_hash;
    use proptest::prelude::*;

    fn build(bits_per_key: u32, hashes: impl Iterator<Item = u64>) -> Vec<u8> {
        let mut builder = FilterBuilder::new(bits_per_key);
        hashes.for_each(|hash| builder.add(hash));
        let mut out = Vec::new();
        let expected = builder.estimated_bytes();
        builder.finish(&mut out);
        assert_eq!(out.len(), expected);
        assert!(builder.is_empty());
        out
    }

    proptest! {
        #[test]
        fn no_key_is_denied(hashes in prop::collection::vec(any::<u64>(), 0..2000), bits in 1u32..30) {
            let bytes = build(bits, hashes.iter().copied());
            let filter = Filter::decode(&bytes, None).unwrap();
            prop_assert!(hashes.iter().all(|&hash| filter.may_contain(hash)));
        }

        #[test]
        fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), hash in any::<u64>()) {
            if let Ok(filter) = Filter::decode(&bytes, None) {
                let _ = filter.may_contain(hash);
            }
        }
    }

    #[test]
    fn few_absent_keys_pass_at_ten_bits() {
        type KeyOf = fn(u64) -> Vec<u8>;
        let sequential: KeyOf = |i| format!("user{i:012}").into_bytes();
        let random: KeyOf = |i| key_hash(&i.to_le_bytes()).to_le_bytes().to_vec();
        for key in [sequential, random] {
            let bytes = build(10, (0..100_000).map(|i| key_hash(&key(i))));
            let filter = Filter::decode(&bytes, None).unwrap();
            let passed = (100_000..300_000).filter(|&i| filter.may_contain(key_hash(&key(i)))).count();
            let rate = passed as f64 / 200_000.0;
            assert!(rate < 0.015, "{rate}");
        }
    }

    #[test]
    fn the_bits_of_a_key_never_move() {
        let bytes = build(10, [key_hash(b"ridge")].into_iter());
        let set: Vec<usize> =
            (0..bytes.len() * 8).filter(|i| bytes[i / 8] & (1 << (i % 8)) != 0 && i / 8 < 64).collect();
        assert_eq!(set, [64, 108, 257, 280, 325, 433], "filters on disk depend on these positions");
        assert_eq!(bytes[64..], [1, 6, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn other_policies_are_refused() {
        let mut bytes = build(10, [1, 2, 3].into_iter());
        let policy = bytes.len() - TAIL_BYTES;
        bytes[policy] = FilterPolicy::Keyed as u8;
        assert_eq!(Filter::decode(&bytes, None).unwrap_err().at, policy);
    }
}
