//! Reads a whole table and believes nothing: checksums, order, index, filters, properties.

use super::format::{FOOTER_BYTES, Handle};
use super::index::Index;
use super::properties::{InternalKey, Properties, Runs};
use super::reader::{Layout, TableReader};
use crate::base::blob_ref::BlobRef;
use crate::base::error::{Corruption, Error, Result};
use crate::base::hash::key_hash;
use crate::base::key::{Kind, compare};
use crate::base::sync::Arc;
use crate::block::BlockCursor;
use crate::filter::Filter;
use std::cmp::Ordering;

/// What [`TableReader::verify`] read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Entries.
    pub entries: u64,
    /// Data blocks.
    pub data_blocks: u64,
    /// Blocks of any kind.
    pub blocks: u64,
    /// Bytes of the file, each of them under a checksum that was checked.
    pub bytes: u64,
}

/// What was seen so far.
struct Walk<'a> {
    table: &'a TableReader,
    counted: Properties,
    runs: Runs,
    last: InternalKey,
    blocks: u64,
    bytes: u64,
}

impl TableReader {
    /// Reads every block from the file, past the cache, and checks all that can be checked: the
    /// checksum of each, the order of entries and of separators, the heads and shared lengths that
    /// searches go by, that each entry belongs to its index entry and is not denied by its filter, that
    /// the properties are what is counted, and that no byte of the file is left over.
    ///
    /// # Errors
    /// The first [`Error::Corruption`] met; what reading the file gives.
    pub fn verify(&self) -> Result<Verified> {
        let mut walk = Walk {
            table: self,
            counted: Properties::default(),
            runs: Runs::default(),
            last: InternalKey::default(),
            blocks: 0,
            bytes: FOOTER_BYTES as u64,
        };
        walk.saw(self.footer.properties);
        if let Some(handle) = self.properties().dictionary {
            walk.saw(handle);
            self.loader.read_dictionary(handle)?;
        }
        match &self.layout {
            Layout::Whole { .. } => walk.partition(self.footer.index, self.footer.filter)?,
            Layout::Partitioned(parts) => {
                let (top, filters) = (&parts.top, &parts.filters);
                walk.saw_index(self.footer.index);
                top.check().map_err(|m| self.loader.damaged(self.footer.index, m))?;
                if self.footer.filter != Handle::NONE {
                    walk.saw_filter(self.footer.filter);
                }
                for i in 0..top.len() {
                    let handle = top.handle(i).unwrap_or_default();
                    walk.partition(handle, filters.get(i).copied().unwrap_or(Handle::NONE))?;
                    let (key, trailer) = top.key(i);
                    if (&key, trailer) != (&walk.last.user_key, walk.last.trailer) {
                        let expected = format!("the last separator of partition {i}: {:?}", walk.last);
                        let found = format!("{key:?} {trailer:?}");
                        return Err(walk.wrong(self.footer.index.offset, expected, found));
                    }
                }
            }
        }
        walk.finish()
    }
}

