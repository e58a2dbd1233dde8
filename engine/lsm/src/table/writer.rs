//! Writes a table, front to back, from entries in internal-key order.

use super::dictionary::Kept;
use super::format::{FOOTER_BYTES, Footer, Handle, MAX_META_BYTES, seal};
use super::index::{IndexBuilder, separator};
use super::options::TableOptions;
use super::properties::{InternalKey, Properties, Runs};
use crate::base::checksum::Identity;
use crate::base::error::{Error, Result};
use crate::base::key::{EntryRef, NEVER, Trailer, compare};
use crate::base::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::block::BlockBuilder;
use crate::compress::{Codec, Compressor};
use crate::filter::{FilterBuilder, FilterPolicy, PrefixExtractor};
use crate::fs::OpenFile;
use std::cmp::Ordering;

/// Bytes are handed to the file in pieces of about this many.
const BUFFER_BYTES: usize = 256 << 10;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSummary {
    /// The size of the file.
    pub size_bytes: u64,
    /// The identity that its checksums are bound to.
    pub identity: Identity,
    /// What the table says about itself, smallest and largest key among it.
    pub properties: Properties,
}

/// Writes one table. Dropped before [`TableWriter::finish`], it leaves a file that is not a table.
#[derive(Debug)]
pub struct TableWriter {
    sink: Sink,
    options: TableOptions,
    compressor: Compressor,
    /// Of the data blocks, if the table has a dictionary.
    with_dictionary: Option<Compressor>,
    /// The first blocks, as long as the table may still get a dictionary: nothing is written before.
    kept: Option<Kept>,
    block: BlockBuilder,
    /// The block that was finished last, until the first key behind it is known.
    unindexed: Option<Handle>,
    last: InternalKey,
    /// Index and filter of the partition under construction.
    index: IndexBuilder,
    filter: Option<FilterBuilder>,
    /// How long the prefix of the last key is, if the filter of the partition has it.
    prefix_in_filter: Option<usize>,
    /// The partitions that were cut: last separators with their indexes, and their filters.
    top: IndexBuilder,
    filters: Vec<Handle>,
    properties: Properties,
    runs: Runs,
    scratch: Vec<u8>,
}

impl TableWriter {
    /// A writer into an empty file. `identity` must be random, and drawn for this file alone.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if an option is out of its range.
    pub fn new(file: OpenFile, identity: Identity, options: TableOptions) -> Result<TableWriter> {
        options.validate()?;
        let origin = options.origin;
        let kept = options.dictionary_bytes > 0 && options.codec == Codec::Zstd;
        Ok(TableWriter {
            sink: Sink { file, identity, buffer: Vec::with_capacity(BUFFER_BYTES), written: 0 },
            compressor: Compressor::new(options.codec, options.zstd_level)?,
            with_dictionary: None,
            kept: kept.then(|| Kept::new(options.dictionary_bytes)),
            block: BlockBuilder::new(options.restart_interval),
            unindexed: None,
            last: InternalKey::default(),
            index: IndexBuilder::default(),
            filter: FilterBuilder::new(options.filter, options.bits_per_key, identity),
            prefix_in_filter: None,
            top: IndexBuilder::default(),
            filters: Vec::new(),
            properties: Properties {
                created_ms: origin.created_ms,
                newest_ms: origin.newest_ms,
                family: origin.family,
                store: origin.store,
                history: origin.history,
                outside: origin.outside,
                codec: options.codec as u8,
                filter_policy: options.filter as u8,
                prefix: options.prefix.filter(|_| options.filter != FilterPolicy::None),
                ..Properties::default()
            },
            runs: Runs::default(),
            scratch: Vec::new(),
            options,
        })
    }

    /// Adds an entry, which must sort after all that were added before.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an entry out of order, and what writing the file gives. After
    /// an error the writer is good for nothing but to be dropped.
    pub fn add(&mut self, entry: &EntryRef<'_>) -> Result<()> {
        let trailer = entry.trailer();
        let first = self.properties.entries == 0;
        if !first {
            let order = compare((&self.last.user_key, self.last.trailer), (entry.key, trailer));
            if order != Ordering::Less || self.properties.outside && self.last.user_key == entry.key {
                return Err(self.out_of_order(entry.key));
            }
        }
        if entry.key.len() > MAX_KEY_BYTES {
            return Err(Error::KeyTooLarge { bytes: entry.key.len() });
        }
        if entry.value.len() > MAX_VALUE_BYTES {
            return Err(Error::ValueTooLarge { bytes: entry.value.len() });
        }
        if !self.block.is_empty() && self.block.size_with(entry) > self.options.block_bytes {
            self.finish_block()?;
            self.index_block(Some(entry.key))?;
        }
        let same_key = !first && self.last.user_key == entry.key;
        if let Some(filter) = &mut self.filter
            // The versions of a key may go on in the next partition, whose filter is a new one.
            && (!same_key || filter.is_empty())
        {
            filter.add(entry.key);
            if let Some(extractor) = self.options.prefix {
                self.add_prefix(extractor, entry.key);
            }
        }
        self.block.add(entry);
        self.properties.count(entry);
        self.runs.count(entry);
        if !same_key {
            self.last.user_key.clear();
            self.last.user_key.extend_from_slice(entry.key);
        }
        self.last.trailer = trailer;
        if first {
            self.properties.smallest = self.last.clone();
        }
        Ok(())
    }

