//! The data blocks of a table one after the other, past the cache.

use super::format::Handle;
use super::piece::Partition;
use super::reader::{Layout, TableReader};
use crate::base::error::Result;
use crate::base::sync::Arc;
use crate::block::Block;
use crate::cache::Through;

impl TableReader {
    /// All data blocks in order, read from the file. An index partition that cannot be read gives
    /// one item with its own handle and the error, and the blocks behind it go on.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks { table: self, place: BlockPlace::default() }
    }

    /// The data block at a place, as [`TableReader::blocks`] gives it, and moves on.
    pub fn next_block(&self, place: &mut BlockPlace) -> Option<(Handle, Result<Arc<Block>>)> {
        loop {
            if let Some(partition) = &place.at {
                if let Some(handle) = partition.index.handle(place.slot) {
                    place.slot += 1;
                    return Some((handle, self.loader.read_data(handle)));
                }
                place.at = None;
            }
            let partition = self.partition(place.partition, Through::File, &mut ());
            place.partition += 1;
            match partition {
                Ok(None) => return None,
                Ok(partition) => (place.at, place.slot) = (partition, 0),
                Err(error) => {
                    let handle = match &self.layout {
                        Layout::Whole { .. } => self.footer.index,
                        Layout::Partitioned(parts) => {
                            parts.top.handle(place.partition - 1).unwrap_or_default()
                        }
                    };
                    return Some((handle, Err(error)));
                }
            }
        }
    }
}

/// A place among the data blocks of a table, see [`TableReader::next_block`].
#[derive(Debug, Default)]
pub struct BlockPlace {
    partition: usize,
    at: Option<Arc<Partition>>,
    slot: usize,
}

/// Iterates over the data blocks of a table; see [`TableReader::blocks`].
#[derive(Debug)]
pub struct Blocks<'a> {
    table: &'a TableReader,
    place: BlockPlace,
}

impl Iterator for Blocks<'_> {
    type Item = (Handle, Result<Arc<Block>>);

    fn next(&mut self) -> Option<Self::Item> {
        self.table.next_block(&mut self.place)
    }
}
