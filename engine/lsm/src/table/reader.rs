//! Reads a table: point lookups, and the way to its pieces.

use super::format::{FOOTER_BYTES, Footer, Handle, MAX_META_BYTES, MAX_PROPERTIES_BYTES};
use super::index::Index;
use super::piece::{Known, Loader, Partition, TableCache, TableSource};
use super::properties::Properties;
use super::scan::dictionary_in_front;
use crate::base::checksum::Identity;
use crate::base::coding::Malformed;
use crate::base::error::{Corruption, Error, Result};
use crate::base::hash::key_hash;
use crate::base::key::{EntryRef, SeqNum, Trailer};
use crate::base::observe::Observe;
use crate::base::sync::Arc;
use crate::block::Block;
use crate::cache::{Slots, Through, Weigh};
use crate::compress::Dictionary;
use crate::filter::Filter;
use std::path::PathBuf;

/// What is known of a table from elsewhere, and checked when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The identity.
    pub identity: Option<Identity>,
    /// The size of the file in bytes.
    pub size_bytes: Option<u64>,
    /// The sequence number that all entries of a table from outside were given; 0 for any other table.
    pub base: SeqNum,
}

/// An open table. Index and filter of a small one, the top index of a large one are kept in memory
/// for as long as it is open.
#[derive(Debug)]
pub struct TableReader {
    pub(super) loader: Loader,
    pub(super) layout: Layout,
    pub(super) footer: Footer,
    properties: Properties,
    /// The number of all its entries, which are stored with 0; 0 if they have their own.
    pub(super) base: SeqNum,
}

/// How index and filter are laid out.
#[derive(Debug)]
pub(super) enum Layout {
    /// In one piece each.
    Whole { partition: Arc<Partition>, filter: Option<Arc<Filter>> },
    /// In partitions, loaded when they are needed.
    Partitioned(Box<Partitions>),
}

/// The partitions of a table, those that the cache holds in slots.
#[derive(Debug)]
pub(super) struct Partitions {
    pub(super) top: Index,
    partitions: Arc<Slots<Arc<Partition>>>,
    /// Of the blocks of each partition.
    known: Box<[Known]>,
    /// Empty if there are no filters.
    pub(super) filters: Box<[Handle]>,
    filter_slots: Arc<Slots<Arc<Filter>>>,
}

impl TableReader {
    /// Opens a table: reads footer, properties and the pinned part of index and filter.
    ///
    /// # Errors
    /// [`Error::Corruption`] if this is not a table, not the one expected, or damaged;
    /// [`Error::UnsupportedVersion`] if a newer version wrote it; what reading the file gives.
    pub fn open(
        source: TableSource,
        expected: Expected,
        cache: Option<Arc<TableCache>>,
    ) -> Result<TableReader> {
        Self::open_with(source, expected, cache, false)
    }

    /// Opens a table for inspection: damaged properties are replaced by empty ones and a damaged
    /// filter or dictionary is left out, so that its blocks can still be looked at: without the dictionary
    /// those that do not need it.
    ///
    /// # Errors
    /// As [`TableReader::open`], if the footer or the (top) index is damaged.
    pub fn open_damaged(source: TableSource) -> Result<TableReader> {
        Self::open_with(source, Expected::default(), None, true)
    }

