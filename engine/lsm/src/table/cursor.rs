//! A position in a table.

use super::format::Handle;
use super::piece::Partition;
use super::reader::TableReader;
use crate::base::coding::Malformed;
use crate::base::cursor::Cursor;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, MAX_SEQ, SeqNum, Trailer};
use crate::base::observe::Observe;
use crate::base::observe::Watch;
use crate::base::slice::Slice;
use crate::base::sync::Arc;
use crate::block::BlockCursor;
use crate::cache::Through;
use crate::filter::WholePrefix;

/// How blocks come to a cursor.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whether blocks that are not cached are put into the cache.
    pub fill_cache: bool,
    /// Walking forward, so many bytes behind a block are asked for ahead of their use; 0 for none.
    pub read_ahead_bytes: usize,
    /// Who is told what is read.
    pub watch: Watch,
}

impl Access {
    /// Blocks that are not cached are put into the cache if `fill_cache`; nothing is read ahead, and nobody
    /// watches.
    #[must_use]
    pub fn plain(fill_cache: bool) -> Access {
        Access { fill_cache, read_ahead_bytes: 0, watch: None }
    }
}

/// A position in a table; it keeps the table open. Errors are sticky.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<TableReader>,
    through: Through,
    /// The partition whose index is at hand.
    partition: usize,
    index: Option<Arc<Partition>>,
    /// The index entry whose block is in `block`.
    slot: usize,
    block: BlockCursor,
    error: Option<Error>,
    read_ahead_bytes: u64,
    /// Up to where the file was asked for ahead.
    asked_to: u64,
    watch: Watch,
    /// The prefix that the filter let pass, until it is seen whether there is a key with it.
    expected: Option<Arc<WholePrefix>>,
}

impl TableCursor {
    /// A cursor over `table`. With `fill_cache` false, blocks that are not cached are read without
    /// being put into the cache: for scans of what will not be read again soon.
    #[must_use]
    pub fn new(table: Arc<TableReader>, fill_cache: bool) -> TableCursor {
        TableCursor::with(table, Access::plain(fill_cache))
    }

    /// A cursor over `table`.
    #[must_use]
    pub fn with(table: Arc<TableReader>, access: Access) -> TableCursor {
        let through = if access.fill_cache { Through::Cache } else { Through::Peek };
        TableCursor {
            table,
            through,
            partition: 0,
            index: None,
            slot: 0,
            block: BlockCursor::new(),
            error: None,
            read_ahead_bytes: access.read_ahead_bytes as u64,
            asked_to: 0,
            watch: access.watch,
            expected: None,
        }
    }

    /// With a prefix that the table's filter lets pass: where the cursor first stands it is seen, and
    /// counted, whether that was in vain.
    #[must_use]
    pub fn expecting(mut self, prefix: Arc<WholePrefix>) -> TableCursor {
        self.expected = Some(prefix);
        self
    }

    #[cold]
    fn see_expected(&mut self) {
        if let Some(prefix) = self.expected.take()
            && !(self.block.valid() && prefix.is_of(self.block.user_key()))
        {
            prefix.in_vain();
            self.watch.prefix_in_vain();
        }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Arc<TableReader> {
        &self.table
    }

    /// The error that the cursor met, if it did.
    fn check(&self) -> Result<()> {
        self.error.as_ref().map_or(Ok(()), |error| Err(error.clone()))
    }

    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        self.block.clear();
        self.error = Some(error.clone());
        error
    }

    #[cold]
    fn damaged(&mut self, malformed: Malformed) -> Error {
        let handle = self.handle().unwrap_or_default();
        let error = self.table.loader.damaged(handle, malformed);
        self.fail(error)
    }

    /// Where the block at hand stands.
    fn handle(&self) -> Option<Handle> {
        self.index.as_ref().and_then(|of| of.index.handle(self.slot))
    }

