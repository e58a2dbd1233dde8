//! A position in a data block, both ways, without an allocation per entry.
//!
//! Going back costs no more than going forward: the first step back into a restart interval
//! decodes the whole interval into a buffer, from which the steps after it are served.

use super::data::{Block, RawEntry};
use crate::base::coding::Malformed;
use crate::base::key::{EntryRef, Kind, SeqNum, Trailer};
use crate::base::key_buffer::KeyBuffer;
use crate::base::slice::Slice;
use crate::base::sync::Arc;

/// A position in a block. Starts out without a block, and invalid.
#[derive(Debug, Default)]
pub struct BlockCursor {
    block: Option<Arc<Block>>,
    valid: bool,
    /// Where the current entry begins, and where the next one does.
    at: usize,
    next: usize,
    current: Current,
    key: KeyBuffer,
    /// Entries of one restart interval before the current one, in order; see [`BlockCursor::prev`].
    behind: Vec<Behind>,
    behind_keys: Vec<u8>,
}

/// What is decoded of an entry besides its key.
#[derive(Clone, Copy, Debug)]
struct Current {
    trailer: Trailer,
    kind: Kind,
    expires_at: u64,
    value_len: usize,
}

impl Default for Current {
    fn default() -> Self {
        Current { trailer: Trailer::LAST, kind: Kind::Delete, expires_at: 0, value_len: 0 }
    }
}

/// An entry remembered for going back; its key ends at `key_end` of the key buffer.
#[derive(Clone, Copy, Debug)]
struct Behind {
    at: usize,
    next: usize,
    key_start: usize,
    key_end: usize,
    current: Current,
}

impl BlockCursor {
    /// A cursor without a block.
    #[must_use]
    pub fn new() -> BlockCursor {
        BlockCursor::default()
    }

    /// Takes a block to walk; invalid until a seek.
    pub fn set_block(&mut self, block: Arc<Block>) {
        self.invalidate();
        self.block = Some(block);
    }

    /// Lets go of the block.
    pub fn clear(&mut self) {
        self.invalidate();
        self.block = None;
    }

    /// The block at hand.
    #[must_use]
    pub fn block(&self) -> Option<&Arc<Block>> {
        self.block.as_ref()
    }

    fn invalidate(&mut self) {
        self.valid = false;
        self.behind.clear();
    }

    /// Whether the cursor stands on an entry.
    #[inline]
    #[must_use]
    pub fn valid(&self) -> bool {
        self.valid
    }

    /// The user key of the current entry. Requires [`BlockCursor::valid`].
    #[inline]
    #[must_use]
    pub fn user_key(&self) -> &[u8] {
        debug_assert!(self.valid);
        &self.key
    }

    /// Sequence number and tag of the current entry. Requires [`BlockCursor::valid`].
    #[inline]
    #[must_use]
    pub fn trailer(&self) -> Trailer {
        debug_assert!(self.valid);
        self.current.trailer
    }

