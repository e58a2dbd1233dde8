//! What is remembered of a block in memory that is searched often.
//!
//! On disk every sixteenth key or so stands whole, with its head: more of them would make tables larger. In
//! memory the heads of more entries are worth their room. A search finds the last of them that is less than
//! the target's and walks from there: past a few entries, unless heads are equal.

use super::data::Block;
use crate::base::key::head;
use crate::base::memory::prefetch;

/// From one finger to the next there are at least so many entries.
const EVERY: usize = 4;

/// Fingers take at most this part of the bytes of a block, which is counted whether they are there or not.
/// With entries of 116 bytes that is room for each fourth.
const SHARE: usize = 24;

/// What is counted for the fingers of a block of `bytes`.
pub(super) fn room(bytes: usize) -> usize {
    bytes / SHARE
}

/// Heads of some entries of a block, and where the entries behind them begin.
#[derive(Debug)]
pub(super) struct Fingers {
    /// The heads, ascending, then as many numbers: the offset of the entry behind, times sixteen, plus the
    /// number of bytes that the key has for its head: what is behind is padding.
    words: Box<[u64]>,
}

impl Fingers {
    /// The fingers of a block, in `room` bytes; `None` if that is too little to be better than what is
    /// stored, or something about the block is not as it should be: the search by what is stored will meet
    /// that.
    #[cold]
    pub(super) fn of(block: &Block, room: usize) -> Option<Fingers> {
        let prefix_len = block.prefix().len();
        let most = room / 16;
        let (mut fingers, mut key) = (Vec::with_capacity(most), Vec::new());
        let (mut at, mut n, mut every) = (0, 0usize, EVERY);
        while at < block.entries_end() {
            let entry = block.parse(at).ok()?;
            if entry.shared > key.len() {
                return None;
            }
            key.truncate(entry.shared);
            key.extend_from_slice(entry.suffix);
            (at, n) = (entry.next, n + 1);
            if !n.is_multiple_of(every) {
                continue;
            }
            if fingers.len() == most {
                // Each second one is as many entries from the next as they all are from now on.
                let mut i = 0;
                fingers.retain(|_| {
                    i += 1;
                    i % 2 == 0
                });
                every = every.checked_mul(2)?;
                if fingers.len() == most || !n.is_multiple_of(every) {
                    continue;
                }
            }
            let len = key.strip_prefix(block.prefix())?.len().min(8);
            let head = head(&key, prefix_len);
            if fingers.last().is_some_and(|(last, _)| *last > head) {
                return None;
            }
            fingers.push((head, (at as u64) << 4 | len as u64));
        }
        if fingers.len() < block.restarts().len() {
            return None;
        }
        let heads = fingers.iter().map(|(head, _)| *head);
        Some(Fingers { words: heads.chain(fingers.iter().map(|(_, mark)| *mark)).collect() })
    }

    /// Asks for the heads.
    #[inline]
    pub(super) fn prefetch(&self) {
        for line in self.words.chunks(8) {
            prefetch(line.as_ptr());
        }
    }

    /// Where a search begins: all entries before the offset are less than the target, and the last one of
    /// them shares so many bytes with it. `None` if the key does not have the block's prefix.
    #[inline]
    pub(super) fn start(&self, key: &[u8], prefix: &[u8]) -> Option<(usize, usize)> {
        let rest = key.strip_prefix(prefix)?;
        let wanted = head(rest, 0);
        let (heads, marks) = self.words.split_at(self.words.len() / 2);
        let less = heads.partition_point(|head| *head < wanted);
        let Some(before) = less.checked_sub(1) else { return Some((0, 0)) };
        let (head, mark) = (heads.get(before)?, marks.get(before)?);
        // The heads differ, and at the first byte that does the target has the greater one: it is a byte of
        // its own. The other's may be padding.
        let same = ((head ^ wanted).leading_zeros() / 8) as usize;
        Some(((mark >> 4) as usize, prefix.len() + same.min((mark & 15) as usize)))
    }
}