    fn open_with(
        source: TableSource,
        expected: Expected,
        cache: Option<Arc<TableCache>>,
        lenient: bool,
    ) -> Result<TableReader> {
        let file = source.file()?;
        let size = file.size()?;
        let wrong = |offset, expected: String, found: String| -> Error {
            Corruption::new(file.path(), offset, expected, found).into()
        };
        if let Some(wanted) = expected.size_bytes.filter(|&wanted| wanted != size) {
            return Err(wrong(size, format!("a table of {wanted} bytes"), format!("{size} bytes")));
        }
        let footer = Footer::read(&file, size)?;
        let end = size - FOOTER_BYTES as u64;
        if let Some(wanted) = expected.identity.filter(|&wanted| wanted != footer.identity) {
            let found = format!("table {:#018x}", footer.identity);
            return Err(wrong(end, format!("table {wanted:#018x}"), found));
        }
        drop(file);
        let mut loader = Loader { source, identity: footer.identity, end, cache, dictionary: None };
        let mut properties = match Self::load_properties(&loader, footer.properties) {
            Err(_) if lenient => Properties::default(),
            properties => properties?,
        };
        if expected.base != 0 && !(properties.outside && properties.max_seq == 0) {
            let expected = "a table made outside of a store, without sequence numbers";
            return Err(loader.damaged(footer.properties, Malformed { at: 0, expected }));
        }
        properties.raise(expected.base);
        loader.dictionary = match Self::load_dictionary(&loader, &properties) {
            Err(_) if lenient => None,
            dictionary => dictionary?,
        };
        if lenient && loader.dictionary.is_none() {
            loader.dictionary = dictionary_in_front(&loader.source.file()?, footer.identity, end)?;
        }
        let layout = match Layout::load(&loader, &footer) {
            Err(_) if lenient => Layout::load(&loader, &Footer { filter: Handle::NONE, ..footer })?,
            layout => layout?,
        };
        Ok(TableReader { loader, layout, footer, properties, base: expected.base })
    }

    fn load_properties(loader: &Loader, handle: Handle) -> Result<Properties> {
        let bytes = loader.read(handle, MAX_PROPERTIES_BYTES)?;
        Properties::decode(&bytes).map_err(|m| loader.damaged(handle, m))
    }

    fn load_dictionary(loader: &Loader, properties: &Properties) -> Result<Option<Dictionary>> {
        properties.dictionary.map(|handle| loader.read_dictionary(handle)).transpose()
    }

    /// Reads the properties of a table of which nothing but these and the footer need be sound.
    ///
    /// # Errors
    /// [`Error::Corruption`] if one of the two is damaged; what reading the file gives.
    pub fn properties_of(source: TableSource) -> Result<Properties> {
        let file = source.file()?;
        let size = file.size()?;
        let footer = Footer::read(&file, size)?;
        let end = size - FOOTER_BYTES as u64;
        let loader = Loader { source, identity: footer.identity, end, cache: None, dictionary: None };
        Self::load_properties(&loader, footer.properties)
    }

    /// Reads the properties again, strictly: what is wrong with those that
    /// [`TableReader::open_damaged`] replaced.
    ///
    /// # Errors
    /// [`Error::Corruption`] if they are damaged; what reading the file gives.
    pub fn read_properties(&self) -> Result<Properties> {
        Self::load_properties(&self.loader, self.footer.properties)
    }

    /// Reads and checks every filter, from the file; returns what is wrong with them.
    #[must_use]
    pub fn check_filters(&self) -> Vec<Error> {
        match &self.layout {
            _ if self.footer.filter == Handle::NONE => Vec::new(),
            Layout::Partitioned(parts) if !parts.filters.is_empty() => {
                let wrong = |handle: &Handle| self.loader.read_filter(*handle).err();
                parts.filters.iter().filter_map(wrong).collect()
            }
            _ => Layout::load(&self.loader, &self.footer).err().into_iter().collect(),
        }
    }

    /// Reads and checks the dictionary, from the file; returns what is wrong with it. Without it the blocks
    /// that were compressed with it cannot be read.
    #[must_use]
    pub fn check_dictionary(&self) -> Option<Error> {
        Self::load_dictionary(&self.loader, &self.properties).err()
    }

    /// What the table says about itself.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The footer.
    #[must_use]
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Gives all entries of a table from outside the sequence number `base`, before anybody reads it.
    pub fn number(&mut self, base: SeqNum) {
        self.base = base;
        self.properties.raise(base);
    }

    /// Where to look for the newest entry of a key that `seq` sees: entries that have none of their own
    /// stand before it if their number is greater.
    #[inline]
    pub(super) fn target(&self, seq: SeqNum) -> Trailer {
        if seq < self.base { Trailer::LAST } else { Trailer::seek(seq) }
    }

