//! The first blocks of a table, kept until a dictionary is trained on them, and whether it pays.
//!
//! 1. While blocks are kept nothing is written, so that the dictionary can be the first block of the file: a
//!    reader that has lost the properties finds it there.
//! 2. No partition is cut meanwhile: the filter under construction has the keys of all that is kept. So the
//!    first partition may be larger than the others.
//! 3. What is kept is bounded in bytes and in number. Once it is enough, or the table ends, or would be as
//!    large as it may be if all were raw, it is written, with the dictionary if that saves more of these
//!    very blocks than it takes itself.
//!
//! The same entries give the same file: samples are taken at equal distances, and the training of zstd
//! throws no dice.

use super::format::TRAILER_BYTES;
use crate::base::key::Trailer;
use crate::compress::{Compressor, train};

/// So many bytes of samples are kept for each byte of the dictionary, as zstd advises.
const BYTES_FOR_EACH: usize = 100;

/// The most bytes that are kept.
pub(super) const MOST_BYTES: usize = 8 << 20;

/// The most blocks that are kept: as many as an index has room for before it is split, unless keys are long.
const MOST_BLOCKS: usize = 4096;

/// So many blocks are compressed both ways to see what a dictionary saves.
const COMPARED: usize = 128;

/// What a dictionary costs beside its own bytes: the trailer of its block, and the property.
const COST_BYTES: usize = TRAILER_BYTES + 14;

/// Blocks that wait for a dictionary.
#[derive(Debug)]
pub(super) struct Kept {
    enough: usize,
    raw: Vec<u8>,
    sizes: Vec<usize>,
    /// The separators behind them, as the index will have them.
    keys: Vec<(Box<[u8]>, Trailer)>,
    key_bytes: usize,
}

impl Kept {
    pub(super) fn new(dictionary_bytes: usize) -> Kept {
        let enough = dictionary_bytes.saturating_mul(BYTES_FOR_EACH).min(MOST_BYTES);
        Kept { enough, raw: Vec::new(), sizes: Vec::new(), keys: Vec::new(), key_bytes: 0 }
    }

    /// What is kept, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.raw.len() + self.key_bytes
    }

    /// Whether a block of `bytes` can be kept, too.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.size_bytes().saturating_add(bytes) <= MOST_BYTES
    }

    /// Whether there is enough to train a dictionary on.
    pub(super) fn is_enough(&self) -> bool {
        self.size_bytes() >= self.enough || self.sizes.len() >= MOST_BLOCKS
    }

    pub(super) fn add_block(&mut self, raw: &[u8]) {
        self.raw.extend_from_slice(raw);
        self.sizes.push(raw.len());
    }

    /// The separator behind the last block.
    pub(super) fn add_separator(&mut self, key: &[u8], trailer: Trailer) {
        self.key_bytes += key.len() + size_of::<(Box<[u8]>, Trailer)>();
        self.keys.push((key.into(), trailer));
    }

    /// The blocks in order.
    fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.raw.as_slice();
        self.sizes.iter().map_while(move |size| {
            let (block, behind) = rest.split_at_checked(*size)?;
            rest = behind;
            Some(block)
        })
    }

    /// The blocks in order, each with the separator behind it.
    pub(super) fn separated(&self) -> impl Iterator<Item = (&[u8], &[u8], Trailer)> {
        self.blocks().zip(&self.keys).map(|(block, (key, trailer))| (block, &key[..], *trailer))
    }

    /// A dictionary of at most `most_bytes` and a compressor with it, if it pays: if what it saves of the
    /// blocks here, by those that are compared, is more than it takes.
    pub(super) fn dictionary(
        &self,
        plain: &mut Compressor,
        level: i32,
        most_bytes: usize,
    ) -> Option<(Vec<u8>, Compressor)> {
        let trained = train(&self.raw, &self.sizes, most_bytes)?;
        let mut with = Compressor::with_dictionary(&trained, level).ok()?;
        let (mut raw, mut without, mut stored) = (0, 0, 0);
        let mut out = Vec::new();
        for block in self.blocks().step_by(self.sizes.len().div_ceil(COMPARED).max(1)) {
            raw += block.len() as u64;
            for (compressor, sum) in [(&mut *plain, &mut without), (&mut with, &mut stored)] {
                out.clear();
                compressor.compress(block, &mut out);
                *sum += out.len() as u64;
            }
        }
        let saved = without.saturating_sub(stored) * self.raw.len() as u64 / raw.max(1);
        (saved > (trained.len() + COST_BYTES) as u64).then_some((trained, with))
    }
}
