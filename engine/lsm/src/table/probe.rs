//! Looking up keys in step with each other.
//!
//! A look-up waits four or five times for a cache line whose address it has only just learnt. Many of them at
//! once need not wait one after the other: each asks for the line that it needs next, and while that is on
//! its way the others do the same (Chen, Gibbons and Mowry: Improving Index Performance through Prefetching,
//! 2001). The methods of [`Probe`] are these steps; each asks for what the next one looks at.

use super::piece::Partition;
use super::reader::{Layout, TableReader};
use crate::base::error::Result;
use crate::base::key::{EntryRef, SeqNum, Trailer};
use crate::base::sync::Arc;
use crate::block::{Aim, Block};
use crate::cache::Through;
use crate::filter::Filter;

/// A piece of a table that is pinned with it, or held.
#[derive(Debug)]
enum Held<'a, P> {
    Pinned(&'a P),
    Counted(Arc<P>),
}

impl<P> Held<'_, P> {
    #[inline]
    fn get(&self) -> &P {
        match self {
            Held::Pinned(piece) => piece,
            Held::Counted(piece) => piece,
        }
    }
}

/// The look-up of one key in one table, step by step.
#[derive(Debug)]
pub struct Probe<'a> {
    table: &'a TableReader,
    key: &'a [u8],
    hash: u64,
    trailer: Trailer,
    filter: Option<Held<'a, Filter>>,
    /// The number of the partition, and the partition.
    part: usize,
    partition: Held<'a, Partition>,
    at: usize,
    block: Option<Arc<Block>>,
    aim: Aim,
}

impl<'a> Probe<'a> {
    /// Begins to look for the newest entry of `key` as seen at `seq`, as [`TableReader::get`] does. `None` if
    /// the table does not reach as far.
    ///
    /// # Errors
    /// As [`TableReader::get`], here as below.
    #[inline]
    pub fn new(table: &'a TableReader, key: &'a [u8], hash: u64, seq: SeqNum) -> Result<Option<Probe<'a>>> {
        let trailer = table.target(seq);
        let (part, partition, filter) = match &table.layout {
            Layout::Whole { partition, filter } => {
                (0, Held::Pinned(&**partition), filter.as_deref().map(Held::Pinned))
            }
            Layout::Partitioned(parts) => {
                let Some(part) = parts.top.find(key, trailer) else { return Ok(None) };
                let filter = parts.filter(&table.loader, part, &mut ())?.map(Held::Counted);
                let Some(partition) = parts.partition(&table.loader, part, Through::Cache, &mut ())? else {
                    return Ok(None);
                };
                (part, Held::Counted(partition), filter)
            }
        };
        if let Some(filter) = &filter {
            filter.get().prefetch(hash);
        }
        let (block, aim) = (None, Aim::default());
        Ok(Some(Probe { table, key, hash, trailer, filter, part, partition, at: 0, block, aim }))
    }

    /// Asks the filter, and finds the entry of the index; `false` if the table does not have the key.
    #[inline]
    pub fn find(&mut self) -> Result<bool> {
        if self.filter.take().is_some_and(|filter| !filter.get().may_contain(self.key, self.hash)) {
            return Ok(false);
        }
        let partition = self.partition.get();
        match partition.index.find(self.key, self.trailer) {
            Some(at) => {
                self.at = at;
                partition.blocks.prefetch(at);
                Ok(true)
            }
            None if self.table.is_partitioned() => Err(self.table.partition_ends_early(self.part)),
            None => Ok(false),
        }
    }

    /// Sees where the block is.
    #[inline]
    pub fn see(&self) {
        self.partition.get().blocks.prefetch_piece(self.at);
    }

    /// Takes the block, from the file if it is not cached.
    #[inline]
    pub fn take(&mut self) -> Result<()> {
        self.block = self.table.loader.data(self.partition.get(), self.at, Through::Cache, &mut ())?;
        if let Some(block) = &self.block {
            block.prefetch();
        }
        Ok(())
    }

    /// Finds where in the block to look.
    #[inline]
    pub fn aim(&mut self) {
        if let Some(block) = &self.block {
            self.aim = block.aim(self.key);
        }
    }

    /// The entry, if there is one, and the block that it stands in.
    #[inline]
    pub fn get(&self) -> Result<Option<(EntryRef<'_>, &Arc<Block>)>> {
        let Some(block) = &self.block else { return Ok(None) };
        match block.get_at(self.aim, self.key, self.trailer) {
            Ok(found) => Ok(found.map(|entry| (self.table.numbered(entry), block))),
            Err(malformed) => Err(self.table.damaged_block(&self.partition.get().index, self.at, malformed)),
        }
    }
}
