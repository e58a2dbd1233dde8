//! A Bloom filter whose probes for one key all fall into one cache line (Putze, Sanders and
//! Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007).
//!
//! Stored form: lines of 64 bytes, each eight little-endian `u64` words, then a tail of 8 bytes:
//! policy `u8` (1), probes `u8`, two zero bytes, number of lines `u32`.
//!
//! The upper half of the 64-bit hash of a key chooses the line. The hash times an odd constant
//! gives the probes: nine bits each, from the top bits down.

use super::policy::{FilterPolicy, TAIL_BYTES};
use crate::base::coding::{Decoder, Malformed};
use crate::base::memory::prefetch;

const LINE_BYTES: usize = 64;
const LINE_BITS: usize = LINE_BYTES * 8;
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

/// The bytes that a filter over `count` keys takes.
pub(super) fn stored_bytes(bits_per_key: u32, count: usize) -> usize {
    lines(bits_per_key, count) * LINE_BYTES + TAIL_BYTES
}

fn lines(bits_per_key: u32, count: usize) -> usize {
    (count * bits_per_key as usize).div_ceil(LINE_BITS).max(1)
}

/// Appends the filter over these hashes.
pub(super) fn build(bits_per_key: u32, hashes: impl ExactSizeIterator<Item = u64>, out: &mut Vec<u8>) {
    let count = lines(bits_per_key, hashes.len());
    // The optimum is bits times ln 2; a little less costs nothing within one line.
    let probes = (bits_per_key * 3 / 5).clamp(1, MAX_PROBES);
    let mut lines = vec![Line::default(); count];
    for hash in hashes {
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

/// A filter in memory, its lines aligned to cache lines.
#[derive(Debug)]
pub(super) struct Blocked {
    lines: Box<[Line]>,
    probes: u32,
}

impl Blocked {
    /// Decodes what stands in front of the tail, and the tail.
    pub(super) fn decode(lines: &[u8], tail: &[u8]) -> Result<Blocked, Malformed> {
        let at = lines.len();
        let mut tail = Decoder::new(tail);
        tail.byte("filter policy")?;
        let probes = u32::from(tail.byte("number of probes")?);
        if !(1..=MAX_PROBES).contains(&probes) {
            return Err(Malformed { at: at + 1, expected: "between 1 and 7 probes" });
        }
        if tail.take(2, "zeros")? != [0, 0] {
            return Err(Malformed { at: at + 2, expected: "zeros" });
        }
        let count = tail.fixed32("number of filter lines")? as usize;
        if count == 0 || count.checked_mul(LINE_BYTES) != Some(at) {
            return Err(Malformed { at: at + 4, expected: "as many lines as there are bytes for" });
        }
        let (words, _) = lines.as_chunks::<8>();
        let (words, _) = words.as_chunks::<8>();
        let lines: Box<[Line]> = words.iter().map(|line| Line(line.map(u64::from_le_bytes))).collect();
        Ok(Blocked { lines, probes })
    }

    #[inline]
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let line = &self.lines[line_of(hash, self.lines.len())];
        probes_of(hash, self.probes).fold(true, |all, (word, bit)| all & (line.0[word] & bit != 0))
    }

    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch(&self.lines[line_of(hash, self.lines.len())]);
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
    }
}