    /// Adds the prefix of the key that was just added to the filter, unless it is there: keys with one prefix
    /// follow one another.
    fn add_prefix(&mut self, extractor: PrefixExtractor, key: &[u8]) {
        let Some(prefix) = extractor.prefix_of(key) else {
            self.prefix_in_filter = None;
            return;
        };
        let there = self.prefix_in_filter == Some(prefix.len()) && self.last.user_key.starts_with(prefix);
        if let (Some(filter), false) = (&mut self.filter, there || prefix.len() == key.len()) {
            filter.add(prefix);
        }
        self.prefix_in_filter = Some(prefix.len());
    }

    #[cold]
    fn out_of_order(&self, key: &[u8]) -> Error {
        if self.properties.outside {
            let previous = self.last.user_key.as_slice().into();
            return Error::KeysOutOfOrder { previous, key: key.into() };
        }
        Error::invalid("entry", format!("{key:?} is out of order"))
    }

    /// Records when the oldest deletion of the table was written; a merge only knows at the end.
    pub fn set_oldest_deletion_ms(&mut self, ms: u64) {
        self.options.origin.oldest_deletion_ms = ms;
    }

    /// How many blob files its entries refer to so far.
    #[must_use]
    pub fn blob_files(&self) -> usize {
        self.properties.blobs.len()
    }

    /// How many entries were added.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.properties.entries
    }

    /// About how many bytes the file would have if it were finished now. The block under
    /// construction, and what is kept for a dictionary, count uncompressed.
    #[must_use]
    pub fn estimated_bytes(&self) -> u64 {
        let filter = self.filter.as_ref().map_or(0, FilterBuilder::estimated_bytes);
        let kept = self.kept.as_ref().map_or(0, Kept::size_bytes);
        let pending =
            kept + self.block.size_bytes() + self.index.size_bytes() + self.top.size_bytes() + filter;
        self.sink.offset() + pending as u64 + FOOTER_BYTES as u64
    }

    /// Whether the file would have at least `bytes` if it were finished now. Blocks that are kept for a
    /// dictionary are written before they make it so: they take less then.
    ///
    /// # Errors
    /// What writing the file gives.
    pub fn has_reached(&mut self, bytes: u64) -> Result<bool> {
        if self.kept.is_some() && self.estimated_bytes() >= bytes {
            self.write_kept()?;
        }
        Ok(self.estimated_bytes() >= bytes)
    }

    /// Writes what is left, syncs the file, and says what is in it.
    ///
    /// # Errors
    /// What writing or syncing gives; the file is then not a table.
    pub fn finish(mut self) -> Result<TableSummary> {
        if !self.block.is_empty() {
            self.finish_block()?;
            self.index_block(None)?;
        }
        self.write_kept()?;
        let partitioned = !self.top.is_empty();
        let (index, filter) = if partitioned {
            self.cut_partition()?;
            let filter = self.write_filter_handles()?;
            (write_index(&mut self.sink, &mut self.scratch, &mut self.compressor, &mut self.top)?, filter)
        } else {
            let filter = self.write_filter()?;
            (write_index(&mut self.sink, &mut self.scratch, &mut self.compressor, &mut self.index)?, filter)
        };
        self.properties.index_bytes += index.stored_bytes();
        self.properties.largest = self.last;
        self.properties.longest_deletions = self.runs.longest();
        if self.properties.deletions > 0 {
            self.properties.oldest_deletion_ms = self.options.origin.oldest_deletion_ms;
        } else {
            self.properties.oldest_deletion_ms = NEVER;
        }
        self.scratch.clear();
        self.properties.encode(&mut self.scratch);
        let properties = self.sink.block(&self.scratch, None)?;
        let footer = Footer { properties, index, filter, partitioned, identity: self.sink.identity };
        let offset = self.sink.offset();
        footer.encode(offset, &mut self.sink.buffer);
        self.sink.flush()?;
        self.sink.file.sync()?;
        let (size_bytes, identity) = (self.sink.written, self.sink.identity);
        Ok(TableSummary { size_bytes, identity, properties: self.properties })
    }

    fn finish_block(&mut self) -> Result<()> {
        if self.kept.as_ref().is_some_and(|kept| !kept.has_room(self.block.size_bytes())) {
            self.write_kept()?;
        }
        let payload = self.block.finish();
        match &mut self.kept {
            Some(kept) => kept.add_block(payload),
            None => {
                let compressor = self.with_dictionary.as_mut().unwrap_or(&mut self.compressor);
                self.unindexed = Some(write_data(&mut self.sink, &mut self.properties, compressor, payload)?);
            }
        }
        self.block.clear();
        Ok(())
    }

    /// Adds the finished block to the index, now that the key behind it is known (`None` at the
    /// end), and cuts the partition if it is large enough.
    fn index_block(&mut self, next: Option<&[u8]>) -> Result<()> {
        let last = &self.last.user_key;
        let (key, trailer) = match next {
            Some(next) if last == next => (last, self.last.trailer),
            Some(next) => {
                separator(last, next, &mut self.scratch);
                (&self.scratch, Trailer::LAST)
            }
            None => (last, Trailer::LAST),
        };
        if let Some(kept) = &mut self.kept {
            kept.add_separator(key, trailer);
            if next.is_none() || !kept.is_enough() {
                return Ok(());
            }
            self.write_kept()?;
        } else if let Some(handle) = self.unindexed.take() {
            self.index.add(key, trailer, handle);
        }
        if next.is_some() && self.index.size_bytes() >= self.options.partition_bytes {
            self.cut_partition()?;
        }
        Ok(())
    }

    /// Writes the blocks that were kept, behind the dictionary if one pays, and keeps none from here on.
    fn write_kept(&mut self) -> Result<()> {
        let Some(kept) = self.kept.take() else { return Ok(()) };
        let TableOptions { zstd_level, dictionary_bytes, .. } = self.options;
        if let Some((dictionary, compressor)) =
            kept.dictionary(&mut self.compressor, zstd_level, dictionary_bytes)
        {
            self.properties.dictionary = Some(self.sink.block(&dictionary, None)?);
            self.properties.codec = Codec::ZstdDictionary as u8;
            self.with_dictionary = Some(compressor);
        }
        let compressor = self.with_dictionary.as_mut().unwrap_or(&mut self.compressor);
        for (block, key, trailer) in kept.separated() {
            let handle = write_data(&mut self.sink, &mut self.properties, compressor, block)?;
            self.index.add(key, trailer, handle);
        }
        Ok(())
    }

    fn cut_partition(&mut self) -> Result<()> {
        let filter = self.write_filter()?;
        self.filters.push(filter);
        let Some((key, trailer)) = self.index.last() else { return Ok(()) };
        let key = key.to_vec();
        let handle = write_index(&mut self.sink, &mut self.scratch, &mut self.compressor, &mut self.index)?;
        self.properties.index_bytes += handle.stored_bytes();
        self.top.add(&key, trailer, handle);
        Ok(())
    }

    fn write_filter(&mut self) -> Result<Handle> {
        let Some(filter) = &mut self.filter else { return Ok(Handle::NONE) };
        self.scratch.clear();
        filter.finish(&mut self.scratch);
        self.prefix_in_filter = None;
        let handle = self.sink.block(&self.scratch, None)?;
        self.properties.filter_bytes += handle.stored_bytes();
        Ok(handle)
    }

    fn write_filter_handles(&mut self) -> Result<Handle> {
        if self.filter.is_none() {
            return Ok(Handle::NONE);
        }
        self.scratch.clear();
        for handle in &self.filters {
            handle.encode(&mut self.scratch);
        }
        let handle = self.sink.block(&self.scratch, None)?;
        self.properties.filter_bytes += handle.stored_bytes();
        Ok(handle)
    }
}