    /// Runs a step; an error of it sticks.
    fn stick(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.check()?;
        match step(self) {
            Ok(()) => {
                if self.expected.is_some() {
                    self.see_expected();
                }
                Ok(())
            }
            // `damaged` may have kept it already; keeping it again changes nothing.
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Takes the index of a partition; `false` behind the last.
    fn open_partition(&mut self, partition: usize) -> Result<bool> {
        if self.index.is_none() || self.partition != partition {
            self.block.clear();
            self.index = self.table.partition(partition, self.through, &mut self.watch)?;
            self.partition = partition;
        }
        Ok(self.index.is_some())
    }

    /// Takes the block of an index entry; `false` behind the last of the partition. The block at
    /// hand is not fetched again.
    fn open_block(&mut self, slot: usize) -> Result<bool> {
        if self.block.block().is_some() && self.slot == slot {
            return Ok(true);
        }
        let of = self.index.as_deref();
        let (loader, through, watch) = (&self.table.loader, self.through, &mut self.watch);
        let block = of.map(|of| loader.data(of, slot, through, watch)).transpose()?.flatten();
        let Some(block) = block else {
            self.block.clear();
            return Ok(false);
        };
        self.block.set_block(block);
        self.slot = slot;
        Ok(true)
    }

    /// Opens the block where a search for the target ends; `false` if it is behind the last.
    fn open_target(&mut self, key: &[u8], trailer: Trailer) -> Result<bool> {
        let Some(partition) = self.table.find_partition(key, trailer) else { return Ok(false) };
        if !self.open_partition(partition)? {
            return Ok(false);
        }
        match self.index.as_ref().and_then(|of| of.index.find(key, trailer)) {
            Some(slot) => self.open_block(slot),
            None if self.table.is_partitioned() => Err(self.table.partition_ends_early(partition)),
            None => Ok(false),
        }
    }

    /// Asks for what follows the block at hand, when half of what was asked for before is used up.
    #[cold]
    fn ask_ahead(&mut self) {
        let Some(handle) = self.handle() else { return };
        let end = handle.offset + u64::from(handle.size);
        if end + self.read_ahead_bytes / 2 < self.asked_to {
            return;
        }
        let from = end.max(self.asked_to);
        self.asked_to = from + self.read_ahead_bytes;
        self.table.loader.ask_ahead(from, self.read_ahead_bytes);
    }

    /// Moves to the first entry of the next block, over partitions.
    fn next_block(&mut self) -> Result<()> {
        if self.read_ahead_bytes > 0 {
            self.ask_ahead();
        }
        let mut slot = self.slot + 1;
        loop {
            if self.open_block(slot)? {
                return self.block.seek_to_first().map_err(|m| self.damaged(m));
            }
            if self.partition + 1 >= self.table.partitions() || !self.open_partition(self.partition + 1)? {
                return Ok(());
            }
            slot = 0;
        }
    }

    /// Moves to the last entry of the previous block, over partitions.
    fn prev_block(&mut self) -> Result<()> {
        let mut before = self.slot.checked_sub(1);
        loop {
            if let Some(slot) = before
                && self.open_block(slot)?
            {
                return self.block.seek_to_last().map_err(|m| self.damaged(m));
            }
            let Some(partition) = self.partition.checked_sub(1) else {
                self.block.clear();
                return Ok(());
            };
            if !self.open_partition(partition)? {
                return Ok(());
            }
            before = self.index.as_ref().and_then(|of| of.index.len().checked_sub(1));
        }
    }

    fn last(&mut self) -> Result<()> {
        self.block.clear();
        let Some(partition) = self.table.partitions().checked_sub(1) else { return Ok(()) };
        if !self.open_partition(partition)? {
            return Ok(());
        }
        self.slot = self.index.as_ref().map_or(0, |of| of.index.len());
        self.prev_block()
    }
}

impl Cursor for TableCursor {
    #[inline]
    fn valid(&self) -> bool {
        self.block.valid()
    }

    #[inline]
    fn user_key(&self) -> &[u8] {
        self.block.user_key()
    }

    #[inline]
    fn trailer(&self) -> Trailer {
        self.block.trailer().raised(self.table.base)
    }

    #[inline]
    fn entry(&self) -> EntryRef<'_> {
        self.table.numbered(self.block.entry())
    }

    fn value_slice(&self) -> Slice {
        self.block.value_slice()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.stick(|cursor| {
            if cursor.open_partition(0)? && cursor.open_block(0)? {
                return cursor.block.seek_to_first().map_err(|m| cursor.damaged(m));
            }
            Ok(())
        })
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.stick(Self::last)
    }

    fn seek(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.stick(|cursor| {
            let target = cursor.table.target(seq);
            if !cursor.open_target(key, target)? {
                cursor.block.clear();
                return Ok(());
            }
            cursor.block.seek_trailer(key, target).map_err(|m| cursor.damaged(m))?;
            // A separator may be greater than every key of its block.
            if cursor.block.valid() { Ok(()) } else { cursor.next_block() }
        })
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNum) -> Result<()> {
        self.stick(|cursor| {
            let target = cursor.table.target(seq);
            if !cursor.open_target(key, target)? {
                return cursor.last();
            }
            cursor.block.seek_before_trailer(key, target).map_err(|m| cursor.damaged(m))?;
            if cursor.block.valid() { Ok(()) } else { cursor.prev_block() }
        })
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        if self.error.is_some() {
            return self.check();
        }
        match self.block.next() {
            Ok(()) if self.block.valid() => Ok(()),
            Ok(()) => self.stick(Self::next_block),
            Err(malformed) => Err(self.damaged(malformed)),
        }
    }

    fn prev(&mut self) -> Result<()> {
        if self.error.is_some() {
            return self.check();
        }
        match self.block.prev() {
            Ok(()) if self.block.valid() => Ok(()),
            Ok(()) => self.stick(Self::prev_block),
            Err(malformed) => Err(self.damaged(malformed)),
        }
    }

    fn skip_to(&mut self, key: Option<&[u8]>, seq: SeqNum) -> Result<bool> {
        self.check()?;
        if self.table.properties().max_seq >= seq {
            return Ok(false);
        }
        match key {
            Some(key) => self.seek(key, MAX_SEQ)?,
            None => self.block.clear(),
        }
        Ok(true)
    }

    fn skip_before(&mut self, key: &[u8], seq: SeqNum) -> Result<bool> {
        self.check()?;
        if self.table.properties().max_seq >= seq {
            return Ok(false);
        }
        // Nothing stands before the empty key.
        if key.is_empty() {
            self.block.clear()
        } else {
            self.seek_before(key, MAX_SEQ)?
        }
        Ok(true)
    }
}