    /// The current entry. Requires [`BlockCursor::valid`].
    #[inline]
    #[must_use]
    pub fn entry(&self) -> EntryRef<'_> {
        debug_assert!(self.valid);
        EntryRef {
            key: &self.key,
            seq: self.current.trailer.seq(),
            kind: self.current.kind,
            expires_at: self.current.expires_at,
            value: self.value(),
        }
    }

    #[inline]
    fn value(&self) -> &[u8] {
        match &self.block {
            Some(block) => block.range(self.next - self.current.value_len..self.next),
            None => &[],
        }
    }

    /// The value of the current entry, pinned to its block. Requires [`BlockCursor::valid`].
    #[must_use]
    pub fn value_slice(&self) -> Slice {
        match &self.block {
            Some(block) => block.slice(self.value()),
            None => Slice::default(),
        }
    }

    /// Moves to the first entry.
    ///
    /// # Errors
    /// [`Malformed`], here as below, if the bytes are damaged; the cursor is then invalid.
    pub fn seek_to_first(&mut self) -> Result<(), Malformed> {
        self.invalidate();
        self.key.clear();
        self.step(0)
    }

    /// Moves to the last entry.
    pub fn seek_to_last(&mut self) -> Result<(), Malformed> {
        self.invalidate();
        match &self.block {
            Some(block) => self.step_before(block.clone().entries_end()),
            None => Ok(()),
        }
    }

    /// Moves to the first entry at or after `key` as seen at `seq`.
    pub fn seek(&mut self, key: &[u8], seq: SeqNum) -> Result<(), Malformed> {
        self.seek_trailer(key, Trailer::seek(seq))
    }

    /// Moves to the first entry at or after the internal key.
    pub fn seek_trailer(&mut self, key: &[u8], trailer: Trailer) -> Result<(), Malformed> {
        self.invalidate();
        let Some(block) = &self.block else { return Ok(()) };
        let Some(landing) = block.locate(key, trailer)? else { return Ok(()) };
        let entry = landing.entry;
        // Up to what it shares with its predecessor, the key where the search ended is the target's.
        let Some(shared) = key.get(..entry.shared) else {
            return Err(Malformed { at: landing.at, expected: "a shared length within the previous key" });
        };
        self.key.set(shared);
        self.key.replace_from(entry.shared, entry.suffix);
        self.current = Current::of(&entry, landing.at)?;
        (self.at, self.next, self.valid) = (landing.at, entry.next, true);
        Ok(())
    }

    /// Moves to the last entry before where [`BlockCursor::seek`] would stop.
    pub fn seek_before(&mut self, key: &[u8], seq: SeqNum) -> Result<(), Malformed> {
        self.seek_before_trailer(key, Trailer::seek(seq))
    }

    /// Moves to the last entry before the internal key.
    pub fn seek_before_trailer(&mut self, key: &[u8], trailer: Trailer) -> Result<(), Malformed> {
        self.invalidate();
        let Some(block) = self.block.clone() else { return Ok(()) };
        let at = match block.locate(key, trailer)? {
            Some(landing) => landing.at,
            None => block.entries_end(),
        };
        self.step_before(at)
    }

    /// Moves to the next entry. Requires [`BlockCursor::valid`].
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "named as the steps of every cursor are")]
    pub fn next(&mut self) -> Result<(), Malformed> {
        debug_assert!(self.valid);
        if !self.behind.is_empty() {
            self.behind.clear();
        }
        self.step(self.next)
    }

    /// Moves to the previous entry. Requires [`BlockCursor::valid`].
    pub fn prev(&mut self) -> Result<(), Malformed> {
        debug_assert!(self.valid);
        if self.behind.is_empty() {
            return self.step_before(self.at);
        }
        self.pop_behind();
        Ok(())
    }

    /// Decodes the entry at `at`, whose predecessor's key is in the buffer.
    #[inline]
    fn step(&mut self, at: usize) -> Result<(), Malformed> {
        self.valid = false;
        let Some(block) = &self.block else { return Ok(()) };
        if at >= block.entries_end() {
            return Ok(());
        }
        let entry = block.parse(at)?;
        if entry.shared > self.key.len() {
            return Err(Malformed { at, expected: "a shared length within the previous key" });
        }
        self.key.replace_from(entry.shared, entry.suffix);
        self.current = Current::of(&entry, at)?;
        (self.at, self.next, self.valid) = (at, entry.next, true);
        Ok(())
    }

    /// Moves to the entry that ends at `end`; invalid if that is the beginning.
    #[inline(never)]
    fn step_before(&mut self, end: usize) -> Result<(), Malformed> {
        self.invalidate();
        let Some(block) = self.block.clone() else { return Ok(()) };
        let before = block.restarts().partition_point(|r| (u32::from_le_bytes(*r) as usize) < end);
        let Some(restart) = before.checked_sub(1).and_then(|i| block.restarts().get(i)) else {
            return Ok(());
        };
        let mut at = u32::from_le_bytes(*restart) as usize;
        self.behind_keys.clear();
        let mut key_start = 0;
        while at < end {
            let entry = block.parse(at)?;
            let shared_end = key_start + entry.shared;
            if shared_end > self.behind_keys.len() {
                self.behind.clear();
                return Err(Malformed { at, expected: "a shared length within the previous key" });
            }
            let current = Current::of(&entry, at).inspect_err(|_| self.behind.clear())?;
            let next_start = self.behind_keys.len();
            self.behind_keys.extend_from_within(key_start..shared_end);
            self.behind_keys.extend_from_slice(entry.suffix);
            key_start = next_start;
            let key_end = self.behind_keys.len();
            self.behind.push(Behind { at, next: entry.next, key_start, key_end, current });
            at = entry.next;
        }
        self.pop_behind();
        Ok(())
    }

    fn pop_behind(&mut self) {
        let Some(last) = self.behind.pop() else { return };
        self.key.set(&self.behind_keys[last.key_start..last.key_end]);
        self.current = last.current;
        (self.at, self.next, self.valid) = (last.at, last.next, true);
    }
}

impl Current {
    #[inline]
    fn of(entry: &RawEntry<'_>, at: usize) -> Result<Current, Malformed> {
        Ok(Current {
            trailer: entry.trailer,
            kind: entry.kind(at)?,
            expires_at: entry.expires_at,
            value_len: entry.value.len(),
        })
    }
}