fn write_data(
    sink: &mut Sink,
    properties: &mut Properties,
    compressor: &mut Compressor,
    payload: &[u8],
) -> Result<Handle> {
    let handle = sink.block(payload, Some(compressor))?;
    properties.data_blocks += 1;
    properties.data_bytes += handle.stored_bytes();
    Ok(handle)
}

fn write_index(
    sink: &mut Sink,
    scratch: &mut Vec<u8>,
    compressor: &mut Compressor,
    index: &mut IndexBuilder,
) -> Result<Handle> {
    scratch.clear();
    index.finish(scratch);
    if scratch.len() > MAX_META_BYTES {
        let why = format!("an index of {} bytes; the table is too large", scratch.len());
        return Err(Error::invalid("table", why));
    }
    sink.block(scratch, Some(compressor))
}

/// The end of the file: blocks are appended, and handed to the file in large pieces.
#[derive(Debug)]
struct Sink {
    file: OpenFile,
    identity: Identity,
    buffer: Vec<u8>,
    written: u64,
}

impl Sink {
    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends a block with its trailer.
    fn block(&mut self, payload: &[u8], compressor: Option<&mut Compressor>) -> Result<Handle> {
        let (start, offset) = (self.buffer.len(), self.offset());
        let codec = match compressor {
            Some(compressor) => compressor.compress(payload, &mut self.buffer),
            None => {
                self.buffer.extend_from_slice(payload);
                Codec::None
            }
        };
        let size = u32::try_from(self.buffer.len() - start)
            .map_err(|_| Error::invalid("table", "a block of 4 GiB or more"))?;
        seal(&mut self.buffer, start, codec, self.identity, offset);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(Handle { offset, size })
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        // One huge value shall not stay in memory for the rest of the table.
        self.buffer.shrink_to(2 * BUFFER_BYTES);
        Ok(())
    }
}
