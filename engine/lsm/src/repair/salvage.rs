//! A cursor over the blocks that are left of a table.

use crate::base::checksum::Identity;
use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, SeqNum, Trailer};
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::block::BlockCursor;
use crate::fs::OpenFile;
use crate::table::{Handle, read_data_block};

/// Walks the blocks that the survey found intact, forward only.
pub(super) struct Salvage {
    file: Arc<OpenFile>,
    identity: Identity,
    blocks: Arc<[Handle]>,
    next: usize,
    cursor: BlockCursor,
}

impl Salvage {
    pub(super) fn new(file: Arc<OpenFile>, identity: Identity, blocks: Arc<[Handle]>) -> Salvage {
        Salvage { file, identity, blocks, next: 0, cursor: BlockCursor::new() }
    }

    /// Moves to the first entry of the next block that has one.
    fn enter(&mut self) -> Result<()> {
        self.cursor.clear();
        while let Some(handle) = self.blocks.get(self.next) {
            self.next += 1;
            self.cursor.set_block(read_data_block(&self.file, self.identity, *handle)?);
            // A block that makes no sense from some entry on was surveyed up to there.
            if self.cursor.seek_to_first().is_ok() && self.cursor.valid() {
                return Ok(());
            }
            self.cursor.clear();
        }
        Ok(())
    }
}

fn forward_only() -> Error {
    Error::invalid("a movement", "what is left of a table is walked forward")
}

impl Cursor for Salvage {
    fn valid(&self) -> bool {
        self.cursor.valid()
    }
    fn user_key(&self) -> &[u8] {
        self.cursor.user_key()
    }
    fn trailer(&self) -> Trailer {
        self.cursor.trailer()
    }
    fn entry(&self) -> EntryRef<'_> {
        self.cursor.entry()
    }
    fn value_slice(&self) -> Slice {
        self.cursor.value_slice()
    }
    fn seek_to_first(&mut self) -> Result<()> {
        self.next = 0;
        self.enter()
    }
    fn seek_to_last(&mut self) -> Result<()> {
        Err(forward_only())
    }
    fn seek(&mut self, _: &[u8], _: SeqNum) -> Result<()> {
        Err(forward_only())
    }
    fn seek_before(&mut self, _: &[u8], _: SeqNum) -> Result<()> {
        Err(forward_only())
    }
    fn next(&mut self) -> Result<()> {
        if self.cursor.next().is_ok() && self.cursor.valid() {
            return Ok(());
        }
        self.enter()
    }
    fn prev(&mut self) -> Result<()> {
        Err(forward_only())
    }
}

/// Leaves out entries whose internal key was shown before: without a manifest a table may be found
/// beside the one that it was merged into.
pub(super) struct Distinct<C> {
    below: C,
    last: Option<(Vec<u8>, Trailer)>,
}

impl<C: Cursor> Distinct<C> {
    pub(super) fn new(below: C) -> Distinct<C> {
        Distinct { below, last: None }
    }
}

impl<C: Cursor> Cursor for Distinct<C> {
    fn valid(&self) -> bool {
        self.below.valid()
    }
    fn user_key(&self) -> &[u8] {
        self.below.user_key()
    }
    fn trailer(&self) -> Trailer {
        self.below.trailer()
    }
    fn entry(&self) -> EntryRef<'_> {
        self.below.entry()
    }
    fn value_slice(&self) -> Slice {
        self.below.value_slice()
    }
    fn seek_to_first(&mut self) -> Result<()> {
        self.last = None;
        self.below.seek_to_first()
    }
    fn seek_to_last(&mut self) -> Result<()> {
        Err(forward_only())
    }
    fn seek(&mut self, _: &[u8], _: SeqNum) -> Result<()> {
        Err(forward_only())
    }
    fn seek_before(&mut self, _: &[u8], _: SeqNum) -> Result<()> {
        Err(forward_only())
    }
    fn next(&mut self) -> Result<()> {
        let (key, trailer) = self.last.get_or_insert_with(|| (Vec::new(), Trailer::LAST));
        key.clear();
        key.extend_from_slice(self.below.user_key());
        // Sequence numbers are unique, but where they were set to zero.
        *trailer = self.below.trailer();
        loop {
            self.below.next()?;
            let again = self.below.valid()
                && self.below.trailer().seq() == trailer.seq()
                && self.below.user_key() == key.as_slice();
            if !again {
                return Ok(());
            }
        }
    }
    fn prev(&mut self) -> Result<()> {
        Err(forward_only())
    }
}