impl Walk<'_> {
    fn wrong(&self, offset: u64, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Corruption::new(&self.table.path(), offset, expected, found).into()
    }

    fn saw(&mut self, handle: Handle) {
        self.blocks += 1;
        self.bytes += handle.stored_bytes();
    }

    fn saw_index(&mut self, handle: Handle) {
        self.saw(handle);
        self.counted.index_bytes += handle.stored_bytes();
    }

    fn saw_filter(&mut self, handle: Handle) {
        self.saw(handle);
        self.counted.filter_bytes += handle.stored_bytes();
    }

    fn partition(&mut self, index: Handle, filter: Handle) -> Result<()> {
        self.saw_index(index);
        let filter = match filter {
            Handle::NONE => None,
            handle => {
                self.saw_filter(handle);
                Some(self.table.loader.read_filter(handle)?)
            }
        };
        let at = index;
        let index = self.table.loader.read_index(at)?;
        index.check().map_err(|m| self.table.loader.damaged(at, m))?;
        for i in 0..index.len() {
            let handle = index.handle(i).unwrap_or_default();
            self.block(handle, filter.as_ref())?;
            self.separates(at, &index, i)?;
        }
        Ok(())
    }

    /// Whether separator `i` is at or after what was seen so far. That the entries behind it are
    /// greater is seen from the order of separators: see `block`.
    fn separates(&mut self, at: Handle, index: &Index, i: usize) -> Result<()> {
        let (key, trailer) = index.key(i);
        if compare((&key, trailer), (&self.last.user_key, self.last.trailer)) == Ordering::Less {
            let expected = format!("separator {i} at or after the last entry of its block");
            return Err(self.wrong(at.offset, expected, format!("{key:?} {trailer:?}")));
        }
        // The next entry must be after the separator, not only after the last entry.
        self.last = InternalKey { user_key: key, trailer };
        Ok(())
    }

    fn block(&mut self, handle: Handle, filter: Option<&Arc<Filter>>) -> Result<()> {
        self.saw(handle);
        self.counted.data_blocks += 1;
        self.counted.data_bytes += handle.stored_bytes();
        let mut cursor = BlockCursor::new();
        let block = self.table.loader.read_data(handle)?;
        block.check().map_err(|m| self.table.loader.damaged(handle, m))?;
        cursor.set_block(block);
        let damaged = |m| self.table.loader.damaged(handle, m);
        cursor.seek_to_first().map_err(damaged)?;
        while cursor.valid() {
            let entry = cursor.entry();
            let here = (entry.key, cursor.trailer());
            if self.counted.entries == 0 {
                self.counted.smallest = InternalKey { user_key: here.0.to_vec(), trailer: here.1 };
            } else if compare((&self.last.user_key, self.last.trailer), here) != Ordering::Less
                // Without numbers there is but one version of a key.
                || self.table.properties().outside && self.last.user_key == entry.key
            {
                let expected = format!("an entry after {:?} {:?}", self.last.user_key, self.last.trailer);
                return Err(self.wrong(handle.offset, expected, format!("{here:?}")));
            }
            let refers = entry.kind == Kind::BlobRef;
            // Nor is there a blob file of a store outside of one.
            if refers && (self.table.properties().outside || BlobRef::decode(entry.value).is_err()) {
                let found = format!("that of {:?}", entry.key);
                return Err(self.wrong(handle.offset, "references to blobs of the table's store", found));
            }
            let prefix = self.table.properties().prefix.and_then(|prefix| prefix.prefix_of(entry.key));
            let denied = |filter: &Arc<Filter>, key: &[u8]| !filter.may_contain(key, key_hash(key));
            if filter.is_some_and(|filter| {
                denied(filter, entry.key) || prefix.is_some_and(|prefix| denied(filter, prefix))
            }) {
                let found = format!("a filter that denies {:?}", entry.key);
                return Err(self.wrong(handle.offset, "a filter with every key", found));
            }
            let found = cursor.block().map(|block| block.get_as_stored(entry.key, here.1));
            if !matches!(found, Some(Ok(Some(found))) if found == entry) {
                return Err(self.wrong(handle.offset, "heads that lead to each entry", format!("{here:?}")));
            }
            self.counted.count(&entry);
            self.runs.count(&entry);
            self.last.user_key.clear();
            self.last.user_key.extend_from_slice(entry.key);
            self.last.trailer = here.1;
            self.counted.largest.trailer = here.1;
            cursor.next().map_err(|m| self.table.loader.damaged(handle, m))?;
        }
        self.counted.largest.user_key.clone_from(&self.last.user_key);
        Ok(())
    }

    fn finish(mut self) -> Result<Verified> {
        let stored = self.table.properties();
        // What cannot be counted is taken as it is said.
        (self.counted.created_ms, self.counted.newest_ms) = (stored.created_ms, stored.newest_ms);
        self.counted.family = stored.family;
        (self.counted.history, self.counted.store) = (stored.history, stored.store);
        (self.counted.codec, self.counted.dictionary) = (stored.codec, stored.dictionary);
        self.counted.filter_policy = stored.filter_policy;
        if self.counted.deletions > 0 {
            self.counted.oldest_deletion_ms = stored.oldest_deletion_ms;
        }
        if stored.longest_deletions > 0 {
            self.counted.longest_deletions = self.runs.longest();
        }
        (self.counted.outside, self.counted.prefix) = (stored.outside, stored.prefix);
        self.counted.raise(self.table.base);
        let offset = self.table.footer.properties.offset;
        if self.counted != *stored {
            let expected = format!("the properties counted: {:?}", self.counted);
            return Err(self.wrong(offset, expected, format!("{stored:?}")));
        }
        let size = self.table.size_bytes();
        if self.bytes != size {
            let found = format!("{} bytes in blocks and footer", self.bytes);
            return Err(self.wrong(offset, format!("a file of {size} bytes, all in use"), found));
        }
        Ok(Verified {
            entries: self.counted.entries,
            data_blocks: self.counted.data_blocks,
            blocks: self.blocks,
            bytes: self.bytes,
        })
    }
}