    /// An entry with the number that it has in the store.
    #[inline]
    pub(super) fn numbered<'e>(&self, entry: EntryRef<'e>) -> EntryRef<'e> {
        EntryRef { seq: entry.seq | self.base, ..entry }
    }

    /// The identity that the table's checksums are bound to.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.footer.identity
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.loader.source.path()
    }

    /// The size of the file.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.loader.end + FOOTER_BYTES as u64
    }

    /// Bytes that stay in memory while the table is open, besides what the cache holds.
    #[must_use]
    pub fn pinned_bytes(&self) -> usize {
        let dictionary = self.loader.dictionary.as_ref().map_or(0, Dictionary::size_bytes);
        let layout = match &self.layout {
            Layout::Whole { partition, filter } => {
                partition.size_bytes() + filter.as_ref().map_or(0, |filter| filter.size_bytes())
            }
            Layout::Partitioned(parts) => {
                let each = Handle::BYTES + size_of::<Known>() + 2 * size_of::<usize>();
                parts.top.size_bytes() + parts.top.len() * each
            }
        };
        layout + dictionary
    }

    /// The newest entry of `key` as seen at `seq`, handed to `read` together with the block that it
    /// stands in: `block.slice(entry.value)` is a value that outlives the call without a copy.
    /// `hash` must be [`crate::base::hash::key_hash`] of the key. `None` if there is no such entry.
    /// Costs a filter probe if the key is (most likely) absent, else a search of the index and of
    /// one block; allocates nothing if that is cached.
    ///
    /// # Errors
    /// [`Error::Corruption`] if a block on the way is damaged; what reading the file gives.
    #[inline]
    pub fn get<R>(
        &self,
        key: &[u8],
        hash: u64,
        seq: SeqNum,
        read: impl FnOnce(EntryRef<'_>, &Arc<Block>) -> R,
    ) -> Result<Option<R>> {
        self.get_observed(key, hash, seq, &mut (), read)
    }

    /// As [`TableReader::get`], and tells `observe` of its way.
    #[inline]
    pub(crate) fn get_observed<R, O: Observe>(
        &self,
        key: &[u8],
        hash: u64,
        seq: SeqNum,
        observe: &mut O,
        read: impl FnOnce(EntryRef<'_>, &Arc<Block>) -> R,
    ) -> Result<Option<R>> {
        if self.rules_out(key, hash, observe) {
            return Ok(None);
        }
        self.get_not_ruled_out(key, hash, seq, observe, read)
    }

    /// Whether a filter at hand says that the key is not there. It takes a few instructions, and is apart
    /// from the rest because most tables are left by it. `false` where a piece of a filter would have to be
    /// found.
    #[inline]
    pub(crate) fn rules_out(&self, key: &[u8], hash: u64, observe: &mut impl Observe) -> bool {
        match &self.layout {
            Layout::Whole { filter: Some(filter), .. } => !is_passed(filter, key, hash, observe),
            _ => false,
        }
    }

    /// As [`TableReader::get_observed`], of a table that [`TableReader::rules_out`] was asked of.
    #[inline]
    pub(crate) fn get_not_ruled_out<R, O: Observe>(
        &self,
        key: &[u8],
        hash: u64,
        seq: SeqNum,
        observe: &mut O,
        read: impl FnOnce(EntryRef<'_>, &Arc<Block>) -> R,
    ) -> Result<Option<R>> {
        let target = (key, self.target(seq));
        match &self.layout {
            Layout::Whole { partition, filter } => match partition.index.find(key, target.1) {
                Some(at) => self.get_in_block(partition, at, target, filter.is_some(), observe, read),
                None => {
                    observe.missed(filter.is_some());
                    Ok(None)
                }
            },
            Layout::Partitioned(parts) => {
                let Some(i) = parts.top.find(key, target.1) else { return Ok(None) };
                let filtered = !parts.filters.is_empty();
                if filtered
                    && !parts
                        .filter(&self.loader, i, observe)?
                        .is_none_or(|filter| is_passed(&filter, key, hash, observe))
                {
                    return Ok(None);
                }
                let Some(partition) = parts.partition(&self.loader, i, Through::Cache, observe)? else {
                    return Ok(None);
                };
                match partition.index.find(key, target.1) {
                    Some(at) => self.get_in_block(&partition, at, target, filtered, observe, read),
                    None => Err(self.partition_ends_early(i)),
                }
            }
        }
    }

    #[inline]
    fn get_in_block<R>(
        &self,
        partition: &Partition,
        at: usize,
        (key, trailer): (&[u8], Trailer),
        filtered: bool,
        observe: &mut impl Observe,
        read: impl FnOnce(EntryRef<'_>, &Arc<Block>) -> R,
    ) -> Result<Option<R>> {
        let found = self.loader.data(partition, at, Through::Cache, observe)?;
        let Some(block) = found else { return Ok(None) };
        match block.get(key, trailer) {
            Ok(Some(entry)) => Ok(Some(read(self.numbered(entry), &block))),
            Ok(None) => {
                observe.missed(filtered);
                Ok(None)
            }
            Err(malformed) => Err(self.damaged_block(&partition.index, at, malformed)),
        }
    }

    /// Damage in the block of an entry of an index.
    #[cold]
    pub(super) fn damaged_block(&self, index: &Index, at: usize, malformed: Malformed) -> Error {
        self.loader.damaged(index.handle(at).unwrap_or_default(), malformed)
    }

    /// A partition has no separator at or after a target that the top index says it has.
    #[cold]
    pub(super) fn partition_ends_early(&self, partition: usize) -> Error {
        let handle = match &self.layout {
            Layout::Whole { .. } => None,
            Layout::Partitioned(parts) => parts.top.handle(partition),
        };
        let expected = "a partition that reaches up to its separator in the top index";
        self.loader.damaged(handle.unwrap_or(self.footer.index), Malformed { at: 0, expected })
    }

    /// Whether the table may hold a key, as far as can be said without reading the file. `false` is certain.
    #[inline]
    #[must_use]
    pub fn may_contain(&self, key: &[u8]) -> bool {
        match &self.layout {
            Layout::Whole { filter: Some(filter), .. } => filter.may_contain(key, key_hash(key)),
            _ => true,
        }
    }

    /// About how many bytes of the file stand before `key`: exact to a block.
    ///
    /// # Errors
    /// As [`TableReader::get`].
    pub fn approximate_offset(&self, key: &[u8]) -> Result<u64> {
        let trailer = Trailer::FIRST;
        let offset = |index: &Index| index.find(key, trailer).and_then(|at| index.handle(at));
        let found = match &self.layout {
            Layout::Whole { partition, .. } => offset(&partition.index),
            Layout::Partitioned(parts) => match parts.top.find(key, trailer) {
                Some(i) => parts
                    .partition(&self.loader, i, Through::Cache, &mut ())?
                    .and_then(|partition| offset(&partition.index))
                    .or_else(|| parts.top.handle(i)),
                None => None,
            },
        };
        Ok(found.map_or(self.loader.end, |handle| handle.offset))
    }

    /// The keys that separate its blocks, or where the index is in partitions, these: as far as they are kept
    /// in memory. The last one is behind all keys.
    #[must_use]
    pub fn separators(&self) -> Vec<Vec<u8>> {
        let index = match &self.layout {
            Layout::Whole { partition, .. } => &partition.index,
            Layout::Partitioned(parts) => &parts.top,
        };
        (0..index.len()).map(|at| index.key(at).0).collect()
    }

    /// Whether index and filter are in partitions.
    #[must_use]
    pub fn is_partitioned(&self) -> bool {
        self.footer.partitioned
    }

    /// How many index partitions there are; one if the table is not partitioned.
    pub(super) fn partitions(&self) -> usize {
        match &self.layout {
            Layout::Whole { .. } => 1,
            Layout::Partitioned(parts) => parts.top.len(),
        }
    }

    /// The partition that a target belongs to; `None` if it is after the last.
    pub(super) fn find_partition(&self, key: &[u8], trailer: Trailer) -> Option<usize> {
        match &self.layout {
            Layout::Whole { .. } => Some(0),
            Layout::Partitioned(parts) => parts.top.find(key, trailer),
        }
    }

    /// A partition; `None` behind the last.
    pub(super) fn partition(
        &self,
        i: usize,
        through: Through,
        observe: &mut impl Observe,
    ) -> Result<Option<Arc<Partition>>> {
        match &self.layout {
            Layout::Whole { partition, .. } => Ok((i == 0).then(|| partition.clone())),
            Layout::Partitioned(parts) => parts.partition(&self.loader, i, through, observe),
        }
    }
}

impl Layout {
    fn load(loader: &Loader, footer: &Footer) -> Result<Layout> {
        // The pinned pieces are not put into the cache: they would be counted twice.
        if !footer.partitioned {
            let partition = loader.read_partition(footer.index, None)?;
            let filter = match footer.filter {
                Handle::NONE => None,
                handle => Some(loader.read_filter(handle)?),
            };
            return Ok(Layout::Whole { partition, filter });
        }
        let top = loader.read_index(footer.index)?;
        let mut filters = Vec::new();
        if footer.filter != Handle::NONE {
            let bytes = loader.read(footer.filter, MAX_META_BYTES)?;
            let (handles, rest) = bytes.as_chunks::<{ Handle::BYTES }>();
            filters.extend(handles.iter().map(Handle::decode));
            let within = filters.iter().all(|handle| handle.within(footer.filter.offset));
            if !rest.is_empty() || filters.len() != top.len() || !within {
                let expected = "a handle within the file for the filter of each partition";
                return Err(loader.damaged(footer.filter, Malformed { at: 0, expected }));
            }
        }
        Ok(Layout::Partitioned(Box::new(Partitions {
            partitions: loader.slots(top.len()),
            known: (0..top.len()).map(|_| Known::default()).collect(),
            filter_slots: loader.slots(filters.len()),
            filters: filters.into(),
            top,
        })))
    }
}

impl Partitions {
    #[inline]
    pub(super) fn partition(
        &self,
        loader: &Loader,
        i: usize,
        through: Through,
        observe: &mut impl Observe,
    ) -> Result<Option<Arc<Partition>>> {
        match loader.cached(&self.partitions, i, through) {
            Some(partition) => Ok(Some(partition)),
            None => self.load_partition(loader, i, through, observe),
        }
    }

    #[cold]
    fn load_partition(
        &self,
        loader: &Loader,
        i: usize,
        through: Through,
        observe: &mut impl Observe,
    ) -> Result<Option<Arc<Partition>>> {
        let Some(handle) = self.top.handle(i) else { return Ok(None) };
        let partition = loader.read_partition(handle, self.known.get(i))?;
        observe.piece(handle.stored_bytes(), partition.index.size_bytes());
        loader.fill(&self.partitions, i, through, &partition);
        Ok(Some(partition))
    }

    /// The filter of a partition; `None` if it has none.
    #[inline]
    pub(super) fn filter(
        &self,
        loader: &Loader,
        i: usize,
        observe: &mut impl Observe,
    ) -> Result<Option<Arc<Filter>>> {
        match loader.cached(&self.filter_slots, i, Through::Cache) {
            Some(filter) => Ok(Some(filter)),
            None => self.load_filter(loader, i, observe),
        }
    }

    #[cold]
    fn load_filter(
        &self,
        loader: &Loader,
        i: usize,
        observe: &mut impl Observe,
    ) -> Result<Option<Arc<Filter>>> {
        let Some(handle) = self.filters.get(i) else { return Ok(None) };
        let filter = loader.read_filter(*handle)?;
        observe.piece(handle.stored_bytes(), filter.size_bytes());
        loader.fill(&self.filter_slots, i, Through::Cache, &filter);
        Ok(Some(filter))
    }
}

/// Whether a filter lets a key pass.
#[inline]
fn is_passed(filter: &Filter, key: &[u8], hash: u64, observe: &mut impl Observe) -> bool {
    let may = filter.may_contain(key, hash);
    observe.filter(may);
    may
}

impl Drop for TableReader {
    fn drop(&mut self) {
        match &self.layout {
            Layout::Whole { partition, .. } => self.loader.forget(&partition.blocks),
            Layout::Partitioned(parts) => {
                self.loader.forget(&parts.partitions);
                self.loader.forget(&parts.filter_slots);
                for blocks in parts.known.iter().filter_map(|known| known.lock().upgrade()) {
                    self.loader.forget(&blocks);
                }
            }
        }
    }
}
